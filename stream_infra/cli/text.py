"""Text for a terminal: nothing in it moves the cursor, and times say their zone."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from getpass import getuser
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console
    from rich.text import Text

    from stream_infra.operations.endpoints import Endpoints

_LEAST_WIDTH = 40
_LEAST_LAST = 20
"""Characters that the last column of a table has at least, or its longest word."""
_HARMLESS = {"\n", "\t"}


def author(command: str) -> str:
    """Return who changes something by a command, for the history of what is changed."""
    return f"stock-monitor {command} ({getuser()})"


def printable(text: str) -> str:
    r"""Return `text` with control characters as escapes, so that data cannot command the terminal.

    Line feeds and tabs stay; bidirectional and other invisible format characters are escaped too.

    Examples
    --------
    >>> printable("AAPL\x1b[2J")
    'AAPL\\x1b[2J'
    >>> printable("Zürich: 5 %")
    'Zürich: 5 %'
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character in _HARMLESS
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )


def one_line(text: str) -> str:
    r"""Return `text` as `printable` does, with line feeds and tabs escaped too.

    Examples
    --------
    >>> one_line("a\nb")
    'a\\nb'
    """
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def clock(ms: int) -> str:
    """Return an epoch time in milliseconds as people read it, in UTC.

    Examples
    --------
    >>> clock(1_763_996_400_123)
    '2025-11-24 15:00:00Z'
    """
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S}Z"


def time_of(iso: str) -> str:
    """Return an ISO 8601 time of the API as people read it, in UTC, to the second.

    Examples
    --------
    >>> time_of("2026-11-24T14:30:00.123Z")
    '2026-11-24 14:30:00Z'
    """
    return f"{iso[:19].replace('T', ' ')}Z"


def price(value: float | None) -> str:
    """Return a price with its own digits, at least two behind the point; `-` if it is unknown.

    Examples
    --------
    >>> [price(value) for value in (189.1, 1.09421, 0.00001234, 65012.5, -37.63, None)]
    ['189.10', '1.09421', '0.00001234', '65,012.50', '-37.63', '-']
    """
    if value is None:
        return "-"
    exact = Decimal(repr(value))
    exponent = exact.as_tuple().exponent
    digits = max(2, -exponent) if isinstance(exponent, int) else 2
    return f"{exact:,.{digits}f}"


def console(*, errors: bool = False) -> Console:
    """Return where text for people goes: standard output, or standard error; as wide as the terminal, else 80.

    In a narrower terminal than 40 characters lines wrap: nothing is left out.
    """
    from rich.console import Console  # noqa: PLC0415  --help must not pay for it

    found = Console(stderr=errors, highlight=False, markup=False, emoji=False)
    if found.width < _LEAST_WIDTH:  # noqa: PLR1730  a width that is set no longer follows the terminal's
        found.width = _LEAST_WIDTH
    return found


def print_line(out: Console, line: Text) -> None:
    """Print one line, cut to the width of the terminal, or to 80 characters: `--json` has all."""
    out.print(line, no_wrap=True, overflow="ellipsis")


def print_table(
    rows: Iterable[tuple[str, ...]], *, header: tuple[str, ...] = (), right: tuple[int, ...] = ()
) -> None:
    """Print rows as columns within the terminal's width, or 80 characters; the last column takes several lines.

    Parameters
    ----------
    rows
        The cells of each row, without control characters of their own.
    header
        Titles of the columns, if they need any.
    right
        Numbers of the columns that hold numbers.
    """
    typer.echo(table_text(rows, header=header, right=right))


def table_text(
    rows: Iterable[tuple[str, ...]], *, header: tuple[str, ...] = (), right: tuple[int, ...] = ()
) -> str:
    """Return what `print_table` prints, without a line feed at the end."""
    from rich.table import Table  # noqa: PLC0415  --help must not pay for it
    from rich.text import Text  # noqa: PLC0415

    cells = [[one_line(cell) for cell in row] for row in rows]
    width = max((len(row) for row in [*cells, header]), default=0)
    table = Table(box=None, pad_edge=False, show_header=bool(header), header_style="dim")
    for i in range(width):
        title = header[i] if header else ""
        table.add_column(
            title,
            no_wrap=i < width - 1,
            overflow="fold",
            justify="right" if i in right else "left",
        )
    for row in cells:
        table.add_row(*map(Text, row))
    out = console()
    rows_of = [*zip(*([header] if header else []), *cells, strict=True)]
    words = max((len(word) for cell in rows_of[-1:] for text in cell for word in text.split()), default=0)
    # In a narrower terminal whole lines wrap: a column of two letters a line cannot be read.
    least = sum(max(map(len, column)) + 2 for column in rows_of[:-1]) + min(words, _LEAST_LAST)
    out.width = max(out.width, least)
    with out.capture() as captured:
        out.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def say_if_unwatched(endpoints: Endpoints, ticker: str | None) -> None:
    """Say on standard error that a ticker, which was named, is not on the watch list."""
    from stream_infra.operations.watching import note_on  # noqa: PLC0415  loads calendars

    if ticker and (note := note_on(endpoints, ticker)):
        typer.echo(note, err=True)
