"""The runner's threads over an AWS of the test's own, where an emulator cannot show the behaviour.

Kinesis here keeps what AWS keeps (a closed shard's records, and its end); the Lambda API here lists mappings
that no emulator polls, and its functions are Python callables.
"""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Never, cast

import pytest

from localstack.event_source_mapping.checkpoints import Checkpoints, Offset
from localstack.event_source_mapping.clients import Clients
from localstack.event_source_mapping.sender import Invocation, Sender
from localstack.event_source_mapping.supervisor import Options, Supervisor, poll_interval
from tests.localstack.kinesis_in_memory import Functions, Stream, client_error

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_lambda import LambdaClient


class Running:
    """A supervisor on a thread."""

    def __init__(self, stream: Stream, functions: Functions, state: Path, *, include_disabled: bool = False):
        clients = Clients(
            "us-east-1",
            cast("KinesisClient", stream),
            cast("LambdaClient", functions),
            *(cast("Never", None) for _ in range(5)),
        )
        self.invocations: list[Invocation] = []
        sender = Sender(clients, self.invocations.append, lambda _: None)
        self.supervisor = Supervisor(
            Options(include_disabled, frozenset(), None), clients, Checkpoints(state), sender
        )
        self._thread = threading.Thread(target=self.supervisor.run)
        self._thread.start()

    def stop(self) -> None:
        self.supervisor.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()


Run = Callable[..., Running]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    running: list[Running] = []

    def start(stream: Stream, functions: Functions, **options: bool) -> Running:
        running.append(Running(stream, functions, tmp_path / "state.json", **options))
        return running[-1]

    yield start
    for each in running:
        each.stop()


def eventually(check: Callable[[], object], seconds: float = 8.0) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def refresh_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    from localstack.event_source_mapping import supervisor

    monkeypatch.setattr(supervisor, "REFRESH_SECONDS", 0.2)
    monkeypatch.setattr(supervisor, "_TICK_SECONDS", 0.05)


class Deliveries:
    """A function's memory."""

    def __init__(self, answer: Callable[[list[str]], object] = lambda _: None) -> None:
        self.batches: list[list[str]] = []
        self._answer = answer

    def __call__(self, payloads: list[str]) -> object:
        self.batches.append(payloads)
        return self._answer(payloads)

    @property
    def payloads(self) -> list[str]:
        return [payload for batch in self.batches for payload in batch]


def test_children_are_read_after_their_parent_is_finished(run: Run) -> None:
    """Kinesis guide, "After resharding": "assuming that the order of the data is important, you should,
    after a reshard, always continue to read data from the parent shards until it is exhausted."

    The parent's first record fails for a while, and nothing of its children may overtake it.
    """
    failures = iter([ValueError("not yet")] * 3)

    def answer(payloads: list[str]) -> None:
        if "parent-0" in payloads and (error := next(failures, None)):
            raise error

    deliveries, stream = Deliveries(answer), Stream()
    stream.put("shardId-000000000000", "parent-0", "parent-1")
    left, right = stream.split("shardId-000000000000")
    stream.put(left, "left-0")
    stream.put(right, "right-0")
    merged = stream.merge(left, right)
    stream.put(merged, "merged-0")
    run(stream, Functions(deliveries, BatchSize=10))
    eventually(lambda: "merged-0" in deliveries.payloads)
    done = deliveries.payloads[-5:]
    assert done[:2] == ["parent-0", "parent-1"]
    assert sorted(done[2:4]) == ["left-0", "right-0"]
    assert done[4] == "merged-0"
    assert deliveries.batches[:4] == [["parent-0", "parent-1"]] * 4


def test_latest_skips_what_was_there_but_nothing_of_later_children(run: Run) -> None:
    deliveries, stream = Deliveries(), Stream()
    stream.put("shardId-000000000000", "old")
    running = run(stream, Functions(deliveries, StartingPosition="LATEST"))
    eventually(lambda: stream.reads > 0)
    stream.put("shardId-000000000000", "new")
    left, _ = stream.split("shardId-000000000000")
    stream.put(left, "child")
    eventually(lambda: deliveries.payloads == ["new", "child"])
    running.stop()


def test_latest_ignores_shards_that_were_closed_before(run: Run) -> None:
    deliveries, stream = Deliveries(), Stream()
    stream.put("shardId-000000000000", "old")
    left, _ = stream.split("shardId-000000000000")
    stream.put(left, "old, too")
    run(stream, Functions(deliveries, StartingPosition="LATEST"))
    eventually(lambda: stream.reads > 1)
    stream.put(left, "new")
    eventually(lambda: deliveries.payloads == ["new"])


def test_at_timestamp_starts_in_the_middle(run: Run) -> None:
    deliveries, stream = Deliveries(), Stream()
    stream.put("shardId-000000000000", "before")
    time.sleep(0.02)
    at = time.time()
    stream.put("shardId-000000000000", "after")
    run(stream, Functions(deliveries, StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp=at))
    eventually(lambda: deliveries.payloads == ["after"])


def test_a_disabled_mapping_rests_and_goes_on_where_it_was(run: Run) -> None:
    """The recording `test_disable_kinesis_event_source_mapping`: nothing is delivered once disabled."""
    deliveries, stream = Deliveries(), Stream()
    functions = Functions(deliveries, BatchSize=10)
    running = run(stream, functions)
    stream.put("shardId-000000000000", *[f"first-{number}" for number in range(10)])
    eventually(lambda: len(deliveries.payloads) == 10)
    functions.mapping["State"] = "Disabled"
    eventually(lambda: not running.supervisor.driven_functions())
    stream.put("shardId-000000000000", "while disabled")
    time.sleep(0.6)
    assert len(deliveries.batches) == 1
    functions.mapping["State"] = "Enabled"
    eventually(lambda: deliveries.batches[1:] == [["while disabled"]])


def test_disabled_mappings_are_adopted_on_demand(run: Run) -> None:
    deliveries, stream = Deliveries(), Stream()
    stream.put("shardId-000000000000", "record")
    run(stream, Functions(deliveries, State="Disabled"), include_disabled=True)
    eventually(lambda: deliveries.payloads == ["record"])


def test_changed_settings_count_from_the_next_batch(run: Run) -> None:
    deliveries, stream = Deliveries(), Stream()
    functions = Functions(deliveries, BatchSize=1)
    run(stream, functions)
    stream.put("shardId-000000000000", "a", "b")
    eventually(lambda: deliveries.batches == [["a"], ["b"]])
    functions.mapping["BatchSize"] = 2
    listed = functions.listed
    eventually(lambda: functions.listed >= listed + 2)  # what the first of these told is in force
    stream.put("shardId-000000000000", "c", "d")
    eventually(lambda: deliveries.batches[2:] == [["c", "d"]])


def test_the_parallelization_factor_runs_batches_of_a_shard_side_by_side(run: Run) -> None:
    """Lambda guide, "Polling and batching streams": with a factor, Lambda polls "up to 10 batches in each
    shard simultaneously".
    """
    together = threading.Barrier(3)
    deliveries, stream = Deliveries(lambda _: together.wait(5) and None), Stream()
    for key in ("a", "g", "b"):  # one for each lane
        stream.put("shardId-000000000000", key, key=key)
    run(stream, Functions(deliveries, ParallelizationFactor=3, BatchSize=1))
    eventually(lambda: sorted(deliveries.payloads) == ["a", "b", "g"])
    assert not together.broken


def test_a_throttled_function_is_asked_again(run: Run) -> None:
    attempts = iter([True, True, False])

    def answer(_: list[str]) -> None:
        if next(attempts):
            raise client_error("TooManyRequestsException", 429)

    deliveries, stream = Deliveries(answer), Stream()
    stream.put("shardId-000000000000", "record")
    running = run(stream, Functions(deliveries, MaximumRetryAttempts=0))
    eventually(lambda: len(deliveries.batches) == 3)
    eventually(lambda: len(running.invocations) == 3)
    assert [invocation.throttled for invocation in running.invocations] == [True, True, False]


def test_an_endpoint_that_goes_away_for_a_while_costs_nothing(run: Run) -> None:
    deliveries, stream = Deliveries(), Stream()
    run(stream, Functions(deliveries))
    stream.put("shardId-000000000000", "before")
    eventually(lambda: deliveries.payloads == ["before"])
    stream.unreachable = True
    stream.put("shardId-000000000000", "during")
    time.sleep(0.5)
    stream.unreachable = False
    eventually(lambda: deliveries.payloads == ["before", "during"])


def test_records_that_come_while_old_ones_expire_are_not_skipped(run: Run) -> None:
    """In a stream older than its retention, something expires in front of the iterator all the time."""
    deliveries, stream = Deliveries(), Stream()
    run(stream, Functions(deliveries))
    stream.put("shardId-000000000000", "a", "b")
    eventually(lambda: deliveries.payloads == ["a", "b"])
    reads = stream.reads
    eventually(lambda: stream.reads > reads + 2)
    with stream.lock:
        stream.expire("shardId-000000000000", 2)
        stream.put("shardId-000000000000", "c", "d")
    eventually(lambda: deliveries.payloads == ["a", "b", "c", "d"])


def test_a_restart_goes_on_after_the_checkpoint(run: Run, tmp_path: Path) -> None:
    deliveries, stream = Deliveries(), Stream()
    functions = Functions(deliveries)
    first = run(stream, functions)
    stream.put("shardId-000000000000", "one")
    eventually(lambda: deliveries.payloads == ["one"])
    first.stop()
    at = Checkpoints(tmp_path / "state.json").shards("mapping-1")["shardId-000000000000"]
    assert at == Offset("after", sequence_number="shardId-000000000000/0")
    stream.put("shardId-000000000000", "two")
    run(stream, functions)
    eventually(lambda: deliveries.payloads == ["one", "two"])


def test_while_its_file_cannot_be_written_it_delivers_and_writes_it_afterwards(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """On a full disk; it ended with a traceback, and nothing was scored until the next `make up`."""
    state = tmp_path / "state.json"
    in_the_way = tmp_path / "state.json.partial"
    in_the_way.mkdir()
    deliveries, stream = Deliveries(), Stream()
    run(stream, Functions(deliveries))
    stream.put("shardId-000000000000", "one")
    eventually(lambda: "files_not_written" in caplog.text)
    stream.put("shardId-000000000000", "two")
    eventually(lambda: deliveries.payloads == ["one", "two"])
    assert not state.exists()
    in_the_way.rmdir()
    eventually(state.exists)
    assert caplog.text.count("files_not_written") == 1


def test_a_deleted_mapping_is_stopped_and_forgotten(run: Run) -> None:
    deliveries, stream = Deliveries(), Stream()
    functions = Functions(deliveries)
    running = run(stream, functions)
    stream.put("shardId-000000000000", "one")
    eventually(lambda: deliveries.payloads == ["one"])
    functions.mappings = []
    eventually(lambda: not running.supervisor.driven_functions())
    stream.put("shardId-000000000000", "two")
    time.sleep(0.3)
    assert deliveries.payloads == ["one"]


def test_polls_of_many_shards_share_a_budget() -> None:
    assert poll_interval(1, quiet_seconds=0.0) <= 0.1
    assert 100 / poll_interval(100, quiet_seconds=0.0) == pytest.approx(25)
    assert 100 / poll_interval(100, quiet_seconds=60.0) == pytest.approx(12)
