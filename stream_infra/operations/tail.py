"""What `stock-monitor tail` follows: ticks from the stream, anomalies from the API, alerts from the outbox.

A cursor gives what is there since a moment, then, with each poll, what came after that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from stream_infra import names
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.errors import NotDeployedError
from stream_infra.operations.web_client import get_json

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

    from consumers.alerts.message_store import StoredMessage
from consumers.alerts.store import AlertStore

Item = dict[str, Any]
PAGE = 200
RECORDS = 1000
ANOMALY_OVERLAP_MS = 600_000
"""Anomalies appear in the order in which they are found, not of their times: look back this far for more."""


class Cursor(Protocol):
    """A thing to follow."""

    def poll(self) -> tuple[list[Item], bool]:
        """Return what came since the last call, the oldest first, and whether that is all there is now."""


class TickCursor:
    """Ticks of all shards, de-aggregated; `since_ms` is a time of arrival, epoch ms UTC."""

    def __init__(self, kinesis: KinesisClient, stream: str, since_ms: int) -> None:
        self._kinesis = kinesis
        self._stream = stream
        self._since = datetime.fromtimestamp(since_ms / 1000, UTC)
        self._iterators: dict[str, str] = {}
        self._after: dict[str, str] = {}
        self._known: set[str] = set()

    def poll(self) -> tuple[list[Item], bool]:
        """One read of every shard, sorted by time."""
        if not self._iterators:
            self._add_shards()
        items: list[Item] = []
        complete = True
        for shard in list(self._iterators):
            found, behind = self._read(shard)
            items += found
            complete = complete and not behind
        items.sort(key=lambda item: int(item["ts"]))
        return items, complete

    def _add_shards(self) -> None:
        pages = self._kinesis.get_paginator("list_shards").paginate(StreamName=self._stream)
        try:
            shards = [shard["ShardId"] for page in pages for shard in page["Shards"]]
        except self._kinesis.exceptions.ResourceNotFoundException as error:
            raise NotDeployedError(
                f"there is no stream {self._stream}: run `make up`, or deploy on AWS"
            ) from error
        for shard in shards:
            if shard not in self._known:
                self._known.add(shard)
                self._iterators[shard] = _since(self._kinesis, self._stream, shard, self._since)

    def _read(self, shard: str) -> tuple[list[Item], bool]:
        answer: Any
        try:
            answer = self._kinesis.get_records(ShardIterator=self._iterators[shard], Limit=RECORDS)
        except self._kinesis.exceptions.ExpiredIteratorException:  # the computer slept, for instance
            self._iterators[shard] = self._resume(shard)
            return [], True
        except self._kinesis.exceptions.ProvisionedThroughputExceededException:
            return [], True  # five reads a second and shard are for all readers together
        items = [item for record in answer["Records"] for item in _ticks(record["Data"])]
        if answer["Records"]:
            self._after[shard] = answer["Records"][-1]["SequenceNumber"]
        following = answer.get("NextShardIterator")
        if following is None:  # the shard was split or merged: its children go on
            del self._iterators[shard]
            self._add_shards()
            return items, True
        self._iterators[shard] = following
        return items, answer.get("MillisBehindLatest", 0) > 0

    def _resume(self, shard: str) -> str:
        after = self._after.get(shard)
        if after is None:
            return _since(self._kinesis, self._stream, shard, self._since)
        return self._kinesis.get_shard_iterator(
            StreamName=self._stream,
            ShardId=shard,
            ShardIteratorType="AFTER_SEQUENCE_NUMBER",
            StartingSequenceNumber=after,
        )["ShardIterator"]


def _since(kinesis: KinesisClient, stream: str, shard: str, since: datetime) -> str:
    """Return the iterator of what arrived since a moment.

    By AWS's clock that may be in the future, and then it is rejected ("The timestampInMillis parameter cannot be
    greater than the currentTimestampInMillis"): nothing has arrived since, and what comes next is what is wanted.
    """
    try:
        return kinesis.get_shard_iterator(
            StreamName=stream, ShardId=shard, ShardIteratorType="AT_TIMESTAMP", Timestamp=since
        )["ShardIterator"]
    except kinesis.exceptions.InvalidArgumentException:
        return kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="LATEST")[
            "ShardIterator"
        ]


def newest_arrivals(kinesis: KinesisClient, stream: str, since: datetime) -> dict[str, datetime]:
    """Return when the newest record of each partition key arrived, of those that arrived after `since`.

    The canary's says nothing of the quotes and is left out.
    """
    newest: dict[str, datetime] = {}
    for page in kinesis.get_paginator("list_shards").paginate(StreamName=stream):
        for shard in page["Shards"]:
            if "EndingSequenceNumber" not in shard["SequenceNumberRange"]:
                newest |= _arrivals(kinesis, stream, shard["ShardId"], since)
    newest.pop(names.CANARY_KEY, None)
    return newest


def _arrivals(kinesis: KinesisClient, stream: str, shard: str, since: datetime) -> dict[str, datetime]:
    found: dict[str, datetime] = {}
    iterator: str | None = _since(kinesis, stream, shard, since)
    while iterator:
        page = kinesis.get_records(ShardIterator=iterator, Limit=10_000)
        found |= {record["PartitionKey"]: record["ApproximateArrivalTimestamp"] for record in page["Records"]}
        iterator = page["NextShardIterator"] if page.get("MillisBehindLatest", 0) > 0 else None
    return found


def _ticks(data: bytes) -> Iterator[Item]:
    from consumers.stream.kpl import user_records  # noqa: PLC0415  numpy, which the other feeds do without
    from producers.quote_batch import QuoteBatchError, decode  # noqa: PLC0415

    payloads, _ = user_records(data)
    for payload in payloads:
        try:
            batch, rejected = decode(payload)
        except QuoteBatchError as error:
            yield {"ts": 0, "error": str(error)}
            continue
        columns = (batch.symbol, batch.ts, batch.price, batch.bid, batch.ask, batch.day_volume)
        for symbol, ts, price, bid, ask, day_volume in zip(*columns, strict=True):
            yield {
                "ticker": symbol,
                "ts": ts,
                "price": price,
                "bid": bid,
                "ask": ask,
                "day_volume": day_volume,
                "source": batch.source,
            }
        for row in rejected:
            yield {"ts": 0, "ticker": row.symbol, "error": f"row {row.row} ({row.symbol}): {row.reason}"}


class AnomalyCursor:
    """Anomalies from the API.

    Parameters
    ----------
    api
        Its URL.
    since
        The oldest moment to show, as the API takes it.
    ticker
        Of one ticker only.
    fixed
        Keep asking from `since` on, so that old ones that are found now show too.
    token
        Returns the token to show; None where none is needed.
    """

    def __init__(
        self,
        api: str,
        since: datetime,
        ticker: str | None,
        *,
        fixed: bool,
        token: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._url = f"{api}/anomalies" + ("" if ticker is None else f"/{quote(ticker, safe='')}")
        self._since = since
        self._fixed, self._token = fixed, token
        self._seen: dict[str, int] = {}

    def poll(self) -> tuple[list[Item], bool]:
        """Anomalies that were not shown before."""
        new: list[Item] = []
        cursor: str | None = None
        while True:
            page = get_json(
                self._url, token=self._token(), since=_iso(self._since), limit=PAGE, cursor=cursor
            )
            fresh = [item for item in page["anomalies"] if item["id"] not in self._seen]
            new += fresh
            cursor = page["next"]
            if cursor is None or (page["anomalies"] and not fresh):
                break
        for item in new:
            self._seen[item["id"]] = _moment_ms(item)
        if not self._fixed:
            self._advance()
        new.sort(key=_moment_ms)
        return new, True

    def _advance(self) -> None:
        newest = max(self._seen.values(), default=0)
        since_ms = max(round(self._since.timestamp() * 1000), newest - ANOMALY_OVERLAP_MS)
        self._since = datetime.fromtimestamp(since_ms / 1000, UTC)
        self._seen = {key: ms for key, ms in self._seen.items() if ms >= since_ms}


class OutboxCursor:
    """Emails and SMS of the local outbox; each has a number."""

    def __init__(self, outbox: str, since: datetime) -> None:
        self._url = f"{outbox}.json"
        self._since = since
        self._last = 0

    def poll(self) -> tuple[list[Item], bool]:
        """Messages after the last that was shown."""
        messages: list[Item] = get_json(self._url, after=self._last)["messages"]
        if messages:
            self._last = messages[-1]["n"]
        return [item for item in messages if datetime.fromisoformat(item["sent_at"]) >= self._since], True


class SentCursor:
    """Messages that were sent, from the table stock-alerts; `since_ms` is when they were made."""

    def __init__(self, store: AlertStore, since_ms: int, clock: Callable[[], int]) -> None:
        self._store = store
        self._since_ms = since_ms
        self._clock = clock
        self._shown: set[str] = set()

    def poll(self) -> tuple[list[Item], bool]:
        """Messages sent since the last call."""
        new = []
        for stored in self._store.messages(self._since_ms, self._clock()):
            if stored.sent_ms and stored.message.id not in self._shown:
                self._shown.add(stored.message.id)
                new.append(_sent(stored))
        return new, True


def _sent(stored: StoredMessage) -> Item:
    from api.alerts import message_row  # noqa: PLC0415

    row = message_row(stored)
    at = datetime.fromtimestamp(stored.sent_ms / 1000, UTC)
    return {"id": row["id"], "kind": row["message_kind"], "subject": row["subject"], "sent_at": _iso(at)}


def alert_cursor(endpoints: Endpoints, since: datetime, clock: Callable[[], int]) -> Cursor:
    """Return the outbox where there is one, else the table."""
    if endpoints.outbox is not None:
        return OutboxCursor(endpoints.outbox, since)
    from consumers.alerts.store import AlertStore  # noqa: PLC0415
    from consumers.alerts.table import DynamoTable  # noqa: PLC0415

    store = AlertStore(DynamoTable(endpoints.client("dynamodb"), names.ALERTS_TABLE))
    return SentCursor(store, round(since.timestamp() * 1000), clock)


_INTERVAL_SECONDS = 1.0


@dataclass(frozen=True)
class Following:
    """How to follow: at most the last `lines` of what is there (None for all), and then what comes."""

    lines: int | None
    follow: bool


def items(
    cursor: Cursor, how: Following, pause: Callable[[float], None], wanted: Callable[[Item], bool]
) -> Iterator[Item]:
    """Return the items of a cursor that are wanted, without end if it is followed."""
    there: list[Item] = []
    complete = False
    while not complete:
        found, complete = cursor.poll()
        there += filter(wanted, found)
        if how.lines is not None:
            there = there[len(there) - how.lines :] if len(there) > how.lines else there
        if not complete:
            pause(0.2)  # five reads a second and shard are what Kinesis allows
    yield from there
    while how.follow:
        pause(_INTERVAL_SECONDS)
        found, _ = cursor.poll()
        yield from filter(wanted, found)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment_ms(item: Item) -> int:
    return round(datetime.fromisoformat(str(item["timestamp"]).partition("#")[0]).timestamp() * 1000)
