# ruff: noqa: T201 - it prints a report
"""Ticks a second of the nine detectors on one core, by the shape of a batch of 10,000 ticks (`make bench`).

Processor time, without decoding and storing. river's HalfSpaceTrees run on one symbol's returns beside it.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from consumers.detectors.engine import engine
from consumers.detectors.engine.ticks import Integers

RESULTS = Path(__file__).resolve().parents[2] / "build" / "bench.json"
TICKS = 10_000
BATCHES = 30


# Shape, symbols, slots of a batch, and the ticks a second that it must reach on one core (None: for information).
POLLS = "20 polls of 500 symbols"
RIVER_BAR = 15.0  # times as fast on polls


def main() -> None:
    rng = np.random.default_rng(7)
    popular = 1.0 / np.arange(1, 501) ** 1.1
    shapes: dict[str, tuple[int, Callable[[], Integers], float | None]] = {
        POLLS: (500, lambda: np.tile(np.arange(500), 20), 4_000_000),
        "80 polls of 125 symbols, one of 4 partitions": (125, lambda: np.tile(np.arange(125), 80), 4_000_000),
        "2 polls of 5,000 symbols": (5000, lambda: np.tile(np.arange(5000), 2), None),
        "500 symbols, Zipf": (500, lambda: rng.choice(500, TICKS, p=popular / popular.sum()), 3_000_000),
        "one symbol": (1, lambda: np.zeros(TICKS, np.int64), 3_000_000),
    }
    polls, report = 0.0, dict[str, list[float]]()
    for name, (symbols, slots, bar) in shapes.items():
        rates = measure(rng, symbols, slots)
        median = float(np.median(rates))
        polls = median if name == POLLS else polls
        report[name] = [median, min(rates), max(rates)]
        print(f"{name:<46} {median:>10,.0f} ticks/s (best {max(rates):,.0f}){_verdict(median, bar)}")
    _add(report)
    print(f"state: {len(engine.STATE_FIELDS) * 8} bytes a symbol")
    trees = peer()
    if trees is not None:
        name, faster = "river's HalfSpaceTrees, one value a tick", polls / trees
        verdict = _verdict(faster, RIVER_BAR)
        print(f"{name:<46} {trees:>10,.0f} ticks/s; ours on polls are {faster:,.0f} times as fast{verdict}")


def _add(report: dict[str, list[float]]) -> None:
    """Put ticks a second (median, least, most) beside the other figures, if `bench.py` has written them."""
    if RESULTS.exists():
        results = json.loads(RESULTS.read_text()) | {"detection_ticks_a_second": report}
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")


def _verdict(value: float, bar: float | None) -> str:
    if bar is None:
        return ""
    return f", asked for {bar:,.0f}: {'reached' if value >= bar else 'MISSED'}"


def measure(rng: np.random.Generator, symbols: int, slots: Callable[[], Integers]) -> list[float]:
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
        volume = np.asarray(traded[slot] + 100.0 * (turn + 1) + rng.integers(0, 90, TICKS), np.float64)
        ts = clock_ms[slot] + 1000 * (turn + 1)
        np.maximum.at(clock_ms, slot, ts)
        np.maximum.at(traded, slot, volume)
        ticks = engine.Ticks(slot, ts, price, price - 0.01, price + 0.01, volume)
        begin = time.process_time()
        engine.apply(states, ticks, thresholds)
        rates.append(TICKS / (time.process_time() - begin))
    return rates[2:]


_HALF_SPACE_TREES = """
import random, time
from river import anomaly
trees, rng = anomaly.HalfSpaceTrees(seed=7), random.Random(7)
values = [min(max(rng.gauss(0.5, 0.1), 0.0), 1.0) for _ in range(5000)]
began = time.process_time()
for value in values:
    trees.score_one({"return": value})
    trees.learn_one({"return": value})
print(len(values) / (time.process_time() - began))
"""


def peer() -> float | None:
    """Ticks a second of river's HalfSpaceTrees, scoring and learning returns; None without `make bench`'s peers."""
    python = Path(__file__).resolve().parents[2] / "build" / "peers" / "bin" / "python"
    if not python.exists():
        print("The peers are not installed (make bench): nothing to compare with")
        return None
    told = subprocess.run([python, "-c", _HALF_SPACE_TREES], stdout=subprocess.PIPE, text=True, check=True)
    return float(told.stdout)


if __name__ == "__main__":
    main()
