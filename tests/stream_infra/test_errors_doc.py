"""docs/errors.md lists every error that the product raises on purpose, as the code has them: one tree."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOC = ROOT / "docs" / "errors.md"
ROOMS = ("producers", "consumers", "api", "stream_infra")
BASE = "MonitorError"
BEGIN, END = "<!-- table -->\n", "<!-- end -->\n"


class ErrorClass(NamedTuple):
    name: str
    module: str
    bases: tuple[str, ...]
    says: str


def classes() -> Iterator[ErrorClass]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            text = path.read_text()
            if not re.search(r"^ *class \w+Error\b", text, re.MULTILINE):
                continue
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                    bases = tuple(ast.unparse(base).rpartition(".")[2] for base in node.bases)
                    says = (ast.get_docstring(node) or "").partition("\n\n")[0]
                    yield ErrorClass(node.name, module, bases, " ".join(says.split()))


ERRORS = {found.name: found for found in classes()}


def depth(name: str) -> int | None:
    """How far an error is from the base of all; None if it is not below it."""
    if name == BASE:
        return 0
    depths = [depth(base) for base in ERRORS[name].bases if base in ERRORS]
    known = [each for each in depths if each is not None]
    return min(known) + 1 if known else None


def below(name: str) -> Iterator[ErrorClass]:
    yield ERRORS[name]
    for found in sorted(ERRORS.values()):
        parents = [base for base in found.bases if base in ERRORS]
        if parents[:1] == [name]:
            yield from below(found.name)


def table() -> str:
    rows = ["| error | module | when |", "|---|---|---|"]
    for found in below(BASE):
        indent = "&nbsp;&nbsp;" * (depth(found.name) or 0)
        rows.append(
            f"| {indent}`{found.name}` | `{found.module}` | {found.says.replace('|', chr(92) + '|')} |"
        )
    return "\n".join(rows) + "\n"


def test_every_error_is_in_one_tree() -> None:
    assert [name for name in ERRORS if depth(name) is None] == []


def test_no_two_errors_have_one_name() -> None:
    names = [found.name for found in classes()]
    assert sorted(names) == sorted(set(names))


def test_every_error_says_when_it_is_raised() -> None:
    assert [found.name for found in ERRORS.values() if not found.says] == []


def test_the_table_is_that_of_the_code() -> None:
    """With UPDATE_DOCS=1 in the environment the table is written anew."""
    text = DOC.read_text()
    head, _, rest = text.partition(BEGIN)
    written, _, tail = rest.partition(END)
    if os.environ.get("UPDATE_DOCS"):
        DOC.write_text(f"{head}{BEGIN}{table()}{END}{tail}")
        return
    assert written == table(), "run the test once with UPDATE_DOCS=1"
