"""An alarm rings for its own function, not for another one's errors: CloudWatch's "Metrics concepts", Dimensions."""

from __future__ import annotations

from typing import Any

import pytest
from ministack.services import cloudwatch

from localstack.alarm_dimensions import judge_alarms_by_their_dimensions, summands


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of alarms that rang."""
    found: list[str] = []
    monkeypatch.setattr(cloudwatch, "_evaluate_alarm", cloudwatch._evaluate_alarm)
    monkeypatch.setattr(cloudwatch, "_metrics", {})
    monkeypatch.setattr(cloudwatch, "_record_history", lambda name, *_: found.append(name))
    monkeypatch.setattr(cloudwatch, "_dispatch_alarm_actions", lambda *_: None)
    judge_alarms_by_their_dimensions()
    return found


def alarm(function: str) -> dict[str, Any]:
    return {
        "AlarmName": f"{function}-errors", "Namespace": "AWS/Lambda", "MetricName": "Errors", "Statistic": "Sum",
        "Period": 60, "EvaluationPeriods": 5, "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold",
        "Dimensions": [{"Name": "FunctionName", "Value": function}], "StateValue": "OK",
    }  # fmt: skip


def test_only_the_alarm_of_the_function_that_fails_rings(rung: list[str]) -> None:
    for _ in range(3):
        cloudwatch.record_metric("AWS/Lambda", "Errors", 1, "Count", {"FunctionName": "stock-notifier"})
        cloudwatch.record_metric("AWS/Lambda", "Errors", 0, "Count", {"FunctionName": "stock-scanner"})
    for function in ("stock-scanner", "stock-notifier", "stock-detector"):
        cloudwatch._evaluate_alarm(alarm(function))
    assert rung == ["stock-notifier-errors"]


def by_metric_math(expression: str) -> dict[str, Any]:
    """An alarm of the errors and failed answers of a version, as `stream_infra.cdk.constructs.releases` has it."""
    metrics = {
        "m0": ("AWS/Lambda", "Errors", {"ExecutedVersion": "3"}),
        "m1": ("StockMonitor", "ServerErrors", {"version": "3"}),
    }
    stats = [
        {
            "Id": id_,
            "ReturnData": False,
            "MetricStat": {
                "Metric": {
                    "Namespace": namespace,
                    "MetricName": name,
                    "Dimensions": [{"Name": key, "Value": of} for key, of in dimensions.items()],
                },
                "Period": 60,
                "Stat": "Sum",
            },
        }
        for id_, (namespace, name, dimensions) in metrics.items()
    ]
    return {
        "AlarmName": "version-3", "Metrics": [{"Id": "all", "Expression": expression}, *stats], "Period": 60,
        "EvaluationPeriods": 1, "Threshold": 2, "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Statistic": "Sum", "StateValue": "OK",
    }  # fmt: skip


def test_a_sum_by_metric_math_counts_a_metric_without_a_value_as_nothing(rung: list[str]) -> None:
    """CloudWatch user guide, "Using metric math", FILL."""
    watched = by_metric_math("FILL(m0, 0) + FILL(m1, 0)")
    cloudwatch.record_metric("StockMonitor", "ServerErrors", 1, "Count", {"version": "3"})
    cloudwatch.record_metric("StockMonitor", "ServerErrors", 5, "Count", {"version": "2"})
    cloudwatch._evaluate_alarm(watched)
    assert (rung, watched["StateValue"]) == ([], "OK")
    cloudwatch.record_metric("AWS/Lambda", "Errors", 1, "Count", {"ExecutedVersion": "3"})
    cloudwatch._evaluate_alarm(watched)
    assert (rung, watched["StateValue"]) == (["version-3"], "ALARM")


@pytest.mark.parametrize(
    "expression", ["m0 + m1", "FILL(m0, 0) / FILL(m1, 0)", "FILL(m0, REPEAT)", "FILL(m9, 0)"]
)
def test_metric_math_that_is_not_known_is_rejected(expression: str) -> None:
    with pytest.raises(ValueError, match="the local AWS knows sums of FILL"):
        summands(by_metric_math(expression)["Metrics"])
