"""Last quotes as the table stock-charts holds them: columns of many symbols, packed. Free of numpy."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgspec

from consumers.contracts.charts import Bar, LastQuote, QuoteColumns
from consumers.windows.compression import compress, decompress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ZSTANDARD = b"\x28\xb5\x2f\xfd"


def pack_columns(quotes: QuoteColumns) -> bytes:
    """Return last quotes as compressed JSON columns."""
    return compress(msgspec.json.encode(quotes._asdict()))


class PackedQuotes(msgspec.Struct):
    """What `pack_columns` packed; bars stay JSON until they are asked for, as most of them never are."""

    symbol: list[str]
    ts: list[int]
    price: list[float]
    bid: list[float | None]
    ask: list[float | None]
    day_volume: list[float | None]
    open: list[float]
    previous_close: list[float | None]
    bar: list[msgspec.Raw]


_unpack = msgspec.json.Decoder(PackedQuotes).decode


def unpack_quotes(packed: bytes) -> PackedQuotes:
    """Return the last quotes that `pack_columns` packed."""
    return _unpack(_decompressed(packed))


def _decompressed(packed: bytes) -> bytes:
    # Until 2026-12 it was zlib's.
    return decompress(packed) if packed.startswith(_ZSTANDARD) else zlib.decompress(packed)


class LastQuotes:
    """The newest quote of every symbol; one is made when it is asked for, as there may be tens of thousands.

    Parameters
    ----------
    parts
        Columns of quotes. A symbol may have moved from part to part, and the part where it was is not written any
        more: its newest quote counts.

    Attributes
    ----------
    ts
        Of each symbol: when it was observed, epoch ms UTC.
    """

    def __init__(self, parts: Iterable[PackedQuotes]) -> None:
        self.ts: dict[str, int] = {}
        self._places: dict[str, tuple[PackedQuotes, int]] = {}
        for part in parts:
            for row, (symbol, ts) in enumerate(zip(part.symbol, part.ts, strict=True)):
                if ts >= self.ts.get(symbol, ts):
                    self.ts[symbol] = ts
                    self._places[symbol] = part, row

    def get(self, symbol: str) -> LastQuote | None:
        """Return the newest quote of a symbol, None if there is none."""
        if symbol not in self._places:
            return None
        part, row = self._places[symbol]
        return LastQuote(
            symbol=symbol,
            ts=part.ts[row],
            price=part.price[row],
            bid=part.bid[row],
            ask=part.ask[row],
            day_volume=part.day_volume[row],
            open=part.open[row],
            previous_close=part.previous_close[row],
            bar=Bar(*msgspec.json.decode(part.bar[row])),
        )

    def reference(self, symbol: str) -> tuple[float, float | None, float]:
        """Return the newest price of a symbol, its previous close and the day's first price."""
        part, row = self._places[symbol]
        return part.price[row], part.previous_close[row], part.open[row]

    def __iter__(self) -> Iterator[LastQuote]:
        """Return the quotes, oldest first."""
        for symbol in sorted(self.ts, key=self.ts.__getitem__):
            if (quote := self.get(symbol)) is not None:
                yield quote
