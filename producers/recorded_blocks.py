"""What the readers of all formats give: rows that follow one another, thousands at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from producers.recorded_lines import RecordingError
from producers.recorded_values import BadRowError

REQUIRED = ("ts", "symbol", "price")
OPTIONAL = ("bid", "ask", "day_volume", "volume", "quote_ts")
Row = Mapping[str, Any] | BadRowError


class RowBlock(NamedTuple):
    """Rows that follow one another from line `line` on, one by one and, where that can be, by columns or by Arrow."""

    line: int
    rows: Callable[[], Iterator[tuple[int, Row]]]
    columns: Callable[[], Mapping[str, Sequence[Any]] | None] | None = None
    arrow: Callable[[], Any] | None = None


def check_columns(path: Path, columns: list[str]) -> None:
    """Check that the required columns are there, and those that are known but once.

    Raises
    ------
    RecordingError
        They are not; the message names them.
    """
    absent = [name for name in REQUIRED if name not in columns]
    if absent:
        raise RecordingError(
            f"{path}: there is no column {', '.join(absent)} (found: {', '.join(columns)[:200]}); must be a header with"
            f" {', '.join(REQUIRED)}, and if known bid, ask, volume, day_volume, quote_ts"
        )
    twice = [name for name in (*REQUIRED, *OPTIONAL) if columns.count(name) > 1]
    if twice:
        raise RecordingError(
            f"{path}: column {', '.join(twice)} stands twice; must be a column that is there once"
        )
