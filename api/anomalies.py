"""Pages of anomalies, newest first, out of `stock-anomalies` by keys and indexes only.

A ticker has its own partition of the table, a date one of DateIndex. Whatever spans tickers and days is
merged from SeverityIndex, one stream a severity: four streams reach back to the first anomaly without
walking over empty days. A page costs at most `QUERIES_PER_PAGE` queries; when filters leave little of what
they read, it ends early and its cursor goes on from there.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from api import cursor
from api.cursor import CursorKey, Progress
from consumers.contracts.anomaly import SEVERITIES, Anomaly, from_item, iso_ms

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryInputTypeDef

QUERIES_PER_PAGE = 12
FILTERED_READ = 500  # items read by one query whose filter drops some
_AFTER_ALL = "~"  # sorts after every digit: the upper bound of all timestamps


@dataclass(frozen=True, slots=True)
class AnomalyQuery:
    """Which anomalies: `since_ms` inclusive, `until_ms` exclusive (epoch ms UTC); empty tuples mean any."""

    ticker: str | None = None
    date: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    kinds: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    source: str | None = None  # an origin (live, simulated, replay), or one source by name


class AnomalyListing(NamedTuple):
    """Anomalies newest first, and the cursor of what follows (None when nothing does)."""

    anomalies: list[Anomaly]
    next: str | None


class Counts(NamedTuple):
    """Numbers of anomalies; `complete` is False when counting stopped before the end."""

    by_severity: dict[str, int]
    complete: bool


class _Stream(NamedTuple):
    """One partition of the table or of an index, read in descending order of `timestamp`."""

    index_name: str | None
    attribute: str
    value: str


@dataclass(slots=True)
class _Run:
    """Reading one stream: what was fetched and not given out yet, and where to go on."""

    stream: _Stream
    after: CursorKey | None
    exhausted: bool
    buffer: deque[dict[str, Any]] = field(default_factory=deque)
    resume: CursorKey | None = None  # where the fetch that filled the buffer ended

    @property
    def needs_fetch(self) -> bool:
        return not self.buffer and not self.exhausted

    @property
    def progress(self) -> Progress:
        return Progress(self.after, done=self.exhausted and not self.buffer)

    def fill(self, items: list[dict[str, Any]], last_key: dict[str, Any] | None) -> None:
        self.buffer.extend(items)
        self.exhausted = last_key is None
        self.resume = _key(last_key) if last_key else None
        if not self.buffer:
            self.after = self.resume

    def pop(self) -> dict[str, Any]:
        item = self.buffer.popleft()
        self.after = self.resume if not self.buffer and self.resume else _key(item)
        return item


class AnomalyStore:
    """The reads of `stock-anomalies`; the client is a low-level DynamoDB one."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def page(self, query: AnomalyQuery, limit: int, token: str | None) -> AnomalyListing:
        """Return at most `limit` anomalies after the cursor `token`; fewer, even none, may come with a next cursor.

        Raises
        ------
        Problem
            400 for a cursor that is not one of this query's.
        """
        streams = _streams(query)
        progress = (
            cursor.decode(token, repr(query), len(streams))
            if token
            else [Progress(None, done=False)] * len(streams)
        )
        low, high = _bounds(query)
        if low > high:  # DynamoDB rejects a BETWEEN whose bounds are crossed
            return AnomalyListing([], None)
        if any(at.after and not low <= at.after.timestamp <= high for at in progress):
            raise cursor.rejected(token or "")  # DynamoDB: "starting key is outside query boundaries"
        runs = [_Run(stream, at.after, at.done) for stream, at in zip(streams, progress, strict=True)]
        items = self._merge(runs, query, limit)
        unfinished = any(not run.progress.done for run in runs)
        following = cursor.encode(repr(query), [run.progress for run in runs]) if unfinished else None
        return AnomalyListing([from_item(item) for item in items], following)

    def get(self, ticker: str, timestamp: str) -> Anomaly | None:
        """Return the anomaly with that key, or None."""
        found = self._client.get_item(
            TableName=self._table, Key={"ticker": {"S": ticker}, "timestamp": {"S": timestamp}}
        )
        item = found.get("Item")
        return from_item(item) if item else None

    def counts(self, query: AnomalyQuery) -> Counts:
        """Count the anomalies of a query by severity; counting stops after about 1 MB of each.

        The query's own severities do not matter: the numbers say what each of them would show.
        """
        by_severity, complete = dict.fromkeys(SEVERITIES, 0), True
        low, high = _bounds(query)
        if low > high:
            return Counts(by_severity, complete)
        for severity in SEVERITIES:
            of_severity = replace(query, severities=(severity,))
            request = _request(self._table, _streams(replace(of_severity, date=None))[0], of_severity)
            request["Select"] = "COUNT"
            found = self._client.query(**request)
            by_severity[severity] = found["Count"]
            complete = complete and "LastEvaluatedKey" not in found
        return Counts(by_severity, complete)

    def _merge(self, runs: list[_Run], query: AnomalyQuery, limit: int) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        queries = 0
        while len(items) < limit:
            # No item may be given out before every stream has shown its next one.
            for run in runs:
                while run.needs_fetch and queries < QUERIES_PER_PAGE:
                    # Of several streams none is likely to fill the page alone: a whole page of each is read in vain.
                    wanted = limit - len(items)
                    self._fetch(run, query, wanted if queries >= len(runs) or len(runs) == 1 else wanted // 2)
                    queries += 1
            ready = [run for run in runs if run.buffer]
            if not ready or any(run.needs_fetch for run in runs):
                break
            items.append(max(ready, key=lambda run: str(run.buffer[0]["timestamp"]["S"])).pop())
        return items

    def _fetch(self, run: _Run, query: AnomalyQuery, wanted: int) -> None:
        request = _request(self._table, run.stream, query)
        # One more than wanted, so that a page that ends exactly at the end knows that it does.
        request["Limit"] = max(wanted + 1, FILTERED_READ) if "FilterExpression" in request else wanted + 1
        if run.after:
            request["ExclusiveStartKey"] = _start_key(run.stream, run.after)
        found = self._client.query(**request)
        run.fill(found["Items"], found.get("LastEvaluatedKey"))


def _streams(query: AnomalyQuery) -> list[_Stream]:
    if query.ticker is not None:
        return [_Stream(None, "ticker", query.ticker)]
    if query.date is not None:
        return [_Stream("DateIndex", "date", query.date)]
    return [_Stream("SeverityIndex", "severity", severity) for severity in query.severities or SEVERITIES]


def _bounds(query: AnomalyQuery) -> tuple[str, str]:
    # The sort key is `<ISO ms>#<kind>`: a bare instant sorts before every key of that instant.
    low = iso_ms(query.since_ms) if query.since_ms is not None else "0"
    high = iso_ms(query.until_ms) if query.until_ms is not None else _AFTER_ALL
    if query.date is None:
        return low, high
    return max(low, query.date), min(high, f"{query.date}{_AFTER_ALL}")


def _request(table: str, stream: _Stream, query: AnomalyQuery) -> QueryInputTypeDef:
    low, high = _bounds(query)
    names = {"#hash": stream.attribute, "#range": "timestamp"}
    values: dict[str, Any] = {":hash": {"S": stream.value}, ":low": {"S": low}, ":high": {"S": high}}
    terms = _source_terms(query.source, names, values)
    filters = {"kind": query.kinds, "severity": () if stream.attribute == "severity" else query.severities}
    for attribute, allowed in filters.items():
        if allowed:
            names[f"#{attribute}"] = attribute
            placeholders = {f":{attribute}{n}": {"S": value} for n, value in enumerate(allowed)}
            values.update(placeholders)
            terms.append(f"#{attribute} IN ({', '.join(placeholders)})")
    request: QueryInputTypeDef = {
        "TableName": table,
        "KeyConditionExpression": "#hash = :hash AND #range BETWEEN :low AND :high",
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
        "ScanIndexForward": False,
    }
    if stream.index_name:
        request["IndexName"] = stream.index_name
    if terms:
        request["FilterExpression"] = " AND ".join(terms)
    return request


def _source_terms(source: str | None, names: dict[str, str], values: dict[str, Any]) -> list[str]:
    """Return the condition on `source`, with what it refers to added to `names` and `values`."""
    if source is None:
        return []
    names["#source"] = "source"
    if source == "backfill":
        values[":backfill"] = {"S": "backfill-"}
        return ["begins_with(#source, :backfill)"]
    if source in {"live", "replay"}:
        values |= {":replay": {"S": "replay"}, ":run": {"S": "replay-"}}
        replayed = "#source = :replay OR begins_with(#source, :run)"
        if source == "replay":
            return [f"({replayed})"]
        values |= {
            ":simulated": {"S": "simulated"},
            ":backfill": {"S": "backfill-"},
            ":verify": {"S": "verify-"},
        }
        past = "begins_with(#source, :backfill) OR begins_with(#source, :verify)"
        return [f"NOT (#source = :simulated OR {past} OR {replayed})"]
    values[":source"] = {"S": source}
    return ["#source = :source"]


def _start_key(stream: _Stream, key: CursorKey) -> dict[str, Any]:
    return {
        stream.attribute: {"S": stream.value},
        "ticker": {"S": key.ticker},
        "timestamp": {"S": key.timestamp},
    }


def _key(key: dict[str, Any]) -> CursorKey:
    return CursorKey(key["timestamp"]["S"], key["ticker"]["S"])
