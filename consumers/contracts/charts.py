"""What a chart shows of a symbol: its minute bars and its last quote. Free of numpy."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Bar:
    """A minute of a symbol: `minute_ms` is its start (epoch ms UTC), `volume` in shares, None if unknown.

    `bid` and `ask` are its last ones, `spread_low` and `spread_high` the least and the greatest ask less bid in it.
    """

    minute_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float | None
    ticks: int
    bid: float | None
    ask: float | None
    spread_low: float | None = None
    spread_high: float | None = None

    def values(self) -> dict[str, float | None]:
        """Return what it says of its minute, by the names of its fields."""
        return {name: getattr(self, name) for name in _BAR_VALUES}


_BAR_VALUES = tuple(each.name for each in fields(Bar))[1:]


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

    def part(self, start: int, stop: int) -> QuoteColumns:
        """Return the quotes start <= i < stop."""
        at = slice(start, stop)
        return QuoteColumns(
            self.symbol[at],
            self.ts[at],
            self.price[at],
            self.bid[at],
            self.ask[at],
            self.day_volume[at],
            self.open[at],
            self.previous_close[at],
            self.bar[at],
        )
