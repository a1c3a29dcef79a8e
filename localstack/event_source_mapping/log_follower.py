"""Reads the log groups of functions that the runner does not invoke itself."""

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_logs.client import CloudWatchLogsClient

_PREFIX = "/aws/lambda/"
_OVERLAP_SECONDS = 10.0


class LogLine(NamedTuple):
    """One log line; `at` in epoch seconds."""

    function_name: str
    stream: str
    at: float
    message: str


class LogFollower:
    """New lines since the last look.

    Lines may arrive late, so each look goes back some seconds and leaves out what was seen; lines written
    before the follower started are history.
    """

    def __init__(self, logs: "CloudWatchLogsClient", started: float) -> None:
        self._logs = logs
        self._started = started
        self._seen: dict[str, Counter[tuple[str, int, str]]] = {}

    def function_names(self) -> list[str]:
        """Functions that have a log group."""
        pages = self._logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=_PREFIX)
        return [group["logGroupName"].removeprefix(_PREFIX) for page in pages for group in page["logGroups"]]

    def new_lines(self, function_name: str, until: float) -> list[LogLine]:
        """Lines up to an epoch time that were not given before, in order of time within each log stream."""
        since = max(self._started, until - _OVERLAP_SECONDS)
        found: Counter[tuple[str, int, str]] = Counter()
        order: list[tuple[str, int, str]] = []
        try:
            pages = self._logs.get_paginator("filter_log_events").paginate(
                logGroupName=_PREFIX + function_name, startTime=int(since * 1000), endTime=int(until * 1000)
            )
            for page in pages:
                for event in page["events"]:
                    key = (event["logStreamName"], event["timestamp"], event["message"])
                    found[key] += 1
                    order.append(key)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
        fresh = found - self._seen.get(function_name, Counter())
        self._seen[function_name] = found
        return [LogLine(function_name, key[0], key[1] / 1000, key[2]) for key in _newest(order, fresh)]


def _newest(
    order: list[tuple[str, int, str]], fresh: Counter[tuple[str, int, str]]
) -> list[tuple[str, int, str]]:
    """Return the last `fresh[key]` occurrences of each key, in order."""
    taken = []
    left = Counter(fresh)
    for key in reversed(order):
        if left[key] > 0:
            left[key] -= 1
            taken.append(key)
    return taken[::-1]
