# ruff: noqa: T201 - it prints a report
"""Ticks a second of the whole detection on one core, by the shape of a batch of 10,000 ticks.

Where river is installed too, its HalfSpaceTrees run on one symbol's returns beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from consumers.detectors import engine

TICKS = 10_000
BATCHES = 30


def main() -> None:
    rng = np.random.default_rng(7)
    popular = 1.0 / np.arange(1, 501) ** 1.1
    shapes: dict[str, tuple[int, Callable[[], Any]]] = {
        "20 polls of 500 symbols": (500, lambda: np.tile(np.arange(500), 20)),
        "80 polls of 125 symbols (one of 4 partitions)": (125, lambda: np.tile(np.arange(125), 80)),
        "2 polls of 5,000 symbols": (5000, lambda: np.tile(np.arange(5000), 2)),
        "500 symbols, Zipf": (500, lambda: rng.choice(500, TICKS, p=popular / popular.sum())),
        "one symbol": (1, lambda: np.zeros(TICKS, np.int64)),
    }
    for name, (symbols, slots) in shapes.items():
        rates = measure(rng, symbols, slots)
        print(f"{name:<48} {np.median(rates):>10,.0f} ticks/s (best {max(rates):,.0f})")
    print(f"state: {len(engine.STATE_FIELDS) * 8} bytes a symbol")
    peer()


def measure(rng: np.random.Generator, symbols: int, slots: Callable[[], Any]) -> list[float]:
    """Ticks a second of processor time in each batch, after two that warm up."""
    states = engine.new_states(symbols)
    thresholds = np.full((len(engine.KINDS), symbols), 2.5)
    clock_ms = np.full(symbols, 1_795_530_600_000)
    traded = np.zeros(symbols)
    rates = []
    for _ in range(BATCHES + 2):
        slot = slots()
        order = np.argsort(slot, kind="stable")
        _, counts = np.unique(slot, return_counts=True)
        turn = np.empty(TICKS, np.int64)
        turn[order] = np.arange(TICKS) - np.repeat(np.cumsum(counts) - counts, counts)
        price = np.round(100.0 * (1.0 + 1e-4 * rng.standard_normal(TICKS)), 2)
        volume = traded[slot] + 100.0 * (turn + 1) + rng.integers(0, 90, TICKS)
        ts = clock_ms[slot] + 1000 * (turn + 1)
        np.maximum.at(clock_ms, slot, ts)
        np.maximum.at(traded, slot, volume)
        ticks = engine.Ticks(slot, ts, price, price - 0.01, price + 0.01, volume)
        begin = time.process_time()
        engine.apply(states, ticks, thresholds)
        rates.append(TICKS / (time.process_time() - begin))
    return rates[2:]


def peer() -> None:
    """HalfSpaceTrees of river, learning and scoring returns."""
    try:
        from river import anomaly  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        print("river is not installed: nothing to compare with")
        return
    trees = anomaly.HalfSpaceTrees(seed=7)
    values = np.clip(np.random.default_rng(7).normal(0.5, 0.1, 5000), 0.0, 1.0).tolist()
    begin = time.process_time()
    for value in values:
        trees.score_one({"return": value})
        trees.learn_one({"return": value})
    rate = len(values) / (time.process_time() - begin)
    print(f"{'river HalfSpaceTrees, one value a tick':<48} {rate:>10,.0f} ticks/s")


if __name__ == "__main__":
    main()
