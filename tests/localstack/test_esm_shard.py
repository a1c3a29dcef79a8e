"""The shard's state machine: laws that hold for any traffic, any function and any settings."""

import dataclasses
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localstack.event_source_mapping.batch import InvocationOutcome
from localstack.event_source_mapping.records import ShardRecord
from localstack.event_source_mapping.settings import MappingSettings
from localstack.event_source_mapping.shard import Action, Discard, Invoke, ShardProcessor

MAPPING = MappingSettings(
    uuid="mapping",
    stream_arn="arn:aws:kinesis:us-east-1:000000000000:stream/quotes",
    function_arn="arn:aws:lambda:us-east-1:000000000000:function:detector",
    enabled=True,
)


def record(number: int, key: str = "key", arrival: float = 0.0, padding: int = 0) -> ShardRecord:
    return ShardRecord(f"seq-{number}", key, arrival, json.dumps({"n": number, "padding": "x" * padding}))


def offer(processor: ShardProcessor, records: list[ShardRecord], now: float = 0.0) -> None:
    processor.offer(records, now)


def numbers(action: Action) -> list[int]:
    records = action.batch.records if isinstance(action, Invoke) else action.discarded.records
    return [json.loads(each.event_json)["n"] for each in records]


def only(actions: list[Action]) -> Action:
    assert len(actions) == 1
    return actions[0]


SUCCESS = InvocationOutcome("answered", b"null")
CRASH = InvocationOutcome("failed", b'{"errorMessage": "boom"}', function_error="Unhandled")
THROTTLED = InvocationOutcome("not_invoked", status_code=429)


class World:
    """A function with faults, a virtual clock, and the laws checked at each step."""

    def __init__(self, mapping: MappingSettings, records: list[ShardRecord], dice: random.Random) -> None:
        self.mapping, self.records, self.dice = mapping, records, dice
        self.processor = ShardProcessor(mapping)
        self.now = 0.0
        self.offered = 0
        self.finished: set[str] = set()
        self.answered: set[str] = set()
        self.discarded: set[str] = set()
        self.crashes = {each.sequence_number: dice.choice([0, 0, 0, 1, 2, 99]) for each in records}
        self.reports = {each.sequence_number: dice.choice([0, 0, 0, 1, 2, 99]) for each in records}
        if mapping.maximum_retry_attempts < 0 and mapping.maximum_record_age < 0:
            self.crashes = {number: count % 99 for number, count in self.crashes.items()}
            self.reports = {number: count % 99 for number, count in self.reports.items()}

    def run(self) -> None:
        in_flight: list[Action] = []
        for _ in range(5_000):
            self.offer_some()
            for action in self.processor.due(self.now):
                self.check_start(action, in_flight)
                in_flight.append(action)
            if in_flight:
                self.complete(in_flight.pop(self.dice.randrange(len(in_flight))))
            elif self.offered == len(self.records) and self.processor.drained:
                return
            self.now += self.dice.choice([0.0, 0.1, 1.0, 5.0])
            self.check_checkpoint()
        pytest.fail("the shard does not come to an end")

    def offer_some(self) -> None:
        count = self.dice.randrange(4)
        new = self.records[self.offered : self.offered + count]
        self.offered += len(new)
        self.processor.offer(new, self.now)

    def check_start(self, action: Action, in_flight: list[Action]) -> None:
        assert action.lane not in {other.lane for other in in_flight}
        if not isinstance(action, Invoke):
            return
        assert 1 <= len(action.batch.records) <= self.mapping.batch_size
        before: set[str] = set()
        for each in action.batch.records:
            earlier = self.records[: self.records.index(each)]
            same_key = {r.sequence_number for r in earlier if r.partition_key == each.partition_key}
            assert same_key <= self.finished | before, "an earlier record of the key is still open"
            before.add(each.sequence_number)
            if self.mapping.maximum_record_age >= 0:
                assert each.arrival > self.now - self.mapping.maximum_record_age

    def complete(self, action: Action) -> None:
        if isinstance(action, Discard):
            numbers_ = {each.sequence_number for each in action.discarded.records}
            self.discarded |= numbers_
            self.finished |= numbers_
            self.processor.completed(action)
            return
        self.processor.completed(action, self.answer(action))

    def answer(self, action: Invoke) -> InvocationOutcome:
        if self.dice.random() < 0.1:
            return THROTTLED
        sequence_numbers = [each.sequence_number for each in action.batch.records]
        if crashing := [number for number in sequence_numbers if self.crashes[number] > 0]:
            self.crashes[crashing[0]] -= 1
            return CRASH
        failing = [number for number in sequence_numbers if self.reports[number] > 0]
        if not (failing and self.mapping.report_batch_item_failures):
            self.note_answered(sequence_numbers)
            return SUCCESS
        self.reports[failing[0]] -= 1
        self.note_answered(sequence_numbers[: sequence_numbers.index(failing[0])])
        self.dice.shuffle(failing)
        answer = {"batchItemFailures": [{"itemIdentifier": number} for number in failing]}
        return InvocationOutcome("answered", json.dumps(answer).encode())

    def note_answered(self, sequence_numbers: list[str]) -> None:
        self.answered |= set(sequence_numbers)
        self.finished |= set(sequence_numbers)

    def check_checkpoint(self) -> None:
        checkpoint = self.processor.checkpoint
        if checkpoint is not None:
            index = next(i for i, each in enumerate(self.records) if each.sequence_number == checkpoint)
            assert {each.sequence_number for each in self.records[: index + 1]} <= self.finished


mappings = st.builds(
    lambda **changes: dataclasses.replace(MAPPING, **changes),
    batch_size=st.integers(1, 6),
    parallelization_factor=st.integers(1, 4),
    batching_window=st.sampled_from([0.0, 2.0]),
    report_batch_item_failures=st.booleans(),
    bisect_on_error=st.booleans(),
    maximum_retry_attempts=st.sampled_from([-1, 0, 1, 3]),
    maximum_record_age=st.sampled_from([-1, 60, 300]),
)


@settings(max_examples=200)
@given(
    mapping=mappings,
    keys=st.lists(st.sampled_from("abcde"), min_size=1, max_size=25),
    seed=st.integers(0, 2**32),
)
def test_every_record_is_delivered_or_discarded_in_order_per_key(
    mapping: MappingSettings, keys: list[str], seed: int
) -> None:
    records = [record(number, key, arrival=number * 0.5) for number, key in enumerate(keys)]
    world = World(mapping, records, random.Random(seed))
    world.run()
    everything = {each.sequence_number for each in records}
    assert world.finished == everything
    assert not world.answered & world.discarded
    assert world.processor.checkpoint == records[-1].sequence_number
    if mapping.maximum_retry_attempts < 0 and mapping.maximum_record_age < 0:
        assert not world.discarded


@settings(max_examples=50)
@given(before=st.integers(1, 4), after=st.integers(1, 4), keys=st.lists(st.sampled_from("abcde"), min_size=4))
def test_another_parallelization_factor_keeps_order_and_loses_nothing(
    before: int, after: int, keys: list[str]
) -> None:
    processor = ShardProcessor(dataclasses.replace(MAPPING, parallelization_factor=before, batch_size=2))
    offer(processor, [record(number, key) for number, key in enumerate(keys)])
    first = processor.due(0)
    processor.reconfigure(dataclasses.replace(MAPPING, parallelization_factor=after, batch_size=2))
    if after != before:
        assert processor.due(0) == []
        assert processor.wake_time() is None
    delivered: list[int] = []
    for _ in range(100):
        for action in first:
            delivered += numbers(action)
            processor.completed(action, SUCCESS)
        first = processor.due(0)
    assert processor.drained
    assert sorted(delivered) == list(range(len(keys)))
    for key in set(keys):
        of_key = [number for number in delivered if keys[number] == key]
        assert of_key == sorted(of_key)


def test_a_poison_record_is_isolated_by_bisecting() -> None:
    """Lambda guide, "Retain discarded batch records": "splits a failed batch into two smaller batches,
    isolating bad records", and: "Splitting batches doesn't consume the retry quota."
    """
    mapping = dataclasses.replace(MAPPING, bisect_on_error=True, maximum_retry_attempts=1)
    processor = ShardProcessor(mapping)
    offer(processor, [record(number) for number in range(8)])
    tried, now = [], 0.0
    while not processor.drained:
        for action in processor.due(now):
            tried.append((type(action).__name__, numbers(action)))
            poisoned = 5 in numbers(action)
            processor.completed(action, CRASH if poisoned else SUCCESS)
        now += 0.25
    assert tried == [
        ("Invoke", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("Invoke", [0, 1, 2, 3]),
        ("Invoke", [4, 5, 6, 7]),
        ("Invoke", [4, 5]),
        ("Invoke", [4]),
        ("Invoke", [5]),
        ("Invoke", [5]),
        ("Discard", [5]),
        ("Invoke", [6, 7]),
    ]


def test_a_partial_answer_splits_at_the_returned_record() -> None:
    """Lambda guide, "Configuring partial batch response", "Bisecting a batch": with both settings on, "the
    batch is bisected at the returned sequence number, and Lambda retries only the remaining records".
    """
    mapping = dataclasses.replace(MAPPING, bisect_on_error=True, report_batch_item_failures=True)
    processor = ShardProcessor(mapping)
    offer(processor, [record(number) for number in range(4)])
    action = only(processor.due(0))
    processor.completed(
        action, InvocationOutcome("answered", b'{"batchItemFailures": [{"itemIdentifier": "seq-2"}]}')
    )
    assert processor.checkpoint == "seq-1"
    assert numbers(only(processor.due(0))) == [2, 3]


def test_the_lowest_of_several_failures_is_the_checkpoint() -> None:
    """Same page: Lambda "uses the lowest sequence number as the checkpoint" and retries from there."""
    processor = ShardProcessor(dataclasses.replace(MAPPING, report_batch_item_failures=True))
    offer(processor, [record(number) for number in range(4)])
    failures = [{"itemIdentifier": f"seq-{number}"} for number in (3, 1)]
    answer = json.dumps({"batchItemFailures": failures}).encode()
    processor.completed(only(processor.due(0)), InvocationOutcome("answered", answer))
    assert processor.checkpoint == "seq-0"
    assert numbers(only(processor.due(0))) == [1, 2, 3]


def test_the_batching_window_waits_for_a_full_batch_or_its_end() -> None:
    """Lambda guide, "Using Lambda to process records from Amazon Kinesis Data Streams", "Polling and batching
    streams": "Lambda continues to read records from the event source until it has gathered a full batch, the
    batching window expires, or the batch reaches the payload limit of 6 MB."
    """
    mapping = dataclasses.replace(MAPPING, batching_window=5.0, batch_size=3)
    processor = ShardProcessor(mapping)
    offer(processor, [record(0)], now=100.0)
    assert processor.due(104.9) == []
    assert processor.wake_time() == 105.0
    first = only(processor.due(105.0))
    assert numbers(first) == [0]
    processor.completed(first, SUCCESS)
    offer(processor, [record(number) for number in range(1, 6)], now=106.0)
    full = only(processor.due(106.0))
    assert numbers(full) == [1, 2, 3]
    processor.completed(full, SUCCESS)
    assert processor.due(110.9) == []
    assert numbers(only(processor.due(111.0))) == [4, 5]


def test_six_megabytes_end_a_batch_before_its_size_and_window() -> None:
    """Same place: "or the batch reaches the payload limit of 6 MB"."""
    processor = ShardProcessor(dataclasses.replace(MAPPING, batching_window=60.0))
    offer(processor, [record(number, padding=2_500_000) for number in range(4)])
    action = only(processor.due(0))
    assert numbers(action) == [0, 1]


def test_parallel_batches_keep_each_key_in_order() -> None:
    """Lambda guide, "Polling and batching streams": "If you increase the number of concurrent batches per
    shard, Lambda still ensures in-order processing at the partition-key level."
    """
    mapping = dataclasses.replace(MAPPING, parallelization_factor=3, batch_size=2)
    processor = ShardProcessor(mapping)
    offer(processor, [record(number, key=f"key-{number % 6}") for number in range(24)])
    at_once = processor.due(0)
    assert len(at_once) == 3
    lanes = {number % 6: action.lane for action in at_once for number in numbers(action)}
    processor.completed(at_once[0], SUCCESS)
    again = only(processor.due(0))
    assert {lanes.get(number % 6, again.lane) for number in numbers(again)} == {at_once[0].lane}


def test_throttles_count_neither_as_retries_nor_as_invocations() -> None:
    """Lambda guide, "Retain discarded batch records", "Before invocation": throttled, "it retries until the
    records expire or exceed the maximum age".
    """
    mapping = dataclasses.replace(MAPPING, maximum_retry_attempts=0, maximum_record_age=60)
    processor = ShardProcessor(mapping)
    offer(processor, [record(0, arrival=0.0)])
    now, attempts = 0.0, 0
    while isinstance(action := only(processor.due(now)), Invoke):
        attempts += 1
        processor.completed(action, THROTTLED)
        wake = processor.wake_time()
        assert wake is not None
        now = wake
    assert attempts > 5
    assert now == 60.0
    assert action.discarded.condition == "RecordAgeExceeded"
    assert action.discarded.batch.invokes == 0


def test_only_the_records_that_are_too_old_are_discarded() -> None:
    processor = ShardProcessor(dataclasses.replace(MAPPING, maximum_record_age=60))
    offer(processor, [record(0, arrival=10.0), record(1, arrival=20.0), record(2, arrival=30.0)])
    discarded = only(processor.due(85.0))
    assert isinstance(discarded, Discard)
    assert (numbers(discarded), discarded.discarded.condition) == ([0, 1], "RecordAgeExceeded")
    processor.completed(discarded)
    assert numbers(only(processor.due(85.0))) == [2]


def test_reading_stops_while_enough_records_wait() -> None:
    processor = ShardProcessor(dataclasses.replace(MAPPING, batch_size=10))
    assert processor.room == 1_000
    offer(processor, [record(number) for number in range(1_000)])
    assert processor.room == 0
    processor.completed(only(processor.due(0)), SUCCESS)
    assert processor.room == 10


def test_an_invocation_needs_its_outcome() -> None:
    processor = ShardProcessor(MAPPING)
    offer(processor, [record(0)])
    action = only(processor.due(0))
    with pytest.raises(ValueError, match="outcome"):
        processor.completed(action)
