# ruff: noqa: T201 - it prints a report
"""How much the exam depends on each constant of the detectors: each a fifth smaller and a quarter larger.

Every value is changed in a copy of the source, which is compiled; the engine then runs that library over the cases.
Printed are F1 by kind, and how many of the exam's goals are missed.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import exam

from consumers.detectors.engine import engine
from consumers.detectors.engine.compiled import Loop
from consumers.stream.library import find, this_platform

ROOT = Path(__file__).resolve().parents[2]
COMPILER = ROOT / "build" / "compiler" / "bin" / "python"
ROOMS = ("producers", "consumers")
FACTORS = (0.8, 1.25)
# Units, guards against zero and overflow, caps, what only names what was found: no choices of a statistic.
UNITS = (1.0, 60_000.0, 3_600_000.0)
LEFT_OUT = re.compile(
    r"(check|engine|episodes|state)\..*"
    r"|.*\.((HALF_)?DAY_MS|HALF_DAY|.*_ROOT|LEAST_SPREAD|SCALE_FLOOR|UN[A-Z]+|(LOW|HIGH)EST_.*|.*FAULT.*|QUANTILE"
    r"|MEAN_TO_.*|MOST|WORTH_NAMING|SPLIT_TOLERANCE|FORGOTTEN_.*|RECENT_MOVES)"
    r"|slow_drift\.LEAST_DEVIATION"
)


class Constant(NamedTuple):
    """A number that is given a name at the top of a module."""

    file: Path
    name: str
    value: ast.Constant


class Exam:
    """The cases of an exam, read once."""

    def __init__(self, folder: Path, only: str | None) -> None:
        self._scorer = exam.scorer_of(folder)
        self._cases = [
            (case, *exam.read_ticks(self._scorer, case))
            for case in self._scorer.metas(str(folder / "open"), only)
        ]

    def measured(self, root: Path) -> str:
        """Compile the source in `root` and run it; return F1 by kind and how many goals are missed."""
        environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
        compile_ = ["-m", "consumers.detectors.engine.compiler", "--compiler", str(COMPILER), this_platform()]
        subprocess.run([sys.executable, *compile_], env=environment, cwd=root, check=True)
        library = find(root / "consumers" / "stream")
        if library is None:
            sys.exit("the changed source has no library")
        engine.LOOP = Loop(library)
        table = self._scorer.table(
            [
                exam.judge(self._scorer, case, exam.openings(ticks, taken, 2.5))
                for case, ticks, taken in self._cases
            ]
        )
        missed = sum(not exam.is_reached(*goal[1:]) for goal in exam.goals_of(table))
        return f"{table['F1k']:.3f} ({missed})"


def constants(folder: Path) -> Iterator[Constant]:
    """Find the floats that modules of the detectors name."""
    for file in sorted(folder.rglob("*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name | ast.Tuple):
                target = node.targets[0]
                pairs: list[tuple[ast.expr, ast.expr]] = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=True))
                for name, value in pairs:
                    if isinstance(name, ast.Name) and not LEFT_OUT.fullmatch(f"{file.stem}.{name.id}"):
                        yield from _floats(file, name.id, value)


def _floats(file: Path, name: str, value: ast.expr) -> Iterator[Constant]:
    if isinstance(value, ast.Constant) and isinstance(value.value, float) and value.value:
        yield Constant(file, name, value)
    elif isinstance(value, ast.Tuple):
        for place, part in enumerate(value.elts):
            yield from _floats(file, f"{name}[{place}]", part)
    elif isinstance(value, ast.BinOp):
        for part in (value.left, value.right):
            if not (isinstance(part, ast.Constant) and part.value in UNITS):
                yield from _floats(file, name, part)


def changed(source: str, value: ast.Constant, factor: float) -> str:
    """Return the source with this number multiplied."""
    lines = source.splitlines(keepends=True)
    line = lines[value.lineno - 1]
    number = repr(factor * float(ast.literal_eval(value)))
    lines[value.lineno - 1] = line[: value.col_offset] + number + line[value.end_col_offset :]
    return "".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exam", type=Path, default=ROOT.parent / "shared" / "exam2")
    parser.add_argument("--only", help="cases whose name contains one of these, separated by commas")
    parser.add_argument("--constants", default="", help="names that match this regular expression")
    arguments = parser.parse_args()
    cases = Exam(arguments.exam, arguments.only)
    with tempfile.TemporaryDirectory() as folder:
        print(
            f"| constant | value | {' | '.join(f'x {factor:g}' for factor in FACTORS)} |\n|---|---|---|---|"
        )
        for number, constant in enumerate([None, *constants(ROOT / "consumers" / "detectors")]):
            if constant and not re.search(arguments.constants, f"{constant.file.stem}.{constant.name}"):
                continue
            for factor in FACTORS if constant else (1.0,):
                # Each in a folder of its own: a library that was loaded is not loaded again.
                root = Path(folder, f"{number}-{factor}")
                for room in ROOMS:
                    shutil.copytree(
                        ROOT / room, root / room, ignore=shutil.ignore_patterns("__pycache__", "*.so")
                    )
                if constant:
                    copy = root / constant.file.relative_to(ROOT)
                    copy.write_text(changed(copy.read_text(), constant.value, factor))
                    if factor == FACTORS[0]:
                        name = f"{constant.file.stem}.{constant.name}"
                        print(f"| {name} | {ast.literal_eval(constant.value):g} ", end="", flush=True)
                    print(f"| {cases.measured(root)} ", end="", flush=True)
                else:
                    print(f"| all as it is | | {cases.measured(root)} | ", end="")
                shutil.rmtree(root)
            print("|", flush=True)


if __name__ == "__main__":
    main()
