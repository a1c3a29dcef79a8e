"""Alarms that ring for their own metrics alone, as CloudWatch's do; those by metric math, too.

"CloudWatch treats each unique combination of dimensions as a separate metric" (CloudWatch user guide, "Metrics
concepts", Dimensions). The emulator's evaluation takes the data of all of them together: errors of one function would
ring the alarms of every other. An alarm by metric math it does not know at all; of the expressions it is
the sum here, ``FILL(m0, 0) + FILL(m1, 0)`` (user guide, "Using metric math", FILL: a metric without a value counts 0).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import FunctionType
from typing import Any

from ministack.services import cloudwatch

Alarm = dict[str, Any]
_FILLED = re.compile(r"FILL\((\w+), 0\)")
_SUM = ("math", "sum")
"""Namespace and name under which the emulator judges a sum."""


def judge_alarms_by_their_dimensions() -> None:
    """Let the emulator's evaluation of an alarm see only data with exactly the alarm's dimensions."""
    judge: FunctionType = cloudwatch._evaluate_alarm

    def evaluate(alarm: Alarm) -> None:
        summed = bool(alarm.get("Metrics"))
        own = {
            (*_SUM, number) if summed else key: points
            for number, metric in enumerate(summands(alarm["Metrics"]) if summed else [alarm])
            for key, points in _data_of(metric)
        }
        judged = {**alarm, **dict(zip(("Namespace", "MetricName"), _SUM, strict=True))} if summed else alarm
        FunctionType(judge.__code__, {**vars(cloudwatch), "_metrics": own})(judged)
        if summed:
            alarm.update({key: of for key, of in judged.items() if key.startswith("State")})

    cloudwatch._evaluate_alarm = evaluate


def summands(queries: list[Alarm]) -> list[Mapping[str, Any]]:
    """Return the metrics whose sum an alarm's queries are, each with what PutMetricAlarm says of one metric.

    Raises
    ------
    ValueError
        They are another expression, or not sums of the same period.
    """
    (wanted,) = (query for query in queries if query.get("ReturnData", True))
    stats = {query["Id"]: query["MetricStat"] for query in queries if "MetricStat" in query}
    added = [_FILLED.fullmatch(part) for part in wanted.get("Expression", "").split(" + ")]
    ids = [part[1] for part in added if part]
    kinds = {(stats[id_]["Stat"], stats[id_]["Period"]) for id_ in ids if id_ in stats}
    if len(ids) < len(added) or not set(ids) <= stats.keys() or [kind for kind, _ in kinds] != ["Sum"]:
        raise ValueError(f"the local AWS knows sums of FILL(…, 0) as metric math, not {queries}")
    return [{**stats[id_]["Metric"], "Statistic": "Sum", "Period": stats[id_]["Period"]} for id_ in ids]


def _data_of(metric: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str, Any], list[Any]]]:
    wanted = {of["Name"]: of["Value"] for of in metric.get("Dimensions") or ()}
    name = (metric.get("Namespace"), metric.get("MetricName"))
    for key, points in list(cloudwatch._metrics.items()):
        if key[:2] == name and points and points[0]["Dimensions"] == wanted:
            yield key, points
