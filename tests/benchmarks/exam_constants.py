# ruff: noqa: T201 - it prints a report
"""How much the exam's F1 by kind depends on each constant of the detectors: each a fifth smaller and larger.

Every value is changed in a copy of the source, which is compiled and on which `exam.py --quick` runs.
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

from consumers.stream.library import this_platform

ROOT = Path(__file__).resolve().parents[2]
COMPILER = ROOT / "build" / "compiler" / "bin" / "python"
ROOMS = ("producers", "consumers", "tests/benchmarks")
FACTORS = (0.8, 1.2)
# Guards against zero and overflow, and times of day: no choice of a statistic.
LEFT_OUT = re.compile(
    r"DAY_MS|.*_ROOT|LEAST_(SPREAD|DEVIATION)|SCALE_FLOOR|UN[A-Z]+|(LOW|HIGH)EST_.*|.*FAULT.*|QUANTILE"
)


class Constant(NamedTuple):
    """A number that is given a name at the top of a module."""

    file: Path
    name: str
    value: ast.Constant


def constants(folder: Path) -> Iterator[Constant]:
    """Find the floats that modules of the detectors name."""
    for file in sorted(folder.rglob("*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name | ast.Tuple):
                target = node.targets[0]
                names = target.elts if isinstance(target, ast.Tuple) else [target]
                values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
                for name, value in zip(names, values, strict=False):
                    if isinstance(name, ast.Name) and not LEFT_OUT.fullmatch(name.id):
                        yield from _floats(file, name.id, value)


def _floats(file: Path, name: str, value: ast.expr) -> Iterator[Constant]:
    if isinstance(value, ast.Constant) and isinstance(value.value, float):
        yield Constant(file, name, value)
    elif isinstance(value, ast.Tuple):
        for place, part in enumerate(value.elts):
            yield from _floats(file, f"{name}[{place}]", part)


def measured(root: Path, only: str | None) -> float:
    """Compile the source in `root` and run the exam on it; return F1 by kind."""
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    compile_ = ["-m", "consumers.detectors.engine.compiler", "--compiler", str(COMPILER), this_platform()]
    subprocess.run([sys.executable, *compile_], env=environment, cwd=root, check=True)
    command = [sys.executable, str(root / "tests/benchmarks/exam.py"), "--quick"]
    command += ["--exam", str(ROOT.parent / "shared" / "exam2"), *(["--only", only] if only else [])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    found = re.search(r"F1kind ([0-9.]+)", done.stdout)
    if found is None:
        sys.exit(f"the exam failed: {done.stderr[-500:]}")
    return float(found[1])


def changed(source: str, value: ast.Constant, factor: float) -> str:
    """Return the source with this number multiplied."""
    lines = source.splitlines(keepends=True)
    line = lines[value.lineno - 1]
    number = repr(factor * float(ast.literal_eval(value)))
    lines[value.lineno - 1] = line[: value.col_offset] + number + line[value.end_col_offset :]
    return "".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="cases whose name contains one of these, separated by commas")
    parser.add_argument("--constants", default="", help="names that match this regular expression")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for room in ROOMS:
            shutil.copytree(ROOT / room, root / room, ignore=shutil.ignore_patterns("__pycache__"))
        print(f"F1 by kind as it is: {measured(root, arguments.only):.3f}")
        print(
            f"| constant | value | {' | '.join(f'x {factor:g}' for factor in FACTORS)} |\n|---|---|---|---|"
        )
        for file, name, value in constants(root / "consumers" / "detectors"):
            if not re.search(arguments.constants, name):
                continue
            source = file.read_text()
            row = []
            for factor in FACTORS:
                file.write_text(changed(source, value, factor))
                row.append(f"{measured(root, arguments.only):.3f}")
            file.write_text(source)
            print(f"| {file.stem}.{name} | {ast.literal_eval(value):g} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
