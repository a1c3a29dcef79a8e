"""What the local AWS forgets, by the rules by which AWS forgets it: a monitor runs on a laptop for weeks.

MiniStack expires items of tables (time to live), records of streams and messages of queues. It keeps for ever:

- Log events: "CloudWatch Logs doesn't immediately delete log events when they reach their retention setting. It
  typically takes up to 72 hours after that" (CloudWatch Logs API, PutRetentionPolicy). A stream without events goes as
  well: MiniStack makes one for every invocation, and AWS one for every environment.
- Objects: "To calculate the expiration date, S3 adds the number of days in the rule to the creation time, and rounds
  up to the next day at midnight UTC" (S3 guide, "Lifecycle rules: Based on an object's age"). In a versioned bucket
  what expires gets a delete marker, and a marker that stands alone goes ("Expiring objects"). A version that is not
  current counts from the day on which its successor was made. Nothing listens for the events of S3 about it.
- Points of metrics: with a period below a minute they are there for 3 hours and are "aggregated together for long-term
  storage" afterwards (CloudWatch API, GetMetricData): by the minute for 15 days, by the hour for 455. A laptop keeps a
  day by the minute, and the rest of the 15 by the hour.
- Events in an archive, for its RetentionDays (EventBridge API, CreateArchive); the history of alarms, for 30 days
  (CloudWatch guide, "Alarms": "CloudWatch preserves alarm history for 30 days").

The rules are those that the stacks declare; `kept_days` of a deployment decides the most of them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from ministack.services import cloudwatch, cloudwatch_logs, eventbridge, s3

logger = logging.getLogger(__name__)

FIRST_SECONDS = 60.0
"""When the start is over, and what the last run left is loaded."""
EVERY_SECONDS = 3600.0
DAY = 86_400
_AT_ONCE = 200
"""Objects or log streams between which requests may pass."""
_METRIC_DAYS = 15
_PERIODS = ((3 * 3600, 60), (DAY, 3600))
"""From which age on (seconds) points of a metric are one for each period (seconds)."""
_ALARM_HISTORY_DAYS = 30
Json = dict[str, Any]


class Version(NamedTuple):
    """A version of an object, or a delete marker."""

    id: str
    made_s: float
    size: int = 0
    is_marker: bool = False


async def forget_regularly() -> None:
    """Forget what is due once an hour, a little at a time, so that requests are answered meanwhile."""
    await asyncio.sleep(FIRST_SECONDS)
    while True:
        for part in _PARTS:
            try:
                for _ in part(time.time()):
                    await asyncio.sleep(0)
            # What has a form that is not known here stays; the other parts are forgotten.
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
                logger.exception("what is due was not all forgotten")
        await asyncio.sleep(EVERY_SECONDS)


def forget(now_s: float) -> Iterator[None]:
    """Forget what is due at a time; yields between two pieces of the work."""
    for part in _PARTS:
        yield from part(now_s)


def expired(
    key: str, versions: Sequence[Version], rules: Iterable[Json], now_s: float
) -> tuple[bool, set[str]]:
    """Return whether the current version of an object expires, and the ids of versions and markers that go for good.

    Parameters
    ----------
    versions
        Oldest first; not empty.
    rules
        As MiniStack keeps them. Rules for tags are left out: no stack has any.
    """
    hides, removed = False, set[str]()
    *older, current = versions
    for rule in rules:
        if rule["Status"] != "Enabled" or "Tag" in rule["Filter"] or "Tags" in rule["Filter"].get("And", {}):
            continue
        filter_ = {**rule["Filter"], **rule["Filter"].get("And", {})}
        if not key.startswith(filter_.get("Prefix", "")):
            continue
        expiration = rule.get("Expiration", {})
        is_due = "Days" in expiration and _due_s(current.made_s, expiration["Days"]) <= now_s
        is_due |= "Date" in expiration and _epoch(expiration["Date"]) <= now_s
        if current.is_marker:
            if not older and (is_due or expiration.get("ExpiredObjectDeleteMarker")):
                removed.add(current.id)
        elif is_due and _fits(current, filter_):
            hides = True
        noncurrent = rule.get("NoncurrentVersionExpiration", {})
        kept = noncurrent.get("NewerNoncurrentVersions", 0)
        for version, successor in list(pairwise(versions))[: max(0, len(older) - kept)] if noncurrent else ():
            is_old = _due_s(successor.made_s, noncurrent.get("NoncurrentDays", 0)) <= now_s
            if is_old and (version.is_marker or _fits(version, filter_)):
                removed.add(version.id)
    return hides, removed


def _fits(version: Version, filter_: Json) -> bool:
    smallest, largest = filter_.get("ObjectSizeGreaterThan", -1), filter_.get("ObjectSizeLessThan", 1 << 62)
    return bool(smallest < version.size < largest)


def _due_s(since_s: float, days: int) -> float:
    return -(-since_s // DAY) * DAY + days * DAY


def _epoch(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()


def _logs(now_s: float) -> Iterator[None]:
    oldest = {}
    for (_, _, name), group in list(cloudwatch_logs._log_groups._data.items()):
        if not group["retentionInDays"]:
            continue
        oldest[name] = oldest_ms = int((now_s - group["retentionInDays"] * DAY) * 1000)
        for at, (stream_name, stream) in enumerate(list(group["streams"].items())):
            with cloudwatch_logs._log_events_lock:
                if max(stream["lastEventTimestamp"] or 0, stream["creationTime"]) < oldest_ms:
                    del group["streams"][stream_name]
                elif (stream["firstEventTimestamp"] or oldest_ms) < oldest_ms:
                    kept = [event for event in stream["events"] if event["timestamp"] >= oldest_ms]
                    stream["events"] = kept
                    stream["firstEventTimestamp"] = kept[0]["timestamp"] if kept else None
            if at % _AT_ONCE == 0:
                yield
    records = cloudwatch_logs._log_records._data
    for key, record in list(records.items()):
        if record["_timestamp_ms"] < oldest.get(record["@log"], 0):
            del records[key]
    yield


def _objects(now_s: float) -> Iterator[None]:
    histories: dict[str, dict[str, list[Json]]] = {}
    for (bucket, key), versions in s3._object_versions.items():
        histories.setdefault(bucket, {})[key] = versions
    for name, rules in list(s3._bucket_lifecycle.items()):
        bucket, history = s3._buckets[name], histories.get(name, {})
        for at, key in enumerate([*history, *(key for key in bucket["objects"] if key not in history)]):
            current = bucket["objects"].get(key)
            found = history.get(key) or ([{"version_id": "null", **current}] if current else [])
            if not found:  # deleted meanwhile
                continue
            versions = [
                Version(
                    of["version_id"],
                    _epoch(of["last_modified"]),
                    of["size"],
                    of.get("is_delete_marker", False),
                )
                for of in found
            ]
            _expire(name, key, *expired(key, versions, rules, now_s))
            if at % _AT_ONCE == 0:
                yield
        _abandon_uploads(name, rules, now_s)


def _expire(name: str, key: str, hides: bool, removed: set[str]) -> None:
    bucket = s3._buckets[name]
    for version_id in removed:
        path = s3._version_disk_path(name, key, version_id)
        s3._delete_object_version(bucket, name, key, version_id)
        _remove_empty_folders(path)
    path = s3._object_disk_path(name, key)
    if hides and s3._bucket_versioning.get(name):
        s3._record_delete_marker(name, key, bucket["objects"].get(key))
        bucket["objects"].pop(key, None)
        # MiniStack has put the body among the older versions, and keeps it in its old place as well.
        if path:
            Path(path).unlink(missing_ok=True)
    elif hides:
        s3._purge_current_object(name, key, bucket)
    if hides or removed:
        _remove_empty_folders(path)


def _remove_empty_folders(path: str | None) -> None:
    """Remove the folders above a file of the object store that hold nothing any more."""
    with suppress(OSError):  # the first that holds something
        for folder in Path(path).parents if path else ():
            if not folder.is_relative_to(s3.DATA_DIR) or folder == Path(s3.DATA_DIR):
                return
            folder.rmdir()


def _abandon_uploads(name: str, rules: Iterable[Mapping[str, Any]], now_s: float) -> None:
    days = [
        rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]
        for rule in rules
        if "AbortIncompleteMultipartUpload" in rule and rule["Status"] == "Enabled"
    ]
    for id_, upload in list(s3._multipart_uploads.items()) if days else ():
        if upload["bucket"] == name and _due_s(_epoch(upload["created"]), min(days)) <= now_s:
            del s3._multipart_uploads[id_]


def _metrics(now_s: float) -> Iterator[None]:
    for key, points in list(cloudwatch._metrics._data.items()):
        # What is newer stays where it is: functions that end meanwhile add to the end of the same list.
        newer = (at for at, point in enumerate(points) if point["Timestamp"] >= now_s - _PERIODS[0][0])
        count = next(newer, len(points))
        points[:count] = thinned(points[:count], now_s)
        if not points:
            del cloudwatch._metrics._data[key]
        yield


def thinned(points: Sequence[Json], now_s: float) -> list[Json]:
    """Return points of a metric as statistic sets of the periods of their age, without those that are too old."""
    kept = [point for point in points if point["Timestamp"] >= now_s - _METRIC_DAYS * DAY]

    def period_of(point: Json) -> tuple[float, int]:
        age = now_s - point["Timestamp"]
        period = next((period for oldest, period in reversed(_PERIODS) if age >= oldest), 1)
        return point["Timestamp"] // period * period, period

    found = []
    for (start_s, _), group in groupby(sorted(kept, key=lambda of: of["Timestamp"]), period_of):
        first, *others = members = list(group)
        stats = cloudwatch._calc_stats(members) if others else {}
        if not stats:
            found.append(first)
            continue
        average = stats.pop("Average")
        found.append({**first, "Timestamp": start_s, "Value": average, "Count": 1.0, "_stat": stats})
    return found


def _events(now_s: float) -> Iterator[None]:
    for archive in eventbridge._archives._data.values():
        if days := archive["RetentionDays"]:  # 0 is for ever
            events = archive.get("Events", [])
            events[:] = [event for event in events if event["Time"] >= now_s - days * DAY]
            archive["EventCount"] = len(events)
    for events in eventbridge._events_log._data.values():  # of all buses, for nobody
        events.clear()
    for entries in cloudwatch._alarm_history._data.values():
        oldest = now_s - _ALARM_HISTORY_DAYS * DAY
        entries[:] = [entry for entry in entries if _epoch(entry["Timestamp"]) >= oldest]
    yield


_PARTS = (_logs, _objects, _metrics, _events)
