"""The ticks that every contender gets, made once from a seed: polls of all symbols, one a second.

Prices are a level with noise around it, in cents; one tick in ten thousand is a spike. Needs numpy alone.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

START_MS = 1_795_530_600_000  # a full minute
SEED = 7
SPIKES = 1e-4


def symbol_names(symbols: int) -> list[str]:
    """Distinct tickers of five letters."""
    names = []
    for n in range(symbols):
        letters = ""
        for _ in range(4):
            n, letter = divmod(n, 26)  # noqa: PLW2901
            letters = chr(65 + letter) + letters
        names.append("Q" + letters)
    return names


@dataclass(frozen=True)
class Ticks:
    """Ticks of consecutive polls: one row per poll, one column per symbol."""

    symbols: list[str]
    ts: NDArray[np.int64]  # ms, shape (polls,)
    price: NDArray[np.float64]
    bid: NDArray[np.float64]
    ask: NDArray[np.float64]
    day_volume: NDArray[np.float64]

    def polls(self, start: int, stop: int) -> Ticks:
        """The polls start <= i < stop."""
        part = slice(start, stop)
        return Ticks(
            self.symbols,
            self.ts[part],
            self.price[part],
            self.bid[part],
            self.ask[part],
            self.day_volume[part],
        )

    def __len__(self) -> int:
        return self.price.size

    def save(self, path: Path) -> None:
        """Keep the ticks for the other processes."""
        columns = {name: getattr(self, name) for name in ("ts", "price", "bid", "ask", "day_volume")}
        np.savez(path, symbols=np.array(self.symbols), **columns)

    @staticmethod
    def load(path: Path) -> Ticks:
        """The ticks that `save` kept."""
        with np.load(path) as kept:
            columns = {name: kept[name] for name in ("ts", "price", "bid", "ask", "day_volume")}
            return Ticks(kept["symbols"].tolist(), **columns)

    def rows(self) -> Iterator[dict[str, str | float | None]]:
        """Tick by tick, as a consumer of one object per tick reads them."""
        columns = (self.price, self.bid, self.ask, self.day_volume)
        for ts, *poll in zip(self.ts.tolist(), *(column.tolist() for column in columns), strict=True):
            for symbol, price, bid, ask, volume in zip(self.symbols, *poll, strict=True):
                yield {
                    "symbol": symbol, "ts": ts, "price": price, "bid": bid, "ask": ask, "day_volume": int(volume)
                }  # fmt: skip

    def messages(self) -> list[bytes]:
        """One JSON message a tick."""
        return [json.dumps(row, separators=(",", ":")).encode() for row in self.rows()]


def make(symbols: int, polls: int, seed: int = SEED) -> Ticks:
    """`polls` polls of `symbols` symbols."""
    rng = np.random.default_rng(seed)
    shape = (polls, symbols)
    level = np.exp(rng.uniform(np.log(50.0), np.log(900.0), symbols))
    price = level * (1.0 + 5e-4 * rng.standard_normal(shape))
    spikes = rng.random(shape) < SPIKES
    price = np.where(
        spikes, price * (1.0 + rng.choice([-1.0, 1.0], shape) * rng.uniform(0.01, 0.05, shape)), price
    )
    price = np.round(price, 2)
    half = np.round(np.maximum(price * 2e-4, 0.01), 2)
    volume = np.cumsum(rng.geometric(0.02, shape) * 100.0, axis=0)
    ts = START_MS + 1000 * np.arange(polls)
    return Ticks(
        symbol_names(symbols), ts, price, np.round(price - half, 2), np.round(price + half, 2), volume
    )


def digest(found: list[tuple[str, int]]) -> str:
    """A short name for a set of anomalies, each a symbol and the ts (ms) of its tick."""
    return f"{len(found)}:{zlib.crc32(repr(sorted(found)).encode()):08x}"
