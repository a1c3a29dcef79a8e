# ruff: noqa: T201 - it prints a report
"""The detection exam: quality in lock step against its goals, and cross-validated by instrument (`make exam`).

The cases and the scorer are not part of the repository: they lie in ../shared/exam, or where --exam says.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from consumers.detectors.engine import engine

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
LEVELS = (2.0, 2.25, 2.5, 2.75, 3.0)
CALIBRATED = LEVELS.index(2.5)
DELAYS = {"price_spike": 0, "level_shift": 0, "frozen_feed": 10, "vol_shift": 10, "slow_drift": 40}
# What a detector says of one case, in the scorer's form: scores, flags, kinds, seconds.
Said = tuple[Any, Any, list[str | None], float]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--exam", type=Path, default=ROOT.parent / "shared" / "exam", help="the exam's folder"
    )
    parser.add_argument("--cases", type=Path, help="the split; without it its `open`")
    parser.add_argument("--quick", action="store_true", help="without lock step: the same figures, sooner")
    arguments = parser.parse_args()
    if not (arguments.exam / "score.py").exists():
        print(f"There is no exam in {arguments.exam}: name its folder with --exam", file=sys.stderr)
        return 2
    sys.path.insert(0, str(arguments.exam))
    sys.dont_write_bytecode = True
    scorer = importlib.import_module("score")
    cases = scorer.load_cases(str(arguments.cases or arguments.exam / "open"))
    runner = scorer.run_cmd if arguments.quick else scorer.run_lock
    command = f"{ROOT}/.venv/bin/stock-monitor detect"
    said = []
    for case in cases:
        print(f"\r{case['case']:<40}", end="", file=sys.stderr, flush=True)
        said.append(runner(command, case))
    print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    table = scorer.table(cases, said)
    scorer.show("stock-monitor detect", table)
    reached = report_goals(table)
    cross_validate(scorer, [case for case in cases if case["type"] == "inject"])
    return 0 if reached else 1


def report_goals(table: Json) -> bool:
    """Print each goal of detection with what was measured."""
    caught, dated = (int(part) for part in table["real"].split("/"))
    goals = [
        ("F1 by kind", table["F1k"], ">=", 0.90),
        ("precision", table["precision"], ">=", 0.90),
        ("lowest recall of a kind", min(table["by"].values()), ">=", 0.80),
        ("false alarms a session, 1 s", table["fa_1s"], "<=", 1.0),
        ("false alarms a symbol-day, 1 min", table["fa_1m"], "<=", 0.5),
        ("dated events caught", caught, ">=", dated),
        ("other alerts a day on real data", table["real_alerts_day"], "<=", 1.0),
        *((f"median delay of {kind}", table["delays"][kind], "<=", most) for kind, most in DELAYS.items()),
    ]
    reached = [value >= goal if sign == ">=" else value <= goal for _, value, sign, goal in goals]
    for (name, value, sign, goal), ok in zip(goals, reached, strict=True):
        print(f"  {'ok    ' if ok else 'MISSED'}  {name:<34} {value:6.3f}  {sign} {goal:g}")
    return all(reached)


def cross_validate(scorer: Any, cases: list[Json]) -> None:
    """Choose every kind's threshold on all instruments but one, judge that one; print the spread."""
    openings = [[_openings(case, level) for level in LEVELS] for case in cases]
    instruments = defaultdict(list)
    for place, case in enumerate(cases):
        instruments[case["ticks"][0]["symbol"]].append(place)
    print(
        f"\nLeave one instrument out: F1 by kind at 2.5, and with thresholds from {LEVELS} tuned on the others"
    )
    pooled: list[tuple[int, Said]] = []
    calibrated = [CALIBRATED] * len(engine.KINDS)
    spread = []
    for symbol, mine in instruments.items():
        others = [place for place in range(len(cases)) if place not in mine]
        tuned = _tuned(scorer, cases, openings, others)
        held_out = [(place, _said(openings[place], tuned)) for place in mine]
        at_calibrated = [(place, _said(openings[place], calibrated)) for place in mine]
        pooled += held_out
        spread.append(_f1(scorer, cases, at_calibrated))
        chosen = " ".join(f"{LEVELS[level]:g}" for level in tuned)
        print(f"  {symbol:<10} {spread[-1]:.3f}  {_f1(scorer, cases, held_out):.3f}   [{chosen}]")
    all_calibrated = [(place, _said(openings[place], calibrated)) for place in range(len(cases))]
    print(
        f"  {'all':<10} {_f1(scorer, cases, all_calibrated):.3f}  {_f1(scorer, cases, pooled):.3f}"
        f"   instruments at 2.5: {min(spread):.3f} to {max(spread):.3f}, deviation {np.std(spread):.3f}"
    )


def _openings(case: Json, threshold: float) -> list[tuple[int, int, float]]:
    """Tick, kind and score of every episode that opens."""
    ticks = case["ticks"]

    def column(name: str) -> Any:
        return np.array([np.nan if tick[name] is None else tick[name] for tick in ticks], np.float64)

    columns = engine.Ticks(
        np.zeros(len(ticks), np.int64),
        np.array([tick["ts"] for tick in ticks], np.int64),
        *(column(name) for name in ("price", "bid", "ask")),
        np.cumsum(column("volume")),
    )
    thresholds = np.full((len(engine.KINDS), 1), threshold)
    found = engine.apply(engine.new_states(1), columns, thresholds)
    return [(t.row, engine.KINDS.index(t.kind), t.score) for t in found if t.change == "opened"] + [
        (len(ticks), 0, 0.0)
    ]


def _said(by_level: Sequence[list[tuple[int, int, float]]], levels: Sequence[int]) -> Said:
    """Episodes of a kind do not depend on the thresholds of the others, so they can be put together."""
    ticks = by_level[0][-1][0]
    flags, kinds, best = np.zeros(ticks, np.bool_), [None] * ticks, np.zeros(ticks)
    for kind, level in enumerate(levels):
        for row, its_kind, score in by_level[level][:-1]:
            if its_kind == kind and score > best[row]:
                flags[row], best[row] = True, score
                kinds[row] = engine.KINDS[kind]
    return best, flags, kinds, 0.0


def _f1(scorer: Any, cases: list[Json], said: list[tuple[int, Said]]) -> float:
    return float(scorer.table([cases[place] for place, _ in said], [of for _, of in said])["F1k"])


def _tuned(scorer: Any, cases: list[Json], openings: list[Any], places: list[int]) -> list[int]:
    """The levels that are best on `places`, kind after kind; at a tie the one nearest to 2.5."""
    levels = [CALIBRATED] * len(engine.KINDS)
    for kind in range(len(engine.KINDS)):
        candidates = sorted(range(len(LEVELS)), key=lambda level: abs(level - CALIBRATED))
        results = []
        for level in candidates:
            trial = [*levels[:kind], level, *levels[kind + 1 :]]
            results.append(_f1(scorer, cases, [(place, _said(openings[place], trial)) for place in places]))
        levels[kind] = candidates[results.index(max(results))]
    return levels


if __name__ == "__main__":
    sys.exit(main())
