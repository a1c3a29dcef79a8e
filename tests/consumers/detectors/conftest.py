"""A quiet market of one symbol, made from a seed, that tests disturb."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from consumers.detectors.engine import engine
from consumers.detectors.engine.ticks import Floats, Integers

SECOND_MS = 1000
# 2026-11-24 14:30 UTC, the opening of a session in New York.
OPENING_MS = 1_795_530_600_000


@dataclass(frozen=True)
class Market:
    """Ticks of one symbol as columns; `volume` is that of each tick."""

    ts: Integers
    price: Floats
    bid: Floats
    ask: Floats
    volume: Floats

    @classmethod
    def quiet(cls, ticks: int = 600, *, seed: int = 7, pause_ms: int = SECOND_MS) -> Market:
        """A random walk of 2 basis points a tick around 100.00, in cents, with a spread of two cents."""
        rng = np.random.default_rng(seed)
        price = np.round(100.0 * np.cumprod(1.0 + 2e-4 * rng.standard_normal(ticks)), 2)
        volume = np.round(rng.gamma(2.0, 200.0, ticks)) + 1.0
        ts = OPENING_MS + pause_ms * np.arange(ticks, dtype=np.int64)
        return cls(ts, price, np.round(price - 0.01, 2), np.round(price + 0.01, 2), volume)

    def moved(self, start: int, factor: float | Floats, stop: int | None = None) -> Market:
        """The price and its quotes multiplied by `factor` from tick `start` on, before `stop`."""
        where = slice(start, stop)
        columns = {name: getattr(self, name).copy() for name in ("price", "bid", "ask")}
        for column in columns.values():
            column[where] = column[where] * factor
        return replace(self, **columns)

    def changed(self, **columns: dict[int, float]) -> Market:
        """Single values replaced: `changed(bid={300: 0.0})`."""
        new = {}
        for name, values in columns.items():
            new[name] = getattr(self, name).copy()
            for row, value in values.items():
                new[name][row] = value
        return replace(self, **new)

    def paused(self, start: int, pause_ms: int) -> Market:
        """A pause before tick `start`."""
        ts = self.ts.copy()
        ts[start:] += pause_ms
        return replace(self, ts=ts)

    def frozen(self, start: int, stop: int) -> Market:
        """Ticks that repeat the one before `start`, without volume."""
        columns = {name: getattr(self, name).copy() for name in ("price", "bid", "ask")}
        for column in columns.values():
            column[start:stop] = column[start - 1]
        volume = self.volume.copy()
        volume[start:stop] = 0.0
        return replace(self, volume=volume, **columns)

    def without_quotes(self) -> Market:
        """Bid and ask unknown."""
        unknown = np.full(len(self.ts), np.nan)
        return replace(self, bid=unknown, ask=unknown)

    def ticks(self) -> engine.Ticks:
        """What the engine takes."""
        slot = np.zeros(len(self.ts), np.int64)
        return engine.Ticks(slot, self.ts, self.price, self.bid, self.ask, np.cumsum(self.volume))

    def transitions(self, threshold: float = 2.5) -> list[engine.Transition]:
        """All that happened at this threshold."""
        return engine.apply(engine.new_states(1), self.ticks(), np.full((len(engine.KINDS), 1), threshold))

    def opened(self, threshold: float = 2.5) -> list[tuple[str, int]]:
        """Kind and tick of what opened."""
        return [(t.kind, t.row) for t in self.transitions(threshold) if t.change == "opened"]

    def scores(self) -> Floats:
        """Scores of all kinds, shape (9, ticks)."""
        scores = np.full((len(engine.KINDS), len(self.ts)), np.nan)
        engine.apply(engine.new_states(1), self.ticks(), np.full((len(engine.KINDS), 1), 2.5), scores)
        return scores


@pytest.fixture
def market() -> type[Market]:
    return Market
