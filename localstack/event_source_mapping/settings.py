"""The settings of an event source mapping, as ListEventSourceMappings gives them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from producers.errors import MonitorError

StartingPosition = Literal["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"]
_POSITIONS = ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP")


class InvalidMappingError(MonitorError, ValueError):
    """A mapping's settings make no sense: the message names the mapping, the setting and what it must be."""


@dataclass(frozen=True, slots=True)
class MappingSettings:
    """One Kinesis mapping. Ages and windows in seconds; -1 means "no limit", as in the Lambda API."""

    uuid: str
    stream_arn: str
    function_arn: str
    enabled: bool
    batch_size: int = 100
    batching_window: float = 0.0
    parallelization_factor: int = 1
    report_batch_item_failures: bool = False
    bisect_on_error: bool = False
    maximum_retry_attempts: int = -1
    maximum_record_age: int = -1
    on_failure_destination: str | None = None
    starting_position: StartingPosition = "TRIM_HORIZON"
    starting_timestamp: float | None = None

    @property
    def function_name(self) -> str:
        """Return the function's name without version or alias: the metrics' dimension."""
        return self.function_arn.split(":")[6]


def is_kinesis(mapping: Mapping[str, Any]) -> bool:
    """Return whether a mapping reads a Kinesis stream."""
    return str(mapping.get("EventSourceArn", "")).split(":")[2:3] == ["kinesis"]


def parse_mapping(mapping: Mapping[str, Any]) -> MappingSettings:
    """Read a mapping as listed by the Lambda API.

    CloudFormation layers of emulators hand numbers and booleans on as strings, so both are taken.

    Raises
    ------
    InvalidMappingError
        for a value outside the ranges of CreateEventSourceMapping, naming mapping, setting and range; and for
        tumbling windows, which this runner does not have.
    """
    uuid = str(mapping["UUID"])
    if _integer(mapping, "TumblingWindowInSeconds", 0, 0, 900):
        raise InvalidMappingError(
            f"mapping {uuid}: TumblingWindowInSeconds is set; this runner has no tumbling windows"
        )
    if (mapping.get("FilterCriteria") or {}).get("Filters"):
        raise InvalidMappingError(f"mapping {uuid}: FilterCriteria is set; this runner has no filters")
    destination = ((mapping.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
    return MappingSettings(
        uuid=uuid,
        stream_arn=_stream_arn(str(mapping["EventSourceArn"])),
        function_arn=str(mapping["FunctionArn"]),
        enabled=str(mapping.get("State", "Enabled")) in {"Enabled", "Enabling", "Creating", "Updating"},
        batch_size=_integer(mapping, "BatchSize", 100, 1, 10_000),
        batching_window=_integer(mapping, "MaximumBatchingWindowInSeconds", 0, 0, 300),
        parallelization_factor=_integer(mapping, "ParallelizationFactor", 1, 1, 10),
        report_batch_item_failures="ReportBatchItemFailures" in (mapping.get("FunctionResponseTypes") or ()),
        bisect_on_error=_boolean(mapping, "BisectBatchOnFunctionError"),
        maximum_retry_attempts=_integer(mapping, "MaximumRetryAttempts", -1, -1, 10_000),
        maximum_record_age=_integer(mapping, "MaximumRecordAgeInSeconds", -1, -1, 604_800),
        on_failure_destination=str(destination) if destination else None,
        starting_position=_position(mapping),
        starting_timestamp=_timestamp(mapping),
    )


def _stream_arn(arn: str) -> str:
    """Return the stream's ARN, also where the mapping reads through an enhanced fan-out consumer."""
    return arn.partition("/consumer/")[0]


def _integer(mapping: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    raw = mapping.get(name)
    if raw is None:
        return default
    try:
        value = int(raw)
    except (TypeError, ValueError):
        value = low - 1
    if not low <= value <= high:
        raise InvalidMappingError(
            f"mapping {mapping['UUID']}: {name} is {raw!r}; must be a whole number from {low} to {high}"
        )
    return value


def _boolean(mapping: Mapping[str, Any], name: str) -> bool:
    raw = mapping.get(name)
    if isinstance(raw, str):
        return raw.lower() == "true"
    return bool(raw)


def _position(mapping: Mapping[str, Any]) -> StartingPosition:
    position = str(mapping.get("StartingPosition") or "TRIM_HORIZON")
    if position not in _POSITIONS:
        raise InvalidMappingError(
            f"mapping {mapping['UUID']}: StartingPosition is {position!r}; "
            f"must be one of {', '.join(_POSITIONS)}"
        )
    return cast(StartingPosition, position)


def _timestamp(mapping: Mapping[str, Any]) -> float | None:
    raw = mapping.get("StartingPositionTimestamp")
    if raw is None:
        return None
    return float(raw.timestamp()) if hasattr(raw, "timestamp") else float(raw)
