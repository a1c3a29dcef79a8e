"""The runner against what AWS itself answered: recordings in `shared/aws-recorded`, read where they lie.

Every scenario runs for real: streams, functions, queues and buckets on a MiniStack, the mapping with the
recorded settings, and the runner as a user starts it. `docs/testing.md` has the table.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.consumers.kit import LambdaRecord
from tests.json_types import Json
from tests.localstack.conftest import Lab

RECORDINGS = Path(__file__).parents[3] / "shared/aws-recorded/kinesis_event_source_mapping.json"
pytestmark = pytest.mark.skipif(
    not RECORDINGS.exists(), reason="the recordings of AWS are not at ../shared/aws-recorded"
)

SETTINGS = (
    "BatchSize",
    "BisectBatchOnFunctionError",
    "FunctionResponseTypes",
    "MaximumBatchingWindowInSeconds",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "ParallelizationFactor",
    "StartingPosition",
)
HELLO = ("test", b"hello")
SUCCESS = "test_kinesis_report_batch_item_success_scenarios"
FAILURE = "test_kinesis_report_batch_item_failure_scenarios"


def numbered(key: str) -> list[tuple[str, bytes]]:
    return [(key, json.dumps({"record_id": number}).encode()) for number in range(10)]


@dataclass(frozen=True)
class Scenario:
    """How to repeat a recording: the function's body, and the records put before and after the mapping."""

    body: str
    before: tuple[list[tuple[str, bytes]], ...] = ()
    after: tuple[list[tuple[str, bytes]], ...] = ()
    seconds: float = 40.0


SCENARIOS = {
    # First, because it lasts a minute.
    "test_kinesis_maximum_record_age_exceeded[expire-while-retrying]": Scenario(
        "raise ValueError('always')", before=([HELLO],), seconds=90
    ),
    "test_create_kinesis_event_source_mapping": Scenario(
        "return None", after=([(f"test_{number}", b"hello") for number in range(10)],)
    ),
    "test_kinesis_event_source_mapping_with_async_invocation": Scenario(
        "time.sleep(1)", after=(numbered("test_0"), numbered("test_1"))
    ),
    "test_kinesis_event_source_trim_horizon": Scenario(
        "return None", before=(numbered("test_0"), numbered("test_1")), after=(numbered("test_3"),)
    ),
    "test_kinesis_event_source_mapping_with_on_failure_destination_config": Scenario(
        "raise ValueError('always')", before=([HELLO],)
    ),
    "test_kinesis_event_source_mapping_with_s3_on_failure_destination": Scenario(
        "raise ValueError('always')",
        before=([("custom", b'{"input": "hello", "value": "world", "raise_error": 1}')],),
    ),
    "test_kinesis_report_batch_item_failures": Scenario(
        "return {'batchItemFailures': [{'itemIdentifier': record['kinesis']['sequenceNumber']}"
        " for record in event['Records'] if payload(record)['should_fail']]}",
        before=([(f"test_{i}", json.dumps({"should_fail": i == 5}).encode()) for i in range(6)],),
    ),
    **{
        f"{SUCCESS}[{name}]": Scenario(f"return {answer}", before=([HELLO],))
        for name, answer in {
            "empty_string_success": "''",
            "empty_list_success": "[]",
            "null_success": "None",
            "empty_batch_item_failure_success": "{'batchItemFailures': []}",
        }.items()
    },
    **{
        f"{FAILURE}[{name}]": Scenario(body, before=([HELLO],))
        for name, body in {
            "empty_string_item_identifier_failure": "return {'batchItemFailures': [{'itemIdentifier': ''}]}",
            "null_item_identifier_failure": "return {'batchItemFailures': [{'itemIdentifier': None}]}",
            "invalid_key_foo_failure": "return {'batchItemFailures': [{'foo': 'bar'}]}",
            "unhandled_exception_in_function": "raise ValueError('always')",
        }.items()
    },
}

# Why the other recordings are no matter of a runner, or are shown elsewhere.
ELSEWHERE = {
    "test_disable_kinesis_event_source_mapping": "test_esm_supervisor.py, over a Lambda API of the test's own:"
    " MiniStack polls an enabled mapping itself",
    "test_duplicate_event_source_mappings": "the answer of CreateEventSourceMapping is the emulator's",
    "test_esm_with_not_existing_kinesis_stream": "the answer of CreateEventSourceMapping is the emulator's",
    "test_kinesis_empty_provided": "an empty answer is a success: test_esm_partial_response.py;"
    " LastProcessingResult can be set by the emulator only",
}


class InvocationOutcome:
    """What came of one scenario on the local AWS."""

    def __init__(self, lab: Lab, name: str, number: int, recorded: Json) -> None:
        self._lab = lab
        self._short = f"esm-recorded-{number}"
        self._function, self._target = f"{self._short}-function", f"{self._short}-target"
        self.scenario = SCENARIOS[name]
        created = next(value for key, value in recorded.items() if key.startswith("create"))
        self.destination = created["DestinationConfig"]["OnFailure"].get("Destination", "").split(":")[2:3]
        self.stream_arn = lab.stream(self._short)
        self.function_arn = lab.function(self._function, self.scenario.body)
        for records in self.scenario.before:
            lab.put(self._short, *records)
        settings = {key: created[key] for key in SETTINGS}
        if self.destination:
            settings["DestinationConfig"] = {"OnFailure": {"Destination": self._make_destination()}}
        self.uuid = lab.mapping(self._function, self.stream_arn, **settings)

    def _make_destination(self) -> str:
        if self.destination == ["s3"]:
            self._lab.aws.client("s3").create_bucket(Bucket=self._target)
            return f"arn:aws:s3:::{self._target}"
        self._lab.aws.client("sqs").create_queue(QueueName=self._target)
        return f"arn:aws:sqs:us-east-1:000000000000:{self._target}"

    def put_rest(self) -> None:
        for records in self.scenario.after:
            self._lab.put(self._short, *records)

    def events(self, count: int) -> list[Json]:
        """The events delivered, once there are `count`, and a moment later so that one too many shows."""
        self._lab.eventually(
            lambda: len(self._lab.deliveries(self._function)) >= count, seconds=self.scenario.seconds
        )
        time.sleep(1)
        return [delivery["event"] for delivery in self._lab.deliveries(self._function)]

    def records(self, count: int) -> list[LambdaRecord]:
        """The records delivered in order, whatever the batches, once there are `count`."""

        def delivered() -> list[LambdaRecord]:
            return [
                record
                for delivery in self._lab.deliveries(self._function)
                for record in delivery["event"]["Records"]
            ]

        self._lab.eventually(lambda: len(delivered()) >= count, seconds=self.scenario.seconds)
        time.sleep(1)
        return delivered()

    def message(self) -> Json:
        """The one message at the destination."""
        look: Callable[[], list[str]] = self._objects if self.destination == ["s3"] else self._messages
        bodies = self._lab.eventually(look, seconds=self.scenario.seconds)
        assert len(bodies) == 1
        body: Json = json.loads(bodies[0])
        return body

    def _messages(self) -> list[str]:
        sqs = self._lab.aws.client("sqs")
        url = sqs.get_queue_url(QueueName=self._target)["QueueUrl"]
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        return [message["Body"] for message in answer.get("Messages", [])]

    def _objects(self) -> list[str]:
        s3 = self._lab.aws.client("s3")
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket=self._target).get("Contents", [])]
        assert all(
            re.fullmatch(
                rf"aws/lambda/{self.uuid}/shardId-0{{12}}/\d{{4}}/\d\d/\d\d/"
                r"\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d-[0-9a-f-]{36}",
                key,
            )
            for key in keys
        )
        return [s3.get_object(Bucket=self._target, Key=key)["Body"].read().decode() for key in keys]


@pytest.fixture(scope="module")
def recordings() -> Json:
    return {name: entry["recorded-content"] for name, entry in json.loads(RECORDINGS.read_text()).items()}


@pytest.fixture(scope="module")
def outcomes(lab: Lab, recordings: Json) -> dict[str, InvocationOutcome]:
    """All scenarios, started together: they do not touch each other."""
    started = {
        name: InvocationOutcome(lab, name, number, recordings[name])
        for number, name in enumerate(SCENARIOS, start=1)
    }
    lab.await_polling(*(outcome.uuid for outcome in started.values()))
    for outcome in started.values():
        outcome.put_rest()
    return started


ANY_TIME = re.compile(r"<timestamp:|<approximate-arrival-timestamp>|<execution-start>|<datetime>")
ISO_MILLISECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def assert_like(recorded: Any, actual: Any, bound: dict[str, str], path: str = "$") -> None:
    """The same keys, lengths and values; a placeholder stands for the same value everywhere."""
    if isinstance(recorded, dict):
        assert isinstance(actual, dict), path
        assert recorded.keys() == actual.keys(), path
        for key, value in recorded.items():
            assert_like(value, actual[key], bound, f"{path}.{key}")
    elif isinstance(recorded, list):
        assert len(recorded) == len(actual), path
        for index, value in enumerate(recorded):
            assert_like(value, actual[index], bound, f"{path}[{index}]")
    elif isinstance(recorded, str) and ANY_TIME.match(recorded):
        assert isinstance(actual, float) or ISO_MILLISECONDS.fullmatch(actual), path
    elif isinstance(recorded, str) and "<" in recorded:
        assert_bound(recorded, actual, bound, path)
    else:
        assert recorded == actual, path


def assert_bound(recorded: str, actual: str, bound: dict[str, str], path: str) -> None:
    names = re.findall(r"<[^>]+>", recorded)
    pattern = re.escape(recorded.replace("111111111111", "000000000000"))
    for name in names:
        pattern = pattern.replace(re.escape(name), "([^:/]+)", 1)
    match = re.fullmatch(pattern, actual)
    assert match, f"{path}: {actual!r} is not like {recorded!r}"
    for name, value in zip(names, match.groups(), strict=True):
        assert bound.setdefault(name, value) == value, f"{path}: {name}"
    values = list(bound.values())
    assert len(set(values)) == len(values), f"{path}: two placeholders for one value in {bound}"


def assert_deliveries_like(recorded: Json, outcome: InvocationOutcome, bound: dict[str, str]) -> None:
    if "kinesis_records" in recorded:
        records = recorded["kinesis_records"]["Records"]
        assert_like(records, outcome.records(len(records)), bound)
    events = recorded.get("kinesis_events") or recorded.get("invocation_events")
    if events is not None:
        events = [entry.get("event", entry) for entry in events]
        assert_like(events, outcome.events(len(events)), bound)


def recorded_message(recorded: Json) -> Any:
    if "record_body" in recorded:
        return recorded["record_body"]
    payload = recorded.get("sqs_payload") or recorded.get("record_age_exceeded_payload")
    return payload["Messages"][0]["Body"] if payload else None


@pytest.mark.parametrize("name", [*list(SCENARIOS)[1:], next(iter(SCENARIOS))])
def test_as_recorded(name: str, recordings: Json, outcomes: dict[str, InvocationOutcome]) -> None:
    recorded, outcome = recordings[name], outcomes[name]
    bound: dict[str, str] = {}
    message = recorded_message(recorded)
    if message is not None:
        actual = outcome.message()
        if "payload" in actual:
            # The recording's tool shows JSON inside JSON as an object.
            actual["payload"] = json.loads(actual["payload"])
        assert_like(message, actual, bound)
    assert_deliveries_like(recorded, outcome, bound)


def test_every_recording_is_accounted_for(recordings: Json) -> None:
    assert recordings.keys() == SCENARIOS.keys() | ELSEWHERE.keys()
