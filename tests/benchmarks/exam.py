# ruff: noqa: T201 - it prints a report
"""The detection exam: quality against its goals, in lock step on a sample, by instrument and class (`make exam`).

The cases and the scorer are not part of the repository: they lie in ../shared/exam2, or where --exam says.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from consumers.detectors.engine import engine
from consumers.detectors.engine.signals import DAY_MS
from consumers.detectors.engine.ticks import Floats

Json = dict[str, Any]
Flags = NDArray[np.bool_]

ROOT = Path(__file__).resolve().parents[2]
LEVELS = (2.0, 2.25, 2.5, 2.75, 3.0)
# One case of so many is compared in lock step.
SAMPLED = 40
# Tick, kind and score of an episode that opens.
Opening = tuple[int, str, float]


class Scorer(Protocol):
    """The exam's own module."""

    def metas(self, folder: str, only: str | None) -> list[Json]: ...
    def rows(self, case: Json) -> list[tuple[int, str, float, float | None, float | None, float]]: ...
    def run_lock(self, command: str, case: Json) -> tuple[Floats, Flags, list[str | None], float]: ...
    def judge(
        self, case: Json, flags: Flags, kinds: list[str | None]
    ) -> tuple[list[Json], list[tuple[int, str]], int, int]: ...
    def table(self, judged: list[Json]) -> Json: ...
    def show(self, name: str, table: Json) -> None: ...


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--exam", type=Path, default=ROOT.parent / "shared" / "exam2", help="the exam's folder"
    )
    parser.add_argument("--cases", type=Path, help="the part; without it its `open`")
    parser.add_argument("--only", help="cases whose name contains one of these, separated by commas")
    parser.add_argument("--quick", action="store_true", help="without lock step and cross-validation")
    arguments = parser.parse_args()
    if not (arguments.exam / "score.py").exists():
        print(f"There is no exam in {arguments.exam}: name its folder with --exam", file=sys.stderr)
        return 2
    scorer = scorer_of(arguments.exam)
    cases = scorer.metas(str(arguments.cases or arguments.exam / "open"), arguments.only)
    levels = [2.5] if arguments.quick else list(LEVELS)
    found = [
        {level: openings(ticks, taken, level) for level in levels}
        for ticks, taken in (read_ticks(scorer, case) for case in cases)
    ]
    judged = [judge(scorer, case, each[2.5]) for case, each in zip(cases, found, strict=True)]
    table = scorer.table(judged)
    scorer.show("stock-monitor", table)
    reached = report_goals(table)
    report_rates(judged)
    if not arguments.quick:
        reached &= compare_lock_step(scorer, cases[::SAMPLED], [each[2.5] for each in found[::SAMPLED]])
        for name, key in (("instrument", "symbol"), ("class", "cls")):
            leave_out(scorer, cases, found, name, partial(_field, key))
    return 0 if reached else 1


def scorer_of(exam: Path) -> Scorer:
    """Return the scorer in an exam's folder."""
    sys.path.insert(0, str(exam))
    sys.dont_write_bytecode = True
    return cast("Scorer", importlib.import_module("score"))


def goals_of(table: Json) -> list[tuple[str, float, str, float]]:
    """Return each goal of detection: its name, what was measured, and the bar."""
    caught, dated = (int(part) for part in table["real"].split("/"))
    quiet = table["quiet_alerts_day"]
    return [
        ("F1 by kind", table["F1k"], ">=", 0.78),
        ("F1 by kind, US shares and ETFs", (table["core"] or {}).get("F1k", float("nan")), ">=", 0.86),
        *(
            (
                f"recall, {name}",
                table["difficulty"].get(name, {}).get("recall_kind", float("nan")),
                ">=",
                goal,
            )
            for name, goal in (("clear", 0.93), ("hard", 0.65))
        ),
        ("lowest recall of a kind", min(table["by_kind"].values()), ">=", 0.65),
        *(
            (f"false alarms a symbol-day, {cadence}", table[f"fa_{cadence}"], "<=", goal)
            for cadence, goal in (("1s", 1.0), ("5s", 0.5), ("tick", 1.5), ("1m", 0.05))
        ),
        *(
            (f"quiet days, {cadence}", quiet[cadence]["charged"], "<=", goal)
            for cadence, goal in (("5s", 2.0), ("1m", 0.02))
            if cadence in quiet
        ),
        ("alarms on benign faults", int(table["benign"].split("/")[0]), "<=", 0),
        ("dated events caught, of all", caught / max(dated, 1), ">=", 50 / 56),
        ("other alarms a day there", table["real_alerts_day"], "<=", 0.15),
        ("median delay of a drift", table["delays"].get("slow_drift", 0.0), "<=", 40.0),
        ("median delay of a freeze", table["delays"].get("frozen_feed", 0.0), "<=", 6.0),
    ]


def is_reached(value: float, sign: str, goal: float) -> bool:
    return value >= goal if sign == ">=" else value <= goal


def report_goals(table: Json) -> bool:
    """Print each goal of detection with what was measured."""
    goals = goals_of(table)
    reached = [is_reached(*goal[1:]) for goal in goals]
    for (name, value, sign, goal), ok in zip(goals, reached, strict=True):
        print(f"  {'ok    ' if ok else 'MISSED'}  {name:<34} {value:6.3f}  {sign} {goal:.3g}")
    return all(reached)


def report_rates(judged: list[Json]) -> None:
    """Print how the rate of false alarms varies over instruments: one operating point serves all of them."""
    for cadence in ("1s", "5s", "tick", "1m"):
        alarms: Counter[str] = Counter()
        days: Counter[str] = Counter()
        for each in judged:
            if each["m"]["res"] == cadence and each["m"]["type"] != "real":
                alarms[each["m"]["symbol"]] += len(each["fa"])
                days[each["m"]["symbol"]] += each["m"]["symbol_days"]
        if rates := [alarms[symbol] / days[symbol] for symbol in days]:
            low, middle, high = np.quantile(rates, [0.1, 0.5, 0.9])
            print(
                f"  false alarms a day over {len(rates)} instruments, {cadence}:"
                f" 10 % {low:.2f}, median {middle:.2f}, 90 % {high:.2f}, most {max(rates):.2f}"
            )


def compare_lock_step(scorer: Scorer, cases: list[Json], found: list[list[Opening]]) -> bool:
    """Whether `stock-monitor detect`, asked tick by tick, says the same of these cases as the engine in one go."""
    command = f"{ROOT}/.venv/bin/stock-monitor detect"
    different = []
    for case, mine_found in zip(cases, found, strict=True):
        _, flags, kinds, _ = scorer.run_lock(command, case)
        mine, my_kinds = _flags(len(flags), mine_found)
        rows = np.flatnonzero(flags).tolist()
        if rows != np.flatnonzero(mine).tolist() or any(kinds[row] != my_kinds[row] for row in rows):
            different.append(case["case"])
    print(f"  lock step: {len(cases)} cases, {len(different)} differ from the engine {different or ''}")
    return not different


def leave_out(
    scorer: Scorer,
    cases: list[Json],
    found: list[dict[float, list[Opening]]],
    name: str,
    group_of: Callable[[Json], str],
) -> None:
    """Choose every kind's threshold on all groups but one, judge that one; print what it moves."""
    injected = [place for place, case in enumerate(cases) if case["type"] == "inject"]
    counts = {
        (place, level): _counts(scorer, cases[place], found[place][level])
        for place in injected
        for level in LEVELS
    }
    groups = sorted({group_of(cases[place]) for place in injected})
    total = {level: sum((counts[place, level] for place in injected), np.zeros(3)) for level in LEVELS}
    pooled, calibrated, chosen = np.zeros(3), np.zeros(3), Counter[float]()
    without = []
    for group in groups:
        mine = [place for place in injected if group_of(cases[place]) == group]
        rest = {
            level: total[level] - sum((counts[place, level] for place in mine), np.zeros(3))
            for level in LEVELS
        }
        best = max(LEVELS, key=lambda level: (_f1(rest[level]), -abs(level - 2.5)))
        chosen[best] += 1
        pooled += sum(counts[place, best] for place in mine)
        calibrated += sum(counts[place, 2.5] for place in mine)
        without.append(_f1(rest[2.5]))
    everything = _f1(total[2.5])
    print(
        f"  leave one {name} out of {len(groups)}: F1 by kind {everything:.3f} at 2.5;"
        f" {min(without):.3f} to {max(without):.3f} without one; with the threshold tuned on the others"
        f" {_f1(pooled):.3f} ({', '.join(f'{level:g} x{times}' for level, times in sorted(chosen.items()))})"
    )


def read_ticks(scorer: Scorer, case: Json) -> tuple[engine.Ticks, list[int]]:
    """Return a case's ticks, as `stock-monitor detect` reads them, and the row of each in the case."""
    rows = scorer.rows(case)
    taken, times, last = [], [], -1
    for row, (ts, *_) in enumerate(rows):
        if ts >= last:  # a late tick is rejected, ticks of one millisecond are put one millisecond apart
            last = max(ts, last + 1)
            taken.append(row)
            times.append(last)
    price, bid, ask, volume = (
        np.array([np.nan if rows[row][column] is None else rows[row][column] for row in taken], np.float64)
        for column in (2, 3, 4, 5)
    )
    days = [rows[row][0] // DAY_MS for row in taken]
    case["ticks"] = len(rows)
    return engine.Ticks(
        np.zeros(len(taken), np.int64), np.array(times, np.int64), price, bid, ask, _by_day(days, volume)
    ), taken


def openings(ticks: engine.Ticks, taken: list[int], level: float) -> list[Opening]:
    """Run the engine over a case at a threshold."""
    changes = engine.apply(engine.new_states(1), ticks, np.full((len(engine.KINDS), 1), level))
    return [(taken[t.row], t.kind, t.score) for t in changes if t.change == "opened"]


def _field(key: str, case: Json) -> str:
    return str(case[key])


def _by_day(days: list[int], volume: Floats) -> Floats:
    """Return volumes summed over each UTC day."""
    total, sums, day = 0.0, [], None
    for its_day, shares in zip(days, volume.tolist(), strict=True):
        total = shares if its_day != day else total + shares
        day = its_day
        sums.append(total)
    return np.array(sums)


def _flags(ticks: int, found: list[Opening]) -> tuple[Flags, list[str | None]]:
    """Return where an anomaly begins, and the kind of the highest score there."""
    flags = np.zeros(ticks, np.bool_)
    kinds: list[str | None] = [None] * ticks
    for row, kind, _ in sorted(found, key=lambda opening: opening[2]):
        flags[row], kinds[row] = True, kind
    return flags, kinds


def judge(scorer: Scorer, case: Json, found: list[Opening]) -> Json:
    """Return the scorer's judgement of a case."""
    events, false, raw, benign = scorer.judge(case, *_flags(case["ticks"], found))
    return {"m": case, "r": events, "fa": false, "raw": raw, "bn": benign, "t": 1.0, "n": case["ticks"]}


def _counts(scorer: Scorer, case: Json, found: list[Opening]) -> Floats:
    """Return events caught with the right kind, events, and alarms that were wrong."""
    judged = judge(scorer, case, found)
    named = sum(event["ok"] for event in judged["r"])
    misnamed = sum(event["hit"] for event in judged["r"]) - named
    return np.array([named, len(judged["r"]), len(judged["fa"]) + misnamed], np.float64)


def _f1(counts: Floats) -> float:
    named, events, wrong = counts
    return float(2.0 * named / max(events + named + wrong, 1.0))


if __name__ == "__main__":
    sys.exit(main())
