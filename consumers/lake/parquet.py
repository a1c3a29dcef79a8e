"""Rows into the Parquet file of a day, by DuckDB: sorted, compressed, in memory that is bounded."""

from __future__ import annotations

from functools import cache
from tempfile import gettempdir
from typing import TYPE_CHECKING

import duckdb

from producers.errors import MonitorError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from consumers.lake.tables import LakeTable, Type

MEMORY = "1GB"
"""Beyond that DuckDB sorts on disk."""
_TYPES: dict[Type, str] = {"string": "VARCHAR", "bigint": "BIGINT", "double": "DOUBLE", "boolean": "BOOLEAN"}


class LakeFileError(MonitorError):
    """A file of the lake cannot be read or written; the message says which."""


def write(table: LakeTable, rows: Path, before: Path | None, file: Path) -> int:
    """Write a day of a table; return how many rows it has.

    Parameters
    ----------
    rows
        New rows, one JSON object a line.
    before
        The day as it was; those of its rows give way that have the table's key in common with new ones.
    file
        The Parquet file to write.

    Raises
    ------
    LakeFileError
        A file is damaged, or the disk is full.
    """
    columns, order = _names(table.columns), _names(table.order)
    new = _new(table, rows)
    of = f"SELECT {columns} FROM {new}"  # noqa: S608  names of ours
    if before is not None:
        key = _names(table.key)
        kept = f"read_parquet({_text(before)}, hive_partitioning = false)"
        given = f"(SELECT DISTINCT {key} FROM {new})"  # noqa: S608
        of = f"SELECT {columns} FROM {kept} ANTI JOIN {given} USING ({key}) UNION ALL {of}"  # noqa: S608
    copy = f"COPY ({of} ORDER BY {order}) TO {_text(file)} (FORMAT parquet, COMPRESSION zstd)"
    try:
        copied = _connection().execute(copy).fetchone()
    except duckdb.Error as error:
        raise LakeFileError(f"a day of {table.name}: {error}") from error
    return int(copied[0]) if copied else 0


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    """Return the database of this process, which holds nothing: to begin one takes longer than to write a day."""
    return duckdb.connect(
        config={
            "memory_limit": MEMORY,
            "temp_directory": f"{gettempdir()}/duckdb",
            "threads": 1,
            "autoinstall_known_extensions": False,  # what is needed is built in; nothing is fetched
        }
    )


def _new(table: LakeTable, rows: Path) -> str:
    types = ", ".join(f"'{name}': '{_TYPES[of]}'" for name, of in table.columns.items())
    return f"read_json({_text(rows)}, format = 'newline_delimited', columns = {{{types}}})"


def _names(columns: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _text(file: Path) -> str:
    return "'" + str(file).replace("'", "''") + "'"
