"""Last quotes and minute bars in the table stock-charts: what the dashboard draws. Free of numpy.

Last quotes: one item per origin and partition of the stream, pk `live#<class>`, sk `<partition>`,
written with the partition's blocks. It holds the open minute of every symbol as well.

Minute bars: pk `bars#<class>#<group>` (CRC-32 of the symbol modulo 64), sk `<ISO minute>`, one attribute per
symbol, set when the symbol's minute closes: "[open,high,low,close,volume,ticks,bid,ask]". Setting it
again changes nothing. Bars hold positive prices only: what a bad tick said is in its anomaly.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from consumers.contracts.anomaly import iso_ms, ms_of_iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mypy_boto3_dynamodb.client import DynamoDBClient

MINUTE_MS = 60_000
GROUPS = 64
KEPT_SECONDS = 15 * 86_400
_ATTRIBUTE_PREFIX = "b:"


@dataclass(frozen=True, slots=True)
class Bar:
    """A minute of a symbol: `minute_ms` is its start (epoch ms UTC), `volume` in shares, None if unknown."""

    minute_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float | None
    ticks: int
    bid: float | None
    ask: float | None


@dataclass(frozen=True, slots=True)
class LastQuote:
    """The newest quote of a symbol, and where its day stands.

    `ts` is epoch ms UTC, `open` the first price of the UTC day, `previous_close` the last price before
    that day, `day_volume` the shares traded so far in the session; None is unknown.
    """

    symbol: str
    ts: int
    price: float
    bid: float | None
    ask: float | None
    day_volume: float | None
    open: float
    previous_close: float | None
    bar: Bar


def live_pk(origin: str) -> str:
    """Partition key of the last quotes of an origin."""
    return f"live#{origin}"


def bars_pk(origin: str, symbol: str) -> str:
    """Partition key of the minute bars of a symbol and of those that share its items."""
    return f"bars#{origin}#{zlib.crc32(symbol.encode()) % GROUPS}"


def bar_attribute(symbol: str) -> str:
    """Name of the attribute that holds a symbol's bar."""
    return _ATTRIBUTE_PREFIX + symbol


class QuoteColumns(NamedTuple):
    """Last quotes column by column: the fields of `LastQuote`, each bar as the fields of `Bar`."""

    symbol: list[str]
    ts: list[int]
    price: list[float]
    bid: list[float | None]
    ask: list[float | None]
    day_volume: list[float | None]
    open: list[float]
    previous_close: list[float | None]
    bar: list[tuple[Any, ...]]


def pack_columns(quotes: QuoteColumns) -> bytes:
    """Last quotes as compressed JSON columns."""
    return zlib.compress(msgspec.json.encode(quotes._asdict()), 1)


def pack_quotes(quotes: Iterable[LastQuote]) -> bytes:
    """The same of single quotes: what `unpack_quotes` reads back."""
    rows = [astuple(quote) for quote in quotes]
    return pack_columns(QuoteColumns(*([row[i] for row in rows] for i in range(len(QuoteColumns._fields)))))


def unpack_quotes(packed: bytes) -> list[LastQuote]:
    """The last quotes that `pack_columns` packed."""
    columns = json.loads(zlib.decompress(packed))
    bars = [Bar(*values) for values in columns.pop("bar")]
    return [
        LastQuote(**dict(zip(columns, values, strict=True)), bar=bar)
        for values, bar in zip(zip(*columns.values(), strict=True), bars, strict=True)
    ]


class ChartStore:
    """Reads charts.

    Examples
    --------
    >>> store = ChartStore(boto3.client("dynamodb"), "stock-charts")  # doctest: +SKIP
    >>> store.bars("live", "AAPL", now_ms - 1_800_000, now_ms)[-1].close  # doctest: +SKIP
    189.12
    """

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def last_quotes(self, origin: str) -> list[LastQuote]:
        """The newest quote of every symbol that sources of the class ("live", "simulated", "replay") sent."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": live_pk(origin)}},
        )
        items = (item for page in pages for item in page["Items"])
        return [quote for item in items for quote in unpack_quotes(item["columns"]["B"])]

    def bars(self, origin: str, symbol: str, since_ms: int, until_ms: int) -> list[Bar]:
        """The minutes that start in since_ms <= start < until_ms, by time, the open one included."""
        bars = {bar.minute_ms: bar for bar in self._closed(origin, symbol, since_ms, until_ms)}
        for quote in self.last_quotes(origin):
            if quote.symbol == symbol and since_ms <= quote.bar.minute_ms < until_ms:
                bars.setdefault(quote.bar.minute_ms, quote.bar)
        return [bars[minute] for minute in sorted(bars)]

    def _closed(self, origin: str, symbol: str, since_ms: int, until_ms: int) -> Iterator[Bar]:
        first = max(0, -(-since_ms // MINUTE_MS) * MINUTE_MS)
        if until_ms <= first:
            return
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :low AND :high",
            ExpressionAttributeValues={
                ":pk": {"S": bars_pk(origin, symbol)},
                ":low": {"S": iso_ms(first)},
                ":high": {"S": iso_ms(until_ms - 1)},
            },
            ProjectionExpression="sk, #bar",
            ExpressionAttributeNames={"#bar": bar_attribute(symbol)},
        )
        for page in pages:
            for item in page["Items"]:
                if (attribute := item.get(bar_attribute(symbol))) is not None:
                    yield bar_from_attribute(ms_of_iso(item["sk"]["S"]), attribute)


def bar_to_attribute(bar: Bar) -> dict[str, Any]:
    """A closed bar as a DynamoDB string: one value costs the client a tenth of a list of eight."""
    values = (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.ticks, bar.bid, bar.ask)
    return {"S": msgspec.json.encode(values).decode()}


def bar_from_attribute(minute_ms: int, attribute: Any) -> Bar:
    """The bar that `bar_to_attribute` wrote, or that it wrote as a list before."""
    values: list[Any]
    if "L" in attribute:
        values = [None if "NULL" in value else float(value["N"]) for value in attribute["L"]]
    else:
        values = json.loads(attribute["S"])
    opened, high, low, close, volume, ticks, bid, ask = values
    return Bar(minute_ms, opened, high, low, close, volume, int(ticks), bid, ask)
