"""Makes C of the detectors' own Python, and of that a library for each platform: `python -m ….compiler` in `make`.

Every function that a tick runs through becomes a C function of doubles, operation by operation in the order of the
source; `loop.c` calls them tick by tick. + - * / and sqrt are correctly rounded in both, comparisons are exact, and the
compiler may fuse nothing: the bits are those of the uncompiled source (tests/consumers/detectors/test_compiled.py). A
detector that cannot be put into C is left out and runs as Python. Free of numpy, and of all that a wheel is built
without.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from functools import reduce
from pathlib import Path
from types import FunctionType
from typing import Any

from consumers.contracts.kinds import REGISTRY
from consumers.detectors.engine import episodes, signals
from consumers.detectors.engine.state import MEMORY_FIELDS, SHARED_FIELDS
from consumers.stream.library import BLOCK, COLUMNS, FOLDER, LOOP, PLATFORMS, fingerprints, name_of
from producers.errors import MonitorError
from producers.quote_values import MAX_PRICE, MAX_TS_MS, MAX_VOLUME

FLAGS = (
    "-shared", "-fPIC", "-nostdlib", "-ffreestanding", "-O2", "-ffp-contract=off", "-fno-math-errno",
    "-fno-strict-aliasing", "-fvisibility=hidden", "-std=c11", "-g0", "-Wall", "-Werror", "-Wno-unused-function",
    "-Wno-unused-variable",
    "-Wno-unused-but-set-variable",
)  # fmt: skip
_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.BitAnd: "&", ast.BitOr: "|", ast.And: "&&",
    ast.Or: "||", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
_ONE = {"sqrt": "__builtin_sqrt", "abs": "__builtin_fabs"}
_SOME = {"max": "maximum", "min": "minimum"}


class CompileError(MonitorError):
    """A function cannot be put into C; says where and what it holds."""


class _Function:
    """A function as C; what it calls is put into `library` before it."""

    def __init__(self, function: Callable[..., Any], library: _Library) -> None:
        self._known = inspect.unwrap(function).__globals__
        self._library = library
        self._place = f"{function.__module__}.{function.__name__}"
        (parsed,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
        if not isinstance(parsed, ast.FunctionDef):
            raise self._cannot(parsed)
        self._parsed = parsed
        self._arguments = {each.arg: _type(each.annotation) for each in parsed.args.args}
        self._tuples = {each.arg: _elements(each.annotation) for each in parsed.args.args}
        self._locals: dict[str, str] = {}
        self.returns = _type(parsed.returns)
        self.name = f"{function.__module__.rpartition('.')[2]}_{function.__name__.strip('_')}"

    def text(self) -> str:
        body = "".join(f"    {line}\n" for line in self._block(self._parsed.body))
        held = "".join(f"    {kind} {name}_;\n" for name, kind in sorted(self._locals.items()))
        arguments = ", ".join(f"{kind}{name}" for name, kind in self._spelt())
        return f"static inline {self.returns} {self.name}({arguments})\n{{\n{held}{body}}}\n\n"

    def _spelt(self) -> Iterator[tuple[str, str]]:
        for name, kind in self._arguments.items():
            yield (name, kind) if kind.endswith("*") else (f"{name}_", f"{kind} ")

    def _block(self, nodes: list[ast.stmt]) -> Iterator[str]:
        for node in nodes:
            yield from self._statement(node)

    def _statement(self, node: ast.stmt) -> Iterator[str]:
        match node:
            case ast.Expr(value=ast.Constant(value=str())) | ast.Delete() | ast.Pass():
                pass
            case ast.Expr(value=ast.Call() as call):
                yield f"{self._value(call)};"
            case ast.Assign(targets=[target], value=value):
                yield from self._assign(target, value)
            case ast.AugAssign(target=target, op=operator, value=value):
                left = ast.parse(ast.unparse(target), mode="eval").body
                yield from self._assign(target, ast.BinOp(left, operator, value))
            case ast.If(test=test, body=body, orelse=other):
                yield f"if ({self._value(test)}) {{"
                yield from (f"    {line}" for line in self._block(body))
                yield from ("} else {", *(f"    {line}" for line in self._block(other))) if other else ()
                yield "}"
            case ast.Return(value=value):
                yield "return;" if value is None else f"return {self._value(value)};"
            case _:
                raise self._cannot(node)

    def _assign(self, target: ast.expr, value: ast.expr) -> Iterator[str]:
        if not isinstance(target, ast.Tuple):
            found = self._value(value)
            yield f"{self._target(target, self._kind(value))} = {found};"
            return
        kinds = self._kinds(value, len(target.elts))
        yield "{"
        yield f"    {_tuple(len(kinds))} held = {self._value(value)};"
        for i, (each, kind) in enumerate(zip(target.elts, kinds, strict=True)):
            yield f"    {self._target(each, kind)} = held.e[{i}];"
        yield "}"

    def _target(self, node: ast.expr, kind: str) -> str:
        if isinstance(node, ast.Name) and node.id not in self._arguments:
            known = self._locals.setdefault(node.id, kind)
            self._locals[node.id] = kind if known == kind else "double"
        return self._value(node)

    def _kinds(self, value: ast.expr, count: int) -> list[str]:
        """Return the types of the elements of a tuple."""
        if isinstance(value, ast.Tuple):
            return [self._kind(each) for each in value.elts]
        return self._tuples.get(ast.unparse(value)) or ["double"] * count

    def _kind(self, node: ast.expr) -> str:
        """Return the type of an expression: a condition, a tuple, or a double."""
        found = "double"
        match node:
            case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()) | ast.Constant(value=bool()):
                found = "_Bool"
            case ast.BinOp(op=ast.BitAnd() | ast.BitOr()):
                found = "_Bool"
            case ast.Name(id=name):
                found = self._locals.get(name) or self._arguments.get(name, found)
            case ast.Attribute(value=ast.Name(id="x"), attr=name):
                found = self._library.signals.get(name, found)
            case ast.IfExp(body=body):
                found = self._kind(body)
            case ast.Call(func=ast.Name(id=name)) if name not in _ONE | _SOME:
                found = self._called(name, node).returns
        return found

    def _value(self, node: ast.expr) -> str:
        """Return an expression as C."""
        found: str | None = None
        match node:
            case ast.Constant(value=int() | float() as value):
                found = float(value).hex()
            case ast.Name(id=name):
                found = self._name(name)
            case ast.Attribute(value=ast.Name(id="s" | "x" | "e" as of), attr=name):
                found = f"{of}->{name}_"
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=int() as at)):
                found = f"{name}_.e[{at}]"
            case ast.Tuple(elts=elements):
                found = self._made(elements)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                found = self._call(name, arguments, node)
            case _:
                found = self._computed(node)
        if found is None:
            raise self._cannot(node)
        return found

    def _computed(self, node: ast.expr) -> str | None:
        match node:
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
                return f"({self._value(left)} {_OPERATORS[type(operator)]} {self._value(right)})"
            case ast.BoolOp(op=operator, values=values):
                return f"({f' {_OPERATORS[type(operator)]} '.join(map(self._value, values))})"
            case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in _OPERATORS:
                return f"({self._value(left)} {_OPERATORS[type(operator)]} {self._value(right)})"
            case ast.UnaryOp(op=ast.USub() | ast.Not() as operator, operand=operand):
                return f"({'-' if isinstance(operator, ast.USub) else '!'}{self._value(operand)})"
            case ast.IfExp(test=test, body=body, orelse=other):
                return f"({self._value(test)} ? {self._value(body)} : {self._value(other)})"
        return None

    def _name(self, name: str) -> str | None:
        if name in self._locals or name in self._arguments:
            return name if self._arguments.get(name, "").endswith("*") else f"{name}_"
        value = self._known.get(name)
        return float(value).hex() if isinstance(value, int | float) else None

    def _made(self, elements: list[ast.expr]) -> str:
        values: list[str] = []
        for each in elements:
            if isinstance(each, ast.Starred) and isinstance(each.value, ast.Name):
                values += [float(value).hex() for value in self._known[each.value.id]]
            else:
                values.append(self._value(each))
        return f"({_tuple(len(values))}){{{{{', '.join(values)}}}}}"

    def _call(self, name: str, arguments: list[ast.expr], node: ast.expr) -> str:
        passed = [self._value(each) for each in arguments]
        if name in _SOME and len(passed) > 1:
            return reduce(lambda one, other: f"{_SOME[name]}({one}, {other})", passed)
        return f"{_ONE.get(name) or self._called(name, node).name}({', '.join(passed)})"

    def _called(self, name: str, node: ast.AST) -> _Function:
        if isinstance(function := self._known.get(name), FunctionType):
            return self._library.add(function)
        raise self._cannot(node)

    def _cannot(self, node: ast.AST) -> CompileError:
        allowed = "assignments, if, return, + - * /, comparisons, and, or, not, abs, max, min, sqrt"
        return CompileError(
            f"`{ast.unparse(node)}` has no counterpart in C", where=self._place, allowed=allowed
        )


def _type(annotation: ast.expr | None) -> str:
    text = "None" if annotation is None else ast.unparse(annotation)
    if text.startswith("tuple["):
        return _tuple(len(_elements(annotation)))
    known = {
        "None": "void",
        "State": "State *",
        "Signals": "Signals *",
        "Episode": "Episode *",
        "bool": "_Bool",
    }
    return known.get(text, "double")


def _elements(annotation: ast.expr | None) -> list[str]:
    if isinstance(annotation, ast.Subscript) and isinstance(annotation.slice, ast.Tuple):
        return [_type(each) for each in annotation.slice.elts]
    return []


def _tuple(count: int) -> str:
    return f"tuple{count}"


class _Library:
    """The C text of all that a tick runs through."""

    def __init__(self) -> None:
        self.signals = {
            each.name: "_Bool" if each.type == "bool" else "double" for each in fields(signals.Signals)
        }
        self._functions: dict[Callable[..., Any], _Function] = {}
        self._texts: list[str] = []
        self.kinds: list[str] = []
        self.made_of = ""

    def add(self, function: Callable[..., Any]) -> _Function:
        """Return a function as C, put before all that calls it."""
        if function not in self._functions:
            made = _Function(function, self)
            text = made.text()  # what it calls comes before it
            self._functions[function] = made
            self._texts.append(text)
        return self._functions[function]

    def text(self) -> str:
        for function in (signals.read, signals.learn, episodes.move_on):
            self.add(function)
        specs = [of.spec for of in REGISTRY.values() if of.place.startswith("consumers/detectors/")]
        state = [*MEMORY_FIELDS, *SHARED_FIELDS, *(name for spec in specs for name in spec.fields)]
        for spec in specs:
            before = len(self._texts)
            try:
                score = self.add(spec.score)
            except CompileError as error:
                del self._texts[before:]
                sys.stderr.write(f"{spec.kind} runs uncompiled: {error}\n")
                continue
            self.kinds.append(spec.kind)
            self._texts.append(
                f"EXPORT int score_{spec.kind}(State *s, Signals *x, double *reading)\n{{\n"
                f"    tuple4 found = {score.name}(s, x);\n"
                "    for (int i = 0; i < 4; i++) reading[i] = found.e[i];\n    return 0;\n}\n\n"
            )
        self.made_of = json.dumps(
            {"sources": fingerprints(), "kinds": self.kinds, "fields": state}, separators=(",", ":")
        )
        structs = (
            ("State", ((name, "double") for name in state)),
            ("Signals", self.signals.items()),
            ("Episode", ((each.name, "double") for each in fields(episodes.Episode))),
        )
        parts = [f"EXPORT const char made_of[] = {json.dumps(self.made_of)};\n"]
        parts += [f"typedef struct {{ double e[{n}]; }} tuple{n};\n" for n in range(2, 9)]
        parts.append(f"static const double ENDED = {episodes.ENDED.hex()};\n")
        parts.append(f"static const double MAX_PRICE = {MAX_PRICE.hex()}, MAX_VOLUME = {MAX_VOLUME.hex()};\n")
        parts.append(f"static const int64_t MAX_TS_MS = {MAX_TS_MS};\n")
        for name, members in structs:
            parts.append(
                f"typedef struct {{ {' '.join(f'{kind} {member}_;' for member, kind in members)} }} {name};\n"
            )
        head, marker, loop = LOOP.read_text().partition("/* The detectors come here. */\n")
        return "".join((head, *parts, *self._texts, marker, loop, COLUMNS.read_text(), BLOCK.read_text()))


def build(compiler: Path, folder: Path, names: Sequence[str] = tuple(PLATFORMS)) -> None:
    """Compile the detectors for platforms, each into its library in the engine's folder; what is current stays.

    Parameters
    ----------
    compiler
        A Python that has the package ziglang.
    folder
        Where the C text is left.

    Raises
    ------
    CompileError
        If the compiler is not there, or failed.
    """
    text = _Library()
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "detectors.c"
    source.write_text(text.text())
    for name in names:
        target, made = FOLDER / name_of(name), folder / name_of(name)
        if target.exists() and text.made_of.encode() in target.read_bytes():
            continue
        command = (compiler, "-m", "ziglang", "cc", "-target", PLATFORMS[name], *FLAGS, "-o", made, source)
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        if done.returncode:
            raise CompileError(done.stderr.strip(), where=f"the detectors for {name}")
        made.replace(target)  # never half of one, and never changed while a process has it


def main() -> None:
    """Compile for every platform, or for the named ones."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--compiler", type=Path, default=Path(sys.executable), help="a Python that has ziglang"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("build/compiled"), help="where the C text is left"
    )
    parser.add_argument("platforms", nargs="*", metavar="PLATFORM", help=f"of {', '.join(PLATFORMS)}")
    options = parser.parse_args()
    build(options.compiler, options.folder, options.platforms or tuple(PLATFORMS))


if __name__ == "__main__":
    main()
