"""Messages of the dead-letter queue, as AWS writes them, and as the local AWS does."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.redrive.dead_letters import (
    BatchInS3,
    FailedBatch,
    FailedScan,
    LetterError,
    Unknown,
    failed_batch,
    letter,
)
from tests.consumers import kit

RECORDED = Path(__file__).parents[4] / "shared" / "aws-recorded" / "kinesis_event_source_mapping.json"
TIMES = {"<timestamp:2022-07-13T13:48:01.000Z>": "2022-07-13T13:48:01.000Z"}


def recorded(scenario: str, part: str) -> Any:
    """A recording with times in place of its placeholders."""
    if not RECORDED.exists():
        pytest.skip(f"no recordings of AWS at {RECORDED}")
    text = json.dumps(json.loads(RECORDED.read_text())[scenario]["recorded-content"][part])
    for placeholder, value in TIMES.items():
        text = text.replace(placeholder, value)
    return json.loads(text.replace('"<approximate-arrival-timestamp>"', "1657720081.000"))


@pytest.mark.parametrize(
    ("scenario", "part", "reason"),
    [
        (
            "test_kinesis_event_source_mapping_with_on_failure_destination_config",
            "sqs_payload",
            "RetryAttemptsExhausted after 2 invocations: Unhandled",
        ),
        (
            "test_kinesis_maximum_record_age_exceeded[expire-while-retrying]",
            "record_age_exceeded_payload",
            "RecordAgeExceeded after 8 invocations",
        ),
    ],
)
def test_a_message_with_metadata_only_as_aws_wrote_it(scenario: str, part: str, reason: str) -> None:
    body = recorded(scenario, part)["Messages"][0]["Body"]
    found = letter(body if isinstance(body, str) else json.dumps(body))
    assert isinstance(found, FailedBatch)
    assert found.records is None
    assert found.reason == reason
    assert (found.shard, found.size) == ("shardId-000000000000", 1)
    assert found.stream == "<resource:2>"
    assert found.first_ms == found.at_ms == 1_657_720_081_000


@pytest.mark.parametrize("escaped", [True, False])
def test_an_object_in_s3_as_aws_wrote_it(escaped: bool) -> None:
    record = recorded("test_kinesis_event_source_mapping_with_s3_on_failure_destination", "record_body")
    if escaped:
        record["payload"] = json.dumps(record["payload"])
    found = failed_batch(json.dumps(record))
    assert found.reason == "RetryAttemptsExhausted after 2 invocations: Unhandled"
    assert found.records is not None
    (only,) = found.records
    assert (
        only.data == base64.b64decode(record["payload"]["Records"][0]["kinesis"]["data"])
        if not escaped
        else True
    )
    assert only.arrival_ms == 1_657_720_081_000


def test_a_notification_of_s3() -> None:
    body = {
        "Records": [
            {"eventSource": "aws:s3", "s3": {"bucket": {"name": "b"}, "object": {"key": "aws/lambda/k"}}}
        ]
    }
    assert letter(json.dumps(body)) == BatchInS3("b", "aws/lambda/k")


def test_a_failed_scan() -> None:
    body = {
        "version": "1.0",
        "timestamp": "2026-11-24T14:30:00.123Z",
        "requestContext": {
            "requestId": "6e0f6a9e",
            "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:stock-scanner:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"source": "aws.events"},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorMessage": "no such parameter", "errorType": "ScanError", "stackTrace": []},
    }
    found = letter(json.dumps(body))
    assert isinstance(found, FailedScan)
    assert found.reason == "RetriesExhausted after 1 invocations: Unhandled: ScanError: no such parameter"
    assert found.at_ms == 1_795_530_600_123


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    "change",
    [
        {"timestamp": "soon"},
        {"timestamp": 1e300},
        {"requestContext": "no context"},
        {"requestContext": {"condition": ["x"]}},
        {"responseContext": "no context"},
        {"KinesisBatchInfo": []},
        {"payload": "[" * 5000},
        {"payload": {"Records": [{"eventID": "a:1", "kinesis": {"data": 1}}]}},
    ],
)
def test_an_odd_field_makes_it_unknown_with_the_reason(change: dict[str, object]) -> None:
    times = ("approximateArrivalOfFirstRecord", "approximateArrivalOfLastRecord")
    info = {
        "shardId": "s",
        "startSequenceNumber": "1",
        "endSequenceNumber": "1",
        "batchSize": 1,
        "streamArn": "a/b",
    }
    record = {
        "requestContext": {"condition": "RecordAgeExceeded"},
        "timestamp": "2026-11-24T14:30:00.123Z",
        "KinesisBatchInfo": {**info, **dict.fromkeys(times, "2026-11-24T14:30:00.123Z")},
    }
    assert isinstance(letter(json.dumps(record)), FailedBatch)
    found = letter(json.dumps({**record, **change}))
    assert isinstance(found, Unknown)
    assert found.reason


@pytest.mark.parametrize("size", [-1, 0, 10**30, 1.5, "1e400"])
def test_a_batch_has_a_possible_size(size: object) -> None:
    assert isinstance(letter(json.dumps({"KinesisBatchInfo": {"batchSize": size}})), Unknown)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["Records", "KinesisBatchInfo", "requestPayload", "requestContext", "timestamp", "s3"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_message_whatever_it_holds_is_an_error(value: object) -> None:
    assert letter(json.dumps(value)) is not None


@pytest.mark.parametrize(
    "body", [DEEP, '{"KinesisBatchInfo":' + DEEP + "}", '{"requestPayload":' + DEEP + "}", "9" * 5000, "\x00"]
)
def test_a_message_too_deep_or_too_long_is_unknown(body: str) -> None:
    assert isinstance(letter(body), Unknown)


@pytest.mark.parametrize(
    "body",
    ["", "null", "[]", "hello", "{}", '{"Records":[]}', '{"Records":[{"s3":{}}]}', '{"Service":"Amazon S3"}'],
)
def test_what_is_neither_is_said_to_be(body: str) -> None:
    assert letter(body) == Unknown("neither an event of S3, nor an invocation record")


def test_an_invocation_record_that_is_damaged_is_said_to_be() -> None:
    assert isinstance(letter('{"KinesisBatchInfo": {}}'), Unknown)
    record = {
        "requestContext": {"condition": "RecordAgeExceeded"},
        "timestamp": "2026-11-24T14:30:00.123Z",
        "KinesisBatchInfo": {
            "shardId": kit.SHARD,
            "startSequenceNumber": "1",
            "endSequenceNumber": "2",
            "batchSize": 2,
            "streamArn": "arn:aws:kinesis:us-east-1:000000000000:stream/stock-quotes",
            "approximateArrivalOfFirstRecord": "2026-11-24T14:30:00.123Z",
            "approximateArrivalOfLastRecord": "2026-11-24T14:30:00.123Z",
        },
        "payload": '{"Records": [{}]}',
    }
    with pytest.raises(LetterError, match="payload is no event of a Kinesis stream"):
        failed_batch(json.dumps(record))
    record["payload"] = json.dumps(kit.event([kit.Sent(b"x", "1", 1)]))
    assert failed_batch(json.dumps(record)).stream == "stock-quotes"


@pytest.mark.parametrize("body", ["\ud800", '{"KinesisBatchInfo": "\ud800"}'])
def test_a_message_that_is_no_text_is_unknown(body: str) -> None:
    """A fuzzer found that it ended every command of the queue."""
    assert isinstance(letter(body), Unknown)
