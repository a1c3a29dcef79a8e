# ruff: noqa: T201 - it prints a report
"""Ticks a second of the detectors' recursions, compiled by Cython and zig, beside today's engine; are the bits equal?

By hand, as neither compiler is a dependency (docs/decisions/0016-compiled-detectors.md)::

    uv venv build/compilers && VIRTUAL_ENV=build/compilers uv pip install cython ziglang
    PYTHONPATH=. python tests/benchmarks/compiled_detection.py
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from consumers.detectors.engine import engine, signals
from consumers.detectors.engine.ticks import Floats, Integers, Ticks, read_columns
from consumers.detectors.engine.pipeline import DETECTORS
from consumers.detectors.engine.plan import plan_rounds
from consumers.detectors.engine.signals import COLUMN_FIELDS, Signals
from consumers.detectors.engine.state import RECURSIVE, RECURSIVE_FIELDS

ROOT = Path(__file__).resolve().parents[2]
FOLDER, PYTHON = ROOT / "build" / "compiled", ROOT / "build" / "compilers" / "bin" / "python"
TICKS, BATCHES = 10_000, 20
HEAD = f"""# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
from libc.math cimport sqrt, fabs
cdef inline double maximum(double a, double b) noexcept:
    return a if a > b else b
cdef inline double minimum(double a, double b) noexcept:
    return a if a < b else b
cdef class State:
    cdef double {", ".join(RECURSIVE_FIELDS)}
cdef class Signals:
    cdef double {", ".join(each.name for each in fields(Signals))}
"""


class _Scalar(ast.NodeTransformer):
    """Makes Cython on doubles of a module's functions of the namespace `xp`, as `inline` makes Python on floats."""

    def __init__(self, module: ModuleType, prefix: str, own: set[str]) -> None:
        self._module = module
        self._prefix = prefix
        self._own = own

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        if all(isinstance(value, ast.Attribute) and ast.unparse(value).startswith("xp.") for value in values):
            return None
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.BitAnd | ast.BitOr):
            operator = ast.And() if isinstance(node.op, ast.BitAnd) else ast.Or()
            return ast.BoolOp(operator, [node.left, node.right])
        return node

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        elements: list[ast.expr] = []
        for each in node.elts:
            if isinstance(each, ast.Starred) and isinstance(each.value, ast.Name):
                elements += [ast.Constant(value) for value in getattr(self._module, each.value.id)]
            else:
                elements.append(self.visit(each))
        return ast.Tuple(elements, node.ctx)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        value = getattr(self._module, node.id, None)
        return ast.Constant(float(value)) if isinstance(value, int | float) else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func).removeprefix("xp.")
        if name == "where":
            return ast.IfExp(*node.args)
        if name in {"any", "maybe"}:
            return node.args[0]
        if name == "negate":
            return ast.UnaryOp(ast.Not(), node.args[0])
        if name in self._own:
            passed = [each for each in node.args if ast.unparse(each) != "xp"]
            return ast.Call(ast.Name(f"{self._prefix}_{name}", ast.Load()), passed, [])
        return ast.Call(ast.Name("fabs" if name == "absolute" else name, ast.Load()), node.args, [])


def scalar(module: ModuleType, prefix: str) -> Iterator[str]:
    """Yield the functions of a module as Cython."""
    parsed = ast.parse(inspect.getsource(module))
    own = [
        node
        for node in parsed.body
        if isinstance(node, ast.FunctionDef) and node.args.args and node.args.args[0].arg == "xp"
    ]
    transformer = _Scalar(module, prefix, {function.name for function in own})
    for function in own:
        body = ast.Module([transformer.visit(node) for node in function.body[1:]], [])
        body.body = [node for node in body.body if node is not None]
        if function.name == "observe":  # the caller makes the signals
            body.body = [node for node in body.body if not ast.unparse(node).startswith(("x = ", "return"))]
        given = [argument.arg for argument in function.args.args]
        stored = (
            node for node in ast.walk(body) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        )
        names = sorted({node.id for node in stored} - set(given))
        arguments = ", ".join(map(_argument, function.args.args[1:]))
        yield f"cdef {_type(function.returns)} {prefix}_{function.name}({arguments}) noexcept:\n"
        yield f"    cdef double {', '.join(names)}\n" if names else ""
        text = ast.unparse(ast.fix_missing_locations(body))
        yield "".join(f"    {line}\n" for line in text.splitlines())


def _argument(argument: ast.arg) -> str:
    known = {"s": "State s", "x": "Signals x", "tick": "Signals x"}
    return known.get(argument.arg) or f"{_type(argument.annotation)} {argument.arg}"


def _type(annotation: ast.expr | None) -> str:
    text = "None" if annotation is None else ast.unparse(annotation)
    if text.startswith("tuple["):
        return f"({', '.join(['double'] * (text.count(',') + 1))})"
    return "void" if text in {"None", "Signals"} else "double"


def loop() -> Iterator[str]:
    """Yield the loop over the ticks, symbol after symbol."""
    yield (
        "def run(double[:, ::1] columns, double[:, ::1] states, long[::1] slots, double[:, ::1] scores):\n"
        "    cdef State s = State()\n    cdef Signals x = Signals()\n"
        "    cdef (double, double, double, double) reading\n"
        "    cdef Py_ssize_t i, n = slots.shape[0]\n    cdef long slot, held = -1\n"
        "    for i in range(n):\n        slot = slots[i]\n        if slot != held:\n            if held >= 0:\n"
    )
    yield from (f"                states[{k}, held] = s.{name}\n" for k, name in enumerate(RECURSIVE_FIELDS))
    yield from (f"            s.{name} = states[{k}, slot]\n" for k, name in enumerate(RECURSIVE_FIELDS))
    yield "            held = slot\n"
    yield from (f"        x.{name} = columns[{k}, i]\n" for k, name in enumerate(COLUMN_FIELDS))
    yield "        signals_observe(s, x)\n"
    for k, spec in enumerate(DETECTORS):
        yield f"        reading = {spec.kind}_{spec.score.__name__}(s, x)\n        scores[{k}, i] = reading[0]\n"
    yield "        signals_learn(s, x)\n    if held >= 0:\n"
    yield from (f"        states[{k}, held] = s.{name}\n" for k, name in enumerate(RECURSIVE_FIELDS))


def compiled() -> Callable[..., None]:
    """Return the loop, compiled."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    modules = [(signals, "signals"), *((sys.modules[of.score.__module__], of.kind) for of in DETECTORS)]
    text = (
        HEAD
        + "".join(part for module, prefix in modules for part in scalar(module, prefix))
        + "".join(loop())
    )
    source, made = FOLDER / "kernel.pyx", FOLDER / "kernel.so"
    source.write_text(text)
    subprocess.run([PYTHON, "-m", "cython", "-3", source], check=True)
    flags = ("-shared", "-fPIC", "-O2", "-ffp-contract=off", "-fno-strict-aliasing", "-w")
    include = f"-I{sysconfig.get_paths()['include']}"
    subprocess.run(
        [PYTHON, "-m", "ziglang", "cc", *flags, include, "-o", made, source.with_suffix(".c")], check=True
    )
    spec = importlib.util.spec_from_file_location("kernel", made)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    run: Callable[..., None] = module.run
    return run


def batch(rng: np.random.Generator, slot: Integers, clock_ms: Integers, traded: Floats) -> Ticks:
    """Return ticks of which some are misprints, without quotes, or crossed."""
    order = np.argsort(slot, kind="stable")
    _, counts = np.unique(slot, return_counts=True)
    turn = np.empty(TICKS, np.int64)
    turn[order] = np.arange(TICKS) - np.repeat(np.cumsum(counts) - counts, counts)
    price = np.round(100.0 * (1.0 + 1e-4 * rng.standard_t(3, TICKS)), 2)
    price[rng.random(TICKS) < 0.001] *= 1.3
    price[rng.random(TICKS) < 0.0005] = 0.0
    volume = np.asarray(traded[slot] + 100.0 * (turn + 1) + rng.integers(0, 900, TICKS), np.float64)
    ts = clock_ms[slot] + 1000 * (turn + 1)
    np.maximum.at(clock_ms, slot, ts)
    np.maximum.at(traded, slot, volume)
    bid = price - 0.01 * rng.integers(-1, 5, TICKS)
    bid[rng.random(TICKS) < 0.05] = np.nan
    return Ticks(slot, ts, price, bid, price + 0.01 * rng.integers(0, 5, TICKS), volume)


def compare(run: Callable[..., None], symbols: int, slots: Callable[[np.random.Generator], Integers]) -> str:
    """Return what one shape of batches takes in turns, and whether scores and states are equal bit by bit."""
    rng, clock_ms, traded = np.random.default_rng(7), np.full(symbols, 1_795_530_600_000), np.zeros(symbols)
    today, other = engine.new_states(symbols), engine.new_states(symbols)
    never = np.full((len(engine.KINDS), symbols), 1e9)  # no threshold is met: episodes are not compared
    taken: dict[str, list[float]] = {"today": [], "columns": [], "recursions": []}
    is_equal = True
    for _ in range(BATCHES):
        ticks = batch(rng, slots(rng), clock_ms, traded)
        expected, scores = np.zeros((len(engine.KINDS), TICKS)), np.zeros((len(engine.KINDS), TICKS))
        marks = [time.process_time()]
        engine.apply(today, ticks, never, expected)
        marks.append(time.process_time())
        plan = plan_rounds(ticks.slot)
        lines = [column[plan.by_place].astype(np.float64) for column in read_columns(other, plan, ticks)]
        columns = np.array(lines)
        rows = plan.rows[plan.by_place]
        state, found = np.ascontiguousarray(other[RECURSIVE]), np.empty((len(engine.KINDS), TICKS))
        marks.append(time.process_time())
        run(columns, state, ticks.slot[rows], found)
        marks.append(time.process_time())
        other[RECURSIVE], scores[:, rows] = state, found
        for name, seconds in zip(taken, np.diff(marks).tolist(), strict=True):
            taken[name].append(seconds)
        is_equal &= scores.tobytes() == expected.tobytes() and today.tobytes() == other.tobytes()
    before, columns_s, recursions_s = (statistics.median(of) for of in taken.values())
    rates = (TICKS / before, TICKS / (columns_s + recursions_s), TICKS / recursions_s)
    shown = ", ".join(
        f"{name} {rate:,.0f}" for name, rate in zip(("today", "compiled", "alone"), rates, strict=True)
    )
    return f"{shown} ticks/s; bits are {'equal' if is_equal else 'NOT EQUAL'}"


def main() -> None:
    run = compiled()
    popular = 1.0 / np.arange(1, 501) ** 1.1
    print("20 polls of 500:", compare(run, 500, lambda _: np.tile(np.arange(500), 20)))
    print("one symbol:     ", compare(run, 1, lambda _: np.zeros(TICKS, np.int64)))
    zipf = popular / popular.sum()
    print("500, Zipf:      ", compare(run, 500, lambda rng: rng.choice(500, TICKS, p=zipf)))


if __name__ == "__main__":
    main()
