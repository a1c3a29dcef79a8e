"""Alarms that stay in ALARM because an emulator evaluates them only when their metric is put."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.client import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricAlarmTypeDef

State = Literal["OK", "INSUFFICIENT_DATA"]
_ON_MISSING_DATA: dict[str, State] = {"notBreaching": "OK", "missing": "INSUFFICIENT_DATA"}


def quiet_alarms(cloudwatch: "CloudWatchClient", now: float) -> Iterator[tuple[str, State]]:
    """Alarms whose metric has had no data for an evaluation range, with the state AWS would give them.

    That follows from TreatMissingData ("Configuring how CloudWatch alarms treat missing data"): good data
    for `notBreaching`, INSUFFICIENT_DATA for `missing`; `breaching` and `ignore` keep the state.
    """
    for page in cloudwatch.get_paginator("describe_alarms").paginate(StateValue="ALARM"):
        for alarm in page.get("MetricAlarms", ()):
            state = _ON_MISSING_DATA.get(alarm.get("TreatMissingData") or "missing")
            if state is not None and "MetricName" in alarm and _is_quiet(cloudwatch, alarm, now):
                yield alarm["AlarmName"], state


def _is_quiet(cloudwatch: "CloudWatchClient", alarm: "MetricAlarmTypeDef", now: float) -> bool:
    period = alarm.get("Period", 60)
    window = period * (alarm.get("EvaluationPeriods", 1) + 1)
    if alarm["StateUpdatedTimestamp"].timestamp() > now - window:
        return False
    return not cloudwatch.get_metric_statistics(
        Namespace=alarm["Namespace"],
        MetricName=alarm["MetricName"],
        Dimensions=alarm.get("Dimensions", []),
        StartTime=datetime.fromtimestamp(now - window, UTC),
        EndTime=datetime.fromtimestamp(now + 60, UTC),
        Period=period,
        Statistics=["SampleCount"],
    )["Datapoints"]
