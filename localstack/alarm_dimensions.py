"""Alarms that ring for their own metric alone, as CloudWatch's do.

"CloudWatch treats each unique combination of dimensions as a separate metric" (CloudWatch user guide, "Metrics
concepts", Dimensions). The emulator's evaluation takes the data of all of them together: errors of one function would
ring the alarms of every other.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

from ministack.services import cloudwatch


def judge_alarms_by_their_dimensions() -> None:
    """Let the emulator's evaluation of an alarm see only data with exactly the alarm's dimensions."""
    judge: FunctionType = cloudwatch._evaluate_alarm

    def evaluate(alarm: dict[str, Any]) -> None:
        wanted = {of["Name"]: of["Value"] for of in alarm.get("Dimensions") or ()}
        name = (alarm.get("Namespace"), alarm.get("MetricName"))
        own = {
            key: points
            for key, points in list(cloudwatch._metrics.items())
            if key[:2] == name and points and points[0]["Dimensions"] == wanted
        }
        FunctionType(judge.__code__, {**vars(cloudwatch), "_metrics": own})(alarm)

    cloudwatch._evaluate_alarm = evaluate
