"""What Lambda log lines say: embedded metrics and executions (pure)."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from localstack.event_source_mapping.metrics import Execution, Sample

_REPORT = re.compile(r"^REPORT RequestId: \S+\s+Duration: ([0-9.]+) ms")
_FAILED = re.compile(r"^Traceback \(most recent call last\):|^\[ERROR\]|Task timed out after")


def embedded_metrics(line: str, received: float) -> list[Sample]:
    """Return the samples of a line in CloudWatch's embedded metric format; none of any other line.

    The line may have text before the JSON object (`2026-... INFO {...}`). `received` is used where the line
    names no time.
    """
    start = line.find("{")
    if start < 0 or '"_aws"' not in line:
        return []
    try:
        document = json.loads(line[start:])
    except ValueError:
        return []
    header = document.get("_aws") if isinstance(document, dict) else None
    if not isinstance(header, dict):
        return []
    timestamp = header.get("Timestamp")
    at = timestamp / 1000 if isinstance(timestamp, int | float) else received
    return [
        sample
        for directive in header.get("CloudWatchMetrics") or ()
        for sample in _samples(document, directive, at)
    ]


def _samples(document: dict[str, Any], directive: dict[str, Any], at: float) -> Iterator[Sample]:
    for names in directive.get("Dimensions") or [[]]:
        dimensions = tuple((name, str(document[name])) for name in names if name in document)
        for metric in directive.get("Metrics") or ():
            values = document.get(metric["Name"])
            for value in values if isinstance(values, list) else [values]:
                if isinstance(value, int | float) and not isinstance(value, bool):
                    unit = metric.get("Unit", "None")
                    yield Sample(directive["Namespace"], metric["Name"], dimensions, float(value), unit, at)


class ExecutionReader:
    """Finds executions in the lines of one log stream, given in order.

    A failed one shows an uncaught exception's traceback or a timeout before its REPORT line.
    """

    def __init__(self) -> None:
        self._failed = False

    def read(self, lines: Iterable[tuple[float, str]]) -> Iterator[Execution]:
        """Yield an execution for each REPORT line; lines come with their epoch times in seconds."""
        for at, line in lines:
            if line.startswith("START RequestId"):
                self._failed = False
            self._failed |= _FAILED.search(line) is not None
            if report := _REPORT.match(line):
                yield Execution(at, float(report.group(1)), self._failed)
                self._failed = False
