"""Last quotes and minute bars in the table stock-charts: what the dashboard draws. Free of numpy.

Last quotes: one item per origin and partition of the stream, pk `live#<origin>`, sk `<partition>` (and
`<partition>/<part>` where there are thousands of symbols), written with the partition's blocks. They hold the open
minute of every symbol as well.

Minute bars: pk `bars#<origin>#<group>` (CRC-32 of the symbol modulo 64), sk `<ISO minute>`. Where a partition has
thousands of symbols it is `bars#<origin>#512/<group>`, modulo 512: a write and a read of an item cost its size. Nearly
all symbols close a minute in the same block, the first one that goes beyond it: it puts the item, whose `bars` are
compressed JSON, by symbol "[open,high,low,close,volume,ticks,bid,ask,spread_low,spread_high]". What closes the minute
later is set in the item beside it, sk `<ISO minute>+`, an attribute a symbol. So writing either again changes nothing,
whoever does it and when. Bars hold positive prices only: what a bad tick said is in its anomaly.
"""

from __future__ import annotations

import json
import logging
import time
import zlib
from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError

from consumers.contracts.anomaly import iso_ms, ms_of_iso
from consumers.contracts.charts import MINUTE_MS, Bar
from consumers.contracts.errors import IOFailedError
from consumers.stores.calls import CONDITION_FAILED, code_of, io, put_items
from consumers.stores.last_quotes import LastQuotes, unpack_quotes
from consumers.windows.compression import compress, decompress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mypy_boto3_dynamodb.client import DynamoDBClient

    from consumers.windows.block import Block

logger = logging.getLogger(__name__)

GROUPS = 64
MANY_GROUPS = 512
MANY_WINDOWS = 1_600
"""Windows of a partition from which on its bars go to the larger number of groups."""
KEPT_SECONDS = 15 * 86_400
_ATTRIBUTE_PREFIX = "b:"
_LATER = "+"
_BARS_PER_UPDATE = 100
_BARS_PER_PUT = 2_000
"""Of all digits they take some 300 KB."""
_BATCH_GET_ITEMS = 100
_CLOSES_CALLS = 8


def live_pk(origin: str) -> str:
    """Return the partition key of the last quotes of an origin."""
    return f"live#{origin}"


# One of them for all symbols, and each symbol's again every minute: writing them costs more than their bars.
_minute_sk = lru_cache(maxsize=64)(iso_ms)


@lru_cache(maxsize=65_536)
def bars_pk(origin: str, symbol: str, windows: int = 0) -> str:
    """Return the partition key of the minute bars of a symbol and of those that share its items.

    Parameters
    ----------
    windows
        How many its partition has.
    """
    number = zlib.crc32(symbol.encode())
    if windows > MANY_WINDOWS:
        return f"bars#{origin}#{MANY_GROUPS}/{number % MANY_GROUPS}"
    return f"bars#{origin}#{number % GROUPS}"


def bars_pks(origin: str, symbol: str) -> tuple[str, str]:
    """Return both partition keys that minute bars of a symbol may have."""
    return bars_pk(origin, symbol), bars_pk(origin, symbol, MANY_WINDOWS + 1)


def _read_pks(origin: str, symbol: str, windows: int) -> tuple[str, ...]:
    """Return where bars of a symbol may be: in the second of these only if its partition has, or had, many windows."""
    return bars_pks(origin, symbol)[: 1 + (windows > MANY_WINDOWS)]


def bar_attribute(symbol: str) -> str:
    """Return the name of the attribute that holds a symbol's bar."""
    return _ATTRIBUTE_PREFIX + symbol


class ChartTable:
    """Reads and writes charts; what a read raises is what AWS raised, a write raises `IOFailedError`."""

    def __init__(
        self, client: DynamoDBClient, table: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = client
        self._table = table
        self._sleep = sleep

    def last_quotes(self, origin: str) -> LastQuotes:
        """Return the newest quote of every symbol that sources of the class ("live", "simulated", "replay") sent."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": live_pk(origin)}},
        )
        items = (item for page in pages for item in page["Items"])
        return LastQuotes(unpack_quotes(item["columns"]["B"]) for item in items)

    def bars(
        self, origin: str, symbol: str, since_ms: int, until_ms: int, quotes: LastQuotes | None = None
    ) -> list[Bar]:
        """Return the minutes that start in since_ms <= start < until_ms, by time, the open one included.

        Parameters
        ----------
        quotes
            The last quotes of the origin, where they were read already.
        """
        quotes = self.last_quotes(origin) if quotes is None else quotes
        closed = self.closed_bars(origin, symbol, since_ms, until_ms, len(quotes.ts))
        bars = {bar.minute_ms: bar for bar in closed}
        quote = quotes.get(symbol)
        if quote is not None and since_ms <= quote.bar.minute_ms < until_ms:
            bars.setdefault(quote.bar.minute_ms, quote.bar)
        return [bars[minute] for minute in sorted(bars)]

    def closed_bars(
        self, origin: str, symbol: str, since_ms: int, until_ms: int, windows: int
    ) -> Iterator[Bar]:
        """Yield the closed minutes that start in since_ms <= start < until_ms; `windows` as in `closes`."""
        for pk in _read_pks(origin, symbol, windows):
            yield from self._closed(pk, symbol, since_ms, until_ms)

    def _closed(self, pk: str, symbol: str, since_ms: int, until_ms: int) -> Iterator[Bar]:
        first = max(0, -(-since_ms // MINUTE_MS) * MINUTE_MS)
        if until_ms <= first:
            return
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :low AND :high",
            ExpressionAttributeValues={
                ":pk": {"S": pk},
                ":low": {"S": iso_ms(first)},
                ":high": {"S": iso_ms(until_ms - 1)},
            },
            ProjectionExpression="sk, bars, #bar",
            ExpressionAttributeNames={"#bar": bar_attribute(symbol)},
        )
        for page in pages:
            for item in page["Items"]:
                for _, bar in _bars_of(item, (symbol,)):
                    yield bar

    def closes(
        self, origin: str, symbols: Sequence[str], minutes: Iterable[int], windows: int
    ) -> dict[int, dict[str, float]]:
        """Return the closes of symbols in closed minutes (epoch ms UTC of their start), by minute and symbol.

        Two items for each minute and group of symbols, whatever else they hold.

        Parameters
        ----------
        windows
            How many symbols their partition may have.

        Raises
        ------
        IOFailedError
            Not all could be read.
        """
        names = {f"#b{n}": bar_attribute(symbol) for n, symbol in enumerate(symbols)}
        rest: list[Any] = [
            {"pk": {"S": pk}, "sk": {"S": iso_ms(minute) + later}}
            for minute in minutes
            for later in ("", _LATER)
            for pk in sorted({pk for symbol in symbols for pk in _read_pks(origin, symbol, windows)})
        ]
        found: dict[int, dict[str, float]] = defaultdict(dict)
        for _ in range(_CLOSES_CALLS):
            if not rest:
                return dict(found)
            wanted: Any = {
                self._table: {
                    "Keys": rest[:_BATCH_GET_ITEMS],
                    "ProjectionExpression": ", ".join(["sk", "bars", *names]),
                    "ExpressionAttributeNames": names,
                }
            }
            answer = self._client.batch_get_item(RequestItems=wanted)
            for item in answer["Responses"].get(self._table, []):
                for symbol, bar in _bars_of(item, symbols):
                    found[bar.minute_ms][symbol] = bar.close
            unread: Any = answer.get("UnprocessedKeys") or {}
            rest = [*unread.get(self._table, {}).get("Keys", []), *rest[_BATCH_GET_ITEMS:]]
        raise IOFailedError(f"{len(rest)} items of bars stayed unread by {self._table}: throttled")

    def put_bars(
        self, bars: Sequence[tuple[str, str, Bar]], reached: Mapping[str, int], arrival_ms: int, windows: int
    ) -> None:
        """Write closed bars of a block to the items of their minute and group.

        Parameters
        ----------
        reached
            Of each origin: the newest minute (ms) that was begun before the block, which closes all from it on first.
        windows
            How many their partition has.
        """
        items: dict[tuple[str, str], dict[str, Bar]] = defaultdict(dict)
        for origin, symbol, bar in bars:
            later = "" if bar.minute_ms >= reached.get(origin, 0) else _LATER
            items[bars_pk(origin, symbol, windows), _minute_sk(bar.minute_ms) + later][symbol] = bar
        puts = []
        for (pk, sk), of_symbols in items.items():
            pairs = sorted(of_symbols.items())
            is_put = not sk.endswith(_LATER) and len(pairs) <= _BARS_PER_PUT
            if is_put:
                puts.append(_bars_item(pk, sk, pairs, arrival_ms))
                continue
            for start in range(0, len(pairs), _BARS_PER_UPDATE):
                self._set_bars(pk, sk, pairs[start : start + _BARS_PER_UPDATE], arrival_ms)
        put_items(self._client, self._table, puts, "items of bars", self._sleep)

    def _set_bars(self, pk: str, sk: str, bars: Sequence[tuple[str, Bar]], arrival_ms: int) -> None:
        names = {f"#b{i}": bar_attribute(symbol) for i, (symbol, _) in enumerate(bars)}
        values: dict[str, Any] = {f":b{i}": bar_to_attribute(bar) for i, (_, bar) in enumerate(bars)}
        values[":expires_at"] = {"N": str(arrival_ms // 1000 + KEPT_SECONDS)}
        sets = [f"#b{i} = :b{i}" for i in range(len(bars))]
        with io(f"set {len(bars)} bars in {pk} {sk}"):
            try:
                self._client.update_item(
                    TableName=self._table,
                    Key={"pk": {"S": pk}, "sk": {"S": sk}},
                    UpdateExpression=f"SET expires_at = :expires_at, {', '.join(sets)}",
                    ExpressionAttributeNames=names,
                    ExpressionAttributeValues=values,
                )
            except ClientError as error:
                if not _is_full(error):
                    raise
                # Thousands of symbols whose names were chosen to share it: a chart lacks them, nothing stops.
                logger.error("item of bars is full", extra={"item": f"{pk} {sk}", "symbols": len(bars)})

    def put_quotes(self, origin: str, block: Block, part: int, as_of_ms: int, packed: bytes) -> None:
        """Write a part of the last quotes as of a block, unless newer ones are there."""
        with io(f"write the last quotes of partition {block.partition}"):
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item={
                        "pk": {"S": live_pk(origin)},
                        "sk": {"S": f"{block.partition}/{part}" if part else str(block.partition)},
                        "columns": {"B": packed},
                        "as_of": {"N": str(as_of_ms)},
                        "block": {"N": str(block.number)},
                        "expires_at": {"N": str(block.arrival_ms // 1000 + KEPT_SECONDS)},
                    },
                    # Blocks begin at 1 again where a partition was quiet for so long that all of them went.
                    ConditionExpression="attribute_not_exists(pk) OR #block <= :block OR as_of < :as_of",
                    ExpressionAttributeNames={"#block": "block"},
                    ExpressionAttributeValues={
                        ":block": {"N": str(block.number)},
                        ":as_of": {"N": str(as_of_ms)},
                    },
                )
            except ClientError as error:
                if code_of(error) != CONDITION_FAILED:
                    raise


def _is_full(error: ClientError) -> bool:
    """Return whether an update would have made an item larger than DynamoDB takes (400 KB).

    "Item size to update has exceeded the maximum allowed size" is a ValidationException:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
    """
    return code_of(error) == "ValidationException" and "size" in str(error)


def _bars_item(pk: str, sk: str, bars: Sequence[tuple[str, Bar]], arrival_ms: int) -> dict[str, Any]:
    packed = compress(msgspec.json.encode({symbol: _values(bar) for symbol, bar in bars}))
    return {
        "pk": {"S": pk},
        "sk": {"S": sk},
        "bars": {"B": packed},
        "expires_at": {"N": str(arrival_ms // 1000 + KEPT_SECONDS)},
    }


_decode_bars = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def unpack_bars(packed: bytes) -> dict[str, msgspec.Raw]:
    """Return the bars in an item by symbol, each still JSON."""
    return _decode_bars(decompress(packed))


def _bars_of(item: Mapping[str, Any], symbols: Sequence[str]) -> Iterator[tuple[str, Bar]]:
    """Yield the bars of symbols in an item, whichever way they were written."""
    minute_ms = ms_of_iso(item["sk"]["S"].removesuffix(_LATER))
    packed = unpack_bars(item["bars"]["B"]) if "bars" in item else {}
    for symbol in symbols:
        if symbol in packed:
            yield symbol, Bar(minute_ms, *msgspec.json.decode(packed[symbol]))
        if (attribute := item.get(bar_attribute(symbol))) is not None:
            yield symbol, bar_from_attribute(minute_ms, attribute)


def bar_to_attribute(bar: Bar) -> dict[str, Any]:
    """Return a closed bar as a DynamoDB string: one value costs the client a tenth of a list of ten."""
    return {"S": msgspec.json.encode(_values(bar)).decode()}


def _values(bar: Bar) -> tuple[float | None, ...]:
    return (
        bar.open, bar.high, bar.low, bar.close, bar.volume, bar.ticks, bar.bid, bar.ask, bar.spread_low, bar.spread_high
    )  # fmt: skip


def bar_from_attribute(minute_ms: int, attribute: Any) -> Bar:
    """Return the bar that `bar_to_attribute` wrote."""
    return Bar(minute_ms, *json.loads(attribute["S"]))
