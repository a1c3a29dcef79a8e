"""Each (message, channel) on its own: what fails delays no other, is tried again, and ends in the dead letters."""

from __future__ import annotations

import queue
import re
import threading
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError

from consumers.alerts import notifier
from consumers.alerts.channels import ChannelError
from consumers.alerts.delivery import CRITICAL_RETRY_MS, RETRY_MS
from consumers.alerts.event import AlertEvent
from consumers.alerts.message_store import TURN_MS
from consumers.alerts.model import Delivery, Message, Silence
from consumers.alerts.notifier import Notifier
from consumers.alerts.outlets import side_by_side
from consumers.alerts.places import message_place
from consumers.alerts.settings import AlertSettings
from consumers.alerts.table import Delete, Item, MemoryTable, Place, Put
from tests.consumers.alerts import pump
from tests.consumers.alerts.bench import HOUR_MS, MINUTE_MS, T0_MS, Bench, opened, over, received

TWO = AlertSettings.model_validate(
    {
        "channels": {"desk": {"type": "sns", "settings": {"topic_arn": "arn:aws:sns:us-east-1:1:desk"}}},
        "market_wide": None,
    }
)
_NO_ANSWER = ClientError({"Error": {"Code": "InternalServerError"}}, "Query")


@pytest.fixture
def two() -> Bench:
    """Return a bench with a second channel that is down."""
    bench = Bench(settings=TWO)
    bench.phones.down["desk"] = ChannelError("HTTP 503", where="desk")
    return bench


def _of_desk(bench: Bench) -> Delivery:
    stored = next(iter(bench.store.messages(T0_MS, bench.now_ms)))
    return next(one for one in stored.deliveries if one.channel == "desk")


def test_what_one_channel_does_not_take_the_other_does_at_once(two: Bench) -> None:
    assert two.take(opened(severity="critical")) == ["opened"]
    assert (len(two.sent()), len(two.sent("desk"))) == (1, 0)
    assert _of_desk(two).error == "desk: HTTP 503"
    del two.phones.down["desk"]
    assert two.sweep(after_minutes=1).sent == 1
    assert two.sweep(after_minutes=1).sent == 0
    assert (len(two.sent()), len(two.sent("desk"))) == (1, 1)


def test_a_channel_that_is_down_is_left_alone_by_all_but_critical_messages(two: Bench) -> None:
    tried: list[str] = []
    send = two.phones.send

    def count(channel: str, message: Message, settings: AlertSettings) -> str:
        tried.append(channel)
        return send(channel, message, settings)

    two.notifier._deliverer.send = count
    for n in range(100):
        two.take(opened(T0_MS + n, "high", ticker=f"T{n}"), at_ms=T0_MS + n + 200)
    assert (tried.count("sns"), tried.count("desk")) == (100, 1)
    two.take(opened(T0_MS + 100, "critical", ticker="ZZZ"), at_ms=T0_MS + 300)
    assert (tried.count("sns"), tried.count("desk")) == (101, 2)
    del two.phones.down["desk"]
    two.sweep(after_minutes=1)
    assert len(two.sent("desk")) == 101


def test_a_failing_send_is_tried_again_ever_more_rarely_and_given_up_after_a_day(two: Bench) -> None:
    two.take(opened(severity="critical"))
    for _ in range(25 * 60):
        two.sweep(after_minutes=1)
    delivery = _of_desk(two)
    assert delivery.status == "failed"
    assert 90 < delivery.attempts < 110  # a minute, two, four, eight, then every quarter of an hour
    assert [(message.kind, one.channel) for message, one in two.dead] == [("opened", "desk")]
    (message, _), *_ = two.dead
    assert message.id not in {pending.message_id for pending in two.store.pending()}  # its repetitions are


def test_what_is_unacceptable_is_a_dead_letter_at_once_and_stops_no_other(two: Bench) -> None:
    two.phones.down["desk"] = ChannelError("HTTP 400", where="desk", final=True)
    two.take(opened(severity="critical"))
    assert [one.error for _, one in two.dead] == ["desk: HTTP 400"]
    assert [one.status for one in two.store.messages(T0_MS, two.now_ms)] == ["failed"]
    assert list(two.store.pending()) == []
    two.take(opened(severity="critical"), at_ms=two.now_ms + 3 * MINUTE_MS)  # again
    assert len(two.dead) == 1
    del two.phones.down["desk"]
    two.take(opened(severity="critical", ticker="MSFT"))
    assert len(two.sent("desk")) == 1


def test_a_channel_that_took_a_message_is_left_alone_no_longer(two: Bench) -> None:
    two.take(opened(severity="high"))
    del two.phones.down["desk"]
    for severity, ticker in (("high", "KO"), ("critical", "GE"), ("high", "XOM")):
        two.take(opened(severity=severity, ticker=ticker), at_ms=two.now_ms + 1)
    assert [message.incident and message.incident.subject for message in two.sent("desk")] == ["GE", "XOM"]


def test_what_aws_says_of_a_send_is_in_the_delivery(two: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_channel: str, _message: Message, _settings: AlertSettings) -> str:
        raise _NO_ANSWER

    monkeypatch.setattr(two.notifier._deliverer, "send", refuse)
    two.take(opened(severity="high"))
    assert _of_desk(two).error.startswith("ClientError: An error occurred (InternalServerError)")


def test_only_what_failed_for_good_is_reopened(two: Bench) -> None:
    two.phones.down["desk"] = ChannelError("HTTP 429", where="desk", retry_after_ms=5 * MINUTE_MS)
    two.take(opened(severity="critical"))
    (pending,) = two.store.pending()
    two.notifier.reopen(pending)
    assert _of_desk(two).next_ms == two.now_ms + 5 * MINUTE_MS


def test_a_channel_is_left_alone_for_as_long_as_it_says(two: Bench) -> None:
    two.phones.down["desk"] = ChannelError("HTTP 429", where="desk", retry_after_ms=5 * MINUTE_MS)
    two.take(opened(severity="critical"))
    del two.phones.down["desk"]
    assert two.sweep(after_minutes=4).sent == 0
    assert two.sweep(after_minutes=1).sent == 1


def test_a_channel_that_wants_to_be_left_alone_for_years_is_tried_within_the_hour(two: Bench) -> None:
    two.phones.down["desk"] = ChannelError("HTTP 429", where="desk", retry_after_ms=10**300)
    two.take(opened(severity="critical"))
    del two.phones.down["desk"]
    assert two.sweep(after_minutes=59).sent == 0
    assert two.sweep(after_minutes=1).sent == 1


@pytest.mark.parametrize("said", ["\ud800", "\x1b[2J" * 200, None])
def test_what_a_channel_says_can_be_stored_and_shown(two: Bench, said: Any) -> None:
    two.phones.down["desk"] = ChannelError(f"HTTP 500: {said}", where="desk")
    two.phones.receipt = said
    two.take(opened(severity="critical"))
    two.sweep(after_minutes=1)
    (stored,) = two.store.messages(T0_MS, two.now_ms)
    assert [one.status for one in stored.deliveries] == ["pending", "sent"]
    assert all((one.error + one.receipt).isprintable() for one in stored.deliveries)
    assert len(two.sent()) == 1


def test_a_clock_that_goes_back_leaves_no_channel_alone_for_longer(two: Bench) -> None:
    two.take(opened(severity="high"))
    two.now_ms -= HOUR_MS
    del two.phones.down["desk"]
    two.take(opened(T0_MS - HOUR_MS, "high", ticker="MSFT"))
    assert len(two.sent("desk")) == 1


def test_what_a_channel_s_code_breaks_on_is_its_failure_and_shows_no_secret(two: Bench) -> None:
    two.phones.down["desk"] = KeyError("sesame")  # type: ignore[assignment]
    two.take(opened(severity="critical"))
    assert len(two.sent()) == 1
    assert re.fullmatch(r"KeyError, raised in \w+\.py, line \d+", _of_desk(two).error)


class ForgetfulTable(MemoryTable):
    """A table that does what it is asked, and then says nothing, at the n-th write."""

    def __init__(self, silent: int) -> None:
        super().__init__()
        self._silent = silent

    def write(self, writes: Sequence[Put | Delete]) -> None:
        super().write(writes)
        self._silent -= 1
        if self._silent == 0:
            raise ClientError({"Error": {"Code": "InternalServerError", "Message": "no answer"}}, "PutItem")


@pytest.mark.parametrize("silent", [2, 3])
def test_a_write_whose_answer_is_lost_neither_delays_nor_repeats_a_message(silent: int) -> None:
    """The second write of an event is the claim, the third the mark; DynamoDB may have applied either unanswered."""
    bench = Bench(ForgetfulTable(silent))
    bench.take(opened(severity="critical"))
    assert len(bench.sent()) == 1
    assert list(bench.store.pending()) == []


def test_an_event_that_comes_again_sends_what_a_crash_kept_back_unless_it_is_silenced() -> None:
    bench = Bench()
    for ticker in ("AAPL", "MSFT"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bench.notifier._deliverer, "deliver", lambda *_: None)  # killed before it sends
            bench.take(opened(severity="critical", ticker=ticker))
    bench.store.put_silence(Silence(T0_MS + HOUR_MS, "MSFT"))
    for _ in range(2):
        bench.take(opened(severity="critical"), opened(severity="critical", ticker="MSFT"))
    assert [message.cause and message.cause.ticker for message in bench.sent()] == ["AAPL"]


def test_an_event_that_comes_again_sends_to_every_channel_that_a_crash_kept_back(two: Bench) -> None:
    del two.phones.down["desk"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(two.notifier._deliverer, "deliver", lambda *_: None)  # killed before it sends
        two.take(opened(severity="critical"))
    two.take(opened(severity="critical"))
    assert (len(two.sent()), len(two.sent("desk"))) == (1, 1)


def test_an_event_that_comes_again_after_its_message_was_sent_writes_nothing(two: Bench) -> None:
    del two.phones.down["desk"]
    two.take(opened(severity="critical"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(two.table, "write", lambda _: pytest.fail("a write"))
        two.take(opened(severity="critical"))
    assert (len(two.sent()), len(two.sent("desk"))) == (1, 1)


def test_a_claim_that_ran_out_is_taken_over(two: Bench) -> None:
    """The function was killed while it sent."""
    two.take(opened(severity="critical"))
    pending = next(iter(two.store.pending()))
    found = two.store.delivery(pending)
    assert found is not None
    claimed = Delivery("desk", "sending", 2, two.now_ms + 2 * MINUTE_MS)
    two.store.put_delivery(pending, claimed, found[1], two.now_ms)
    del two.phones.down["desk"]
    assert two.sweep(after_minutes=1).sent == 0
    assert two.sweep(after_minutes=1).sent == 1


def test_a_sweep_goes_on_behind_what_fails(two: Bench) -> None:
    two.take(opened(severity="critical"), opened(severity="low", ticker="MSFT"))
    two.sweep(after_minutes=HOUR_MS / MINUTE_MS)
    assert [message.kind for message in two.sent()] == ["opened", "digest"]


def test_what_does_not_fit_into_one_transaction_is_done_in_more(two: Bench) -> None:
    events = [opened(T0_MS + n, "high", ticker=f"T{n}") for n in range(25)]
    for event in events:
        two.take(event)
    two.take(*(over(event, T0_MS + 10 * MINUTE_MS) for event in events), at_ms=T0_MS + 10 * MINUTE_MS)
    assert two.sweep(after_minutes=5).incidents == 25
    assert [message.kind for message in two.sent()] == ["opened"] * 25 + ["resolved"] * 25
    assert two.sweep(after_minutes=1).incidents == 0


def test_a_pending_message_that_cannot_be_read_stops_no_other(
    two: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.take(opened(severity="critical"))
    two.take(opened(severity="critical", ticker="MSFT"))
    del two.phones.down["desk"]
    read = two.store.message

    def refuse(id_: str, made_ms: int) -> Message | None:
        if "AAPL" in id_:
            raise _NO_ANSWER
        return read(id_, made_ms)

    monkeypatch.setattr(two.store, "message", refuse)
    two.now_ms += MINUTE_MS
    done = two.notifier.sweep(two.settings)
    assert (done.sent, len(done.errors)) == (1, 1)


def test_an_event_whose_second_look_failed_comes_again(two: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    two.settings, two.watched = AlertSettings(), 10
    event = opened(severity="high")

    def refuse(_events: object, _settings: object) -> list[Message]:
        raise _NO_ANSWER

    with monkeypatch.context() as patch:
        patch.setattr(two.notifier, "_widen", refuse)
        (handled,) = two.notifier.handle([event], two.settings)
    assert handled.error is _NO_ANSWER
    assert two.take(event) == [None]
    assert len(two.sent()) == 1


def test_an_event_that_came_again_comes_once_more_where_its_message_cannot_be_read(
    two: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = opened(severity="critical")
    two.take(event)

    def refuse(_id: str, _made_ms: int) -> Message | None:
        raise _NO_ANSWER

    monkeypatch.setattr(two.store, "message", refuse)
    (handled,) = two.notifier.handle([event], two.settings)
    assert handled.error is _NO_ANSWER


def test_a_digest_of_more_incidents_than_a_sweep_looks_at_is_one(
    two: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "INCIDENTS_A_SWEEP", 2)
    two.settings = AlertSettings()
    two.had_digests().take(*(opened(T0_MS + n, "low", ticker=f"T{n}") for n in range(5)))
    two.sweep(after_minutes=60)
    for _ in range(3):
        two.sweep(after_minutes=1)
    assert [message.digest and message.digest.incidents for message in two.sent()] == [5]


def test_what_is_silenced_keeps_no_other_from_its_turn(two: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier, "INCIDENTS_A_SWEEP", 1)
    two.settings = AlertSettings()
    two.take(opened(severity="high"))
    two.take(opened(severity="high", ticker="KO"), at_ms=two.now_ms + 1)
    two.store.put_silence(Silence(two.now_ms + 24 * HOUR_MS, "AAPL"))
    two.sweep(after_minutes=4 * 60 + 1)
    two.sweep()
    assert [message.kind for message in two.sent()] == ["opened", "opened", "repeated"]


def test_the_backlog_of_a_channel_keeps_back_no_other(two: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier, "SENDS_A_SWEEP", 3)
    for n in range(5):
        two.take(opened(T0_MS + n, "high", ticker=f"T{n}"))
    two.phones.down["sns"] = ChannelError("HTTP 503", where="sns")
    two.take(opened(severity="high", ticker="ZZZ"), at_ms=two.now_ms + 1)
    del two.phones.down["sns"]
    assert two.sweep(after_minutes=1).sent == 1
    assert len(two.sent()) == 6


def test_a_sweep_ends_before_its_function_does(two: Bench) -> None:
    for n in range(5):
        two.take(opened(T0_MS + n, "high", ticker=f"T{n}"))
    send = two.phones.send

    def slow(channel: str, message: Message, settings: AlertSettings) -> str:
        two.now_ms += notifier.SWEEP_MS // 2
        return send(channel, message, settings)

    del two.phones.down["desk"]
    two.notifier._deliverer.send = slow
    assert two.sweep(after_minutes=1).sent == 2


def test_sends_run_side_by_side() -> None:
    both = threading.Barrier(2, timeout=10)

    def send(pair: tuple[Message, str]) -> bool:
        both.wait()
        return pair[1] == "sns"

    message = Message("m", "test", 0, ("sns", "desk"))
    assert list(side_by_side(send, [(message, "sns"), (message, "desk")])) == [True, False]


class SharedTable(MemoryTable):
    """A table for threads: one call at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def read(self, places: Iterable[Place]) -> dict[Place, Item]:
        with self._lock:
            return super().read(places)

    def query(
        self, pk: str, *, after: str = "", until: str = "~", newest: int | None = None
    ) -> Iterator[Item]:
        with self._lock:
            found = list(super().query(pk, after=after, until=until, newest=newest))
        yield from found

    def write(self, writes: Sequence[Put | Delete]) -> None:
        with self._lock:
            super().write(writes)


def test_while_a_channel_hangs_the_other_takes_the_whole_batch() -> None:
    bench = Bench(table=SharedTable(), settings=TWO)
    hangs, done = threading.Event(), threading.Event()

    def send(channel: str, message: Message, settings: AlertSettings) -> str:
        if channel == "desk":
            assert hangs.wait(timeout=60)
            raise ChannelError("no answer", where="desk")
        receipt = bench.phones.send(channel, message, settings)
        if len(bench.sent()) == len(events):
            done.set()
        return receipt

    bench.notifier._deliverer.run, bench.notifier._deliverer.send = side_by_side, send
    events = [opened(T0_MS + n, "critical", ticker=f"T{n}") for n in range(10)]
    function = threading.Thread(target=bench.take, args=events)
    function.start()
    is_done = done.wait(timeout=30)
    hangs.set()
    function.join()
    assert is_done
    assert {pending.channel for pending in bench.store.pending()} == {"desk"}


OUTSIDE = AlertSettings.model_validate(
    {
        "channels": {
            name: {"type": "webhook", "settings": {"url": f"https://{name}.example/"}}
            for name in ("desk", "chat")
        },
        "market_wide": None,
    }
)


class Functions:
    """Notifiers at work at once over one table and one queue; `desk` hangs until it is let go.

    Attributes
    ----------
    is_up
        Whether the desk takes what it held, once it is let go.
    """

    def __init__(self, number: int, batches: Sequence[Sequence[AlertEvent]], *, is_up: bool = False) -> None:
        self.bench = Bench(table=SharedTable(), settings=OUTSIDE)
        self.hangs, self.let_go, self.is_up = threading.Event(), threading.Event(), is_up
        self.changed = threading.Condition()
        self.by: list[tuple[str, int]] = []
        self.batches = queue.SimpleQueue[Sequence[AlertEvent]]()
        for batch in batches:
            self.batches.put(batch)
        self.threads = [threading.Thread(target=self._work, args=(n,)) for n in range(number)]

    def _work(self, number: int) -> None:
        with suppress(queue.Empty):
            while True:
                self.take(self.batches.get_nowait(), number)

    def take(self, batch: Sequence[AlertEvent], number: int) -> None:
        """Let a function take a batch."""
        notifier = Notifier(
            self.bench.store,
            partial(self._send, number),
            dead_letter=lambda _message, _delivery: None,
            clock=lambda: self.bench.now_ms,
            run=side_by_side,
            owner=f"function {number}",
        )
        assert all(one.error is None for one in notifier.handle(batch, OUTSIDE))

    def _send(self, number: int, channel: str, message: Message, settings: AlertSettings) -> str:
        if channel == "desk":
            self.hangs.set()
            assert self.let_go.wait(timeout=60)
            if not self.is_up:
                raise ChannelError("no answer", where="desk")
        with self.changed:
            self.by.append((channel, number))
            receipt = self.bench.phones.send(channel, message, settings)
            self.changed.notify_all()
        return receipt

    def wait_until_sent(self, channel: str, messages: int) -> bool:
        """Wait until a channel has so many messages; return whether it has."""
        with self.changed:
            return self.changed.wait_for(lambda: len(self.bench.sent(channel)) == messages, timeout=30)


@pytest.mark.parametrize("severity", ["high", "critical"])
def test_a_channel_that_hangs_holds_one_function_and_no_message_of_the_others(severity: str) -> None:
    """The functions take all batches while the first that met the channel still waits for it."""
    batches = [[opened(T0_MS + n, severity, ticker=f"T{n}-{one}") for one in range(3)] for n in range(20)]
    functions = Functions(5, batches)
    for thread in functions.threads:
        thread.start()
    try:
        assert functions.hangs.wait(timeout=30)
        is_sent = [functions.wait_until_sent(channel, 60) for channel in ("sns", "chat")]
    finally:
        functions.let_go.set()
        for thread in functions.threads:
            thread.join()
    assert is_sent == [True, True]
    pending = list(functions.bench.store.pending())
    assert Counter(one.channel for one in pending) == {"desk": 60}


def test_whoever_has_a_channel_s_turn_sends_what_others_made_for_it_meanwhile() -> None:
    functions = Functions(1, [[opened(severity="critical")]], is_up=True)
    (first,) = functions.threads
    first.start()
    assert functions.hangs.wait(timeout=30)
    functions.take([opened(severity="critical", ticker="MSFT")], 1)
    assert Counter(functions.by)["desk", 0] == 0
    functions.let_go.set()
    first.join()
    assert [number for channel, number in functions.by if channel == "desk"] == [0, 0]
    assert list(functions.bench.store.pending()) == []


def test_a_turn_whose_function_was_killed_runs_out() -> None:
    bench = Bench(settings=OUTSIDE)
    assert bench.store.take_turn("desk", "killed", bench.now_ms)
    bench.take(opened(severity="critical"))
    assert (len(bench.sent("desk")), len(bench.sent("chat"))) == (0, 1)
    bench.take(opened(severity="critical", ticker="MSFT"), at_ms=bench.now_ms + TURN_MS)
    assert [message.incident and message.incident.subject for message in bench.sent("desk")] == ["MSFT"]
    bench.sweep(after_minutes=1)
    assert len(bench.sent("desk")) == 2


def test_whoever_lost_a_turn_does_not_end_that_of_another() -> None:
    bench = Bench(settings=OUTSIDE)
    late = bench.store.take_turn("desk", "late", bench.now_ms)
    bench.now_ms += TURN_MS
    assert bench.store.take_turn("desk", "next", bench.now_ms)
    assert bench.store.end_turn("desk", "late", late, bench.now_ms) == 0
    assert bench.store.take_turn("desk", "third", bench.now_ms) == 0


def test_a_table_that_cannot_say_whose_turn_it_is_leaves_the_message_to_the_sweep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(settings=OUTSIDE)

    def refuse(*_: object) -> int:
        raise _NO_ANSWER

    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "take_turn", refuse)
        bench.take(opened(severity="critical"))
    assert (len(bench.sent()), len(bench.sent("desk"))) == (1, 0)
    bench.sweep(after_minutes=1)
    assert len(bench.sent("desk")) == 1


def test_a_flood_with_a_dead_channel_loses_nothing_and_asks_it_now_and_then(two: Bench) -> None:
    """The other channel has each message with the batch that led to it; the dead one gets all once it is back."""
    tries: list[tuple[int, bool]] = []
    send = two.phones.send

    def count(channel: str, message: Message, settings: AlertSettings) -> str:
        if channel == "desk":
            tries.append(
                (two.now_ms, message.incident is not None and message.incident.severity == "critical")
            )
        return send(channel, message, settings)

    two.notifier._deliverer.send = count
    asked = Namespace(step_ms=pump.STEP_MS, worker=0, workers=1, events=2_000, tickers=97, start_ms=T0_MS)
    flood = [received(event) for event in pump.events(asked)]
    for first in range(0, len(flood), 10):
        batch = flood[first : first + 10]
        two.take(*batch, batch[0], at_ms=batch[-1].at_ms)
        made = [one.message for one in two.store.messages(T0_MS, two.now_ms)]
        assert Counter(one.id for one in made) == Counter(one.id for one in two.sent())
    for is_critical, rest_ms in ((True, CRITICAL_RETRY_MS), (False, RETRY_MS)):
        times = sorted({at_ms for at_ms, by_critical in tries if by_critical == is_critical})
        assert all(later - earlier >= rest_ms for earlier, later in pairwise(times))
    anomalies = {event.anomaly.id for event in flood}
    assert sum(incident.anomalies for incident in two.incidents()) == len(anomalies)
    assert len(made) > 97
    assert {pending.message_id for pending in two.store.pending()} == {one.id for one in made}
    del two.phones.down["desk"]
    for _ in range(2 * HOUR_MS // MINUTE_MS):
        two.sweep(after_minutes=1)
    assert list(two.store.pending()) == []
    assert two.dead == []
    ids = [one.message.id for one in two.store.messages(T0_MS, two.now_ms)]
    assert sorted(message.id for message in two.sent("desk")) == sorted(ids)
    assert sorted(message.id for message in two.sent()) == sorted(ids)


def test_deliveries_that_outlive_their_message_are_of_no_other(two: Bench) -> None:
    """Each item expires by itself, and a delivery is written after its message."""
    two.take(opened(severity="high"))
    two.take(opened(severity="high", ticker="KO"), at_ms=two.now_ms + MINUTE_MS)
    first, second = two.sent()
    two.table.write([Delete(message_place(second.id, second.made_ms))])
    (stored,) = two.store.messages(T0_MS, two.now_ms)
    assert stored.message == first
    assert sorted(one.channel for one in stored.deliveries) == sorted(first.channels)


def test_what_was_silenced_meanwhile_is_not_sent_in_the_turn_of_another() -> None:
    bench = Bench(settings=OUTSIDE)
    bench.phones.down["desk"] = ChannelError("down", where="desk")
    bench.take(opened(severity="critical"))
    bench.phones.down.clear()
    bench.store.put_silence(Silence(bench.now_ms + HOUR_MS, "AAPL"))
    bench.now_ms += RETRY_MS
    other = Notifier(
        bench.store,
        bench.phones.send,
        dead_letter=lambda _message, _delivery: None,
        clock=lambda: bench.now_ms,
        owner="other",
    )
    send, meanwhile = bench.phones.send, [opened(severity="critical", ticker="KO")]

    def send_while_another_makes_more(channel: str, message: Message, settings: AlertSettings) -> str:
        if channel == "desk" and meanwhile:
            other.handle([meanwhile.pop()], OUTSIDE)
        return send(channel, message, settings)

    bench.notifier._deliverer.send = send_while_another_makes_more
    bench.take(opened(severity="critical", ticker="MSFT"))
    assert [message.incident and message.incident.subject for message in bench.sent("desk")] == ["MSFT", "KO"]
