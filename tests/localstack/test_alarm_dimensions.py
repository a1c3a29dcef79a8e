"""An alarm rings for its own function, not for another one's errors: CloudWatch's "Metrics concepts", Dimensions."""

from __future__ import annotations

from typing import Any

import pytest
from ministack.services import cloudwatch

from localstack.alarm_dimensions import judge_alarms_by_their_dimensions


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
