"""The tables of docs/sources.md are what the sources declare; `python <this file>` writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from producers.source import SourceSpec
from producers.sources import describe

DOCUMENT = Path(__file__).parents[3] / "docs" / "sources.md"
MARKED = re.compile(r"(?<=<!-- what the sources declare -->\n).*?(?=<!-- end -->)", re.DOTALL)


def tables() -> str:
    specs = [found.spec for found in describe() if found.spec]
    lines = ["| source | quotes | how | besides the price | key | limit |", "|---|---|---|---|---|---|"]
    lines += [f"| {' | '.join(_cells(spec))} |" for spec in specs]
    lines += ["", "What else to know:", ""]
    lines += [f"- `{spec.name}`: {spec.limits}" for spec in specs if spec.limits]
    lines += ["", "Variables that may be set beside the keys:", ""]
    lines += [
        f"- `{option.variable}` ({spec.name}): {option.about}{_values(option.allowed)}"
        for spec in specs
        for option in spec.options
    ]
    return "\n".join(["", *lines, "", ""])


def _cells(spec: SourceSpec) -> Iterator[str]:
    yield f"`{spec.name}`"
    yield spec.summary
    yield ", ".join([*spec.modes, *(["history"] if spec.history else [])]) or "replay"
    yield ", ".join(spec.columns) or "-"
    keys = "; ".join(f"`{key.variable}`: {key.where}" for key in spec.keys) or "none"
    packages = "".join(f"; package `{package}`" for package in spec.packages)
    yield f"{keys}{packages}"
    yield ", ".join(_limits(spec)) or "none"


def _limits(spec: SourceSpec) -> Iterator[str]:
    if spec.calls_per_minute:
        yield f"{spec.calls_per_minute:g} calls a minute"
    if spec.symbols_per_call:
        yield f"{spec.symbols_per_call} {'ticker' if spec.symbols_per_call == 1 else 'tickers'} a call"
    if spec.max_symbols:
        yield f"{spec.max_symbols} tickers"


def _values(allowed: tuple[str, ...]) -> str:
    return f"; one of {', '.join(f'`{value}`' for value in allowed)}" if allowed else ""


def test_the_tables_are_what_the_sources_declare() -> None:
    found = MARKED.search(DOCUMENT.read_text())
    assert found is not None
    assert found[0] == tables()


if __name__ == "__main__":
    DOCUMENT.write_text(MARKED.sub(lambda _: tables(), DOCUMENT.read_text()))
