"""Reading a mapping's settings."""

from datetime import UTC, datetime
from typing import Any

import pytest

from localstack.event_source_mapping.settings import InvalidMappingError, is_kinesis, parse_mapping

LISTED: dict[str, Any] = {
    "UUID": "1-2-3",
    "EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/quotes",
    "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:detector:live",
    "State": "Enabled",
}


def test_defaults_are_those_of_create_event_source_mapping() -> None:
    settings = parse_mapping(LISTED)
    assert (settings.batch_size, settings.batching_window, settings.parallelization_factor) == (100, 0, 1)
    assert (settings.maximum_retry_attempts, settings.maximum_record_age) == (-1, -1)
    assert settings.on_failure_destination is None
    assert settings.function_name == "detector"


def test_strings_from_a_template_are_numbers_and_booleans() -> None:
    settings = parse_mapping({**LISTED, "BatchSize": "500", "BisectBatchOnFunctionError": "true"})
    assert (settings.batch_size, settings.bisect_on_error) == (500, True)


def test_a_consumer_reads_its_stream() -> None:
    arn = LISTED["EventSourceArn"] + "/consumer/detector:1700000000"
    assert parse_mapping({**LISTED, "EventSourceArn": arn}).stream_arn == LISTED["EventSourceArn"]


def test_a_starting_timestamp_is_epoch_seconds() -> None:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    settings = parse_mapping({**LISTED, "StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": at})
    assert settings.starting_timestamp == at.timestamp()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("BatchSize", 0), ("BatchSize", "many"), ("ParallelizationFactor", 11), ("MaximumRetryAttempts", -2),
     ("StartingPosition", "MIDDLE")],
)  # fmt: skip
def test_a_senseless_setting_is_named(setting: str, value: object) -> None:
    with pytest.raises(InvalidMappingError, match=f"1-2-3: {setting} is .*must be"):
        parse_mapping({**LISTED, setting: value})


def test_tumbling_windows_are_rejected_and_not_ignored() -> None:
    with pytest.raises(InvalidMappingError, match="TumblingWindowInSeconds"):
        parse_mapping({**LISTED, "TumblingWindowInSeconds": 30})
    assert parse_mapping({**LISTED, "TumblingWindowInSeconds": 0})


def test_filters_are_rejected_and_not_ignored() -> None:
    with pytest.raises(InvalidMappingError, match="FilterCriteria is set"):
        parse_mapping({**LISTED, "FilterCriteria": {"Filters": [{"Pattern": "{}"}]}})
    assert parse_mapping({**LISTED, "FilterCriteria": {"Filters": []}})


def test_queues_are_left_to_the_emulator() -> None:
    assert is_kinesis(LISTED)
    assert not is_kinesis({"EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:alerts"})
    assert not is_kinesis({})
