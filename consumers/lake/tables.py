"""The tables of the lake: their columns, what identifies a row, and where a day of one is. Free of numpy and DuckDB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TableName = Literal["ticks", "bars", "anomalies", "incidents", "deliveries", "feedback"]
Type = Literal["string", "bigint", "double", "boolean"]
"""Types as Glue and Athena call them; DuckDB knows the last three by the same names."""
PREFIX = "lake/"
"""Of all keys of the lake in the data bucket."""
DAY = "date"
"""The partition of every table: a UTC day, a string, in the path and not in the files."""


@dataclass(frozen=True, slots=True)
class LakeTable:
    """A table of the lake.

    Attributes
    ----------
    says
        What a row is, for people.
    columns
        Types by name; null where something is unknown.
    key
        Rows of a day that have these in common with new ones give way to them; empty where a day is always
        written whole from its source.
    order
        By what the rows of a day are sorted: a reader skips the parts of a file that cannot hold what it looks for.
    """

    name: TableName
    says: str
    columns: dict[str, Type]
    key: tuple[str, ...]
    order: tuple[str, ...]


_TABLES = (
    LakeTable(
        "ticks",
        "a quote that is in a window",
        {
            "ts": "bigint", "ticker": "string", "price": "double", "bid": "double", "ask": "double",
            "day_volume": "double", "source": "string", "origin": "string", "late": "boolean", "block": "string",
        },
        ("block",),
        ("ticker", "ts"),
    ),
    LakeTable(
        "bars",
        "a closed minute of a ticker",
        {
            "minute_ms": "bigint", "ticker": "string", "origin": "string", "open": "double", "high": "double",
            "low": "double", "close": "double", "volume": "double", "ticks": "bigint", "bid": "double",
            "ask": "double", "spread_low": "double", "spread_high": "double",
        },
        ("origin", "ticker", "minute_ms"),
        ("ticker", "minute_ms"),
    ),
    LakeTable(
        "anomalies",
        "an anomaly, when it was found",
        {
            "id": "string", "ts": "bigint", "time": "string", "ticker": "string", "kind": "string",
            "severity": "string", "score": "double", "threshold": "double", "value": "double",
            "expected": "double", "tolerance": "double", "direction": "string", "late": "boolean",
            "source": "string", "origin": "string", "explanation": "string", "window_json": "string",
        },
        (),
        ("ts", "id"),
    ),
    LakeTable(
        "incidents",
        "an incident as it is now, by the day on which it began",
        {
            "id": "string", "origin": "string", "subject": "string", "state": "string", "severity": "string",
            "opened_ms": "bigint", "last_ms": "bigint", "resolved_ms": "bigint", "opened_at": "string",
            "late": "boolean", "anomaly_count": "bigint", "open_count": "bigint", "ticker_count": "bigint",
            "worst_kind": "string", "explanation": "string", "verdict": "string", "acknowledged_by": "string",
        },
        (),
        ("opened_ms", "id"),
    ),
    LakeTable(
        "deliveries",
        "what became of a message in a channel, by the day on which the message was made",
        {
            "message_id": "string", "message_kind": "string", "channel": "string", "status": "string",
            "attempts": "bigint", "made_ms": "bigint", "sent_ms": "bigint", "made_at": "string",
            "incident_id": "string", "anomaly_id": "string", "ticker": "string", "kind": "string",
            "severity": "string", "origin": "string", "error": "string",
        },
        (),
        ("made_ms", "message_id", "channel"),
    ),
    LakeTable(
        "feedback",
        "what a person said of an incident, by the day on which the incident began",
        {
            "incident_id": "string", "anomaly_id": "string", "ticker": "string", "kind": "string",
            "severity": "string", "useful": "boolean", "said_by": "string", "said_ms": "bigint",
        },
        (),
        ("said_ms", "incident_id"),
    ),
)  # fmt: skip
TABLES: dict[TableName, LakeTable] = {table.name: table for table in _TABLES}


def object_key(table: TableName, day: str, hour: int | None = None) -> str:
    """Return the key of the one object that holds a day of a table, or an hour of it: days of ticks can be large.

    Examples
    --------
    >>> object_key("bars", "2026-11-24"), object_key("ticks", "2026-11-24", 9)
    ('lake/bars/date=2026-11-24/bars.parquet', 'lake/ticks/date=2026-11-24/ticks-09.parquet')
    """
    part = "" if hour is None else f"-{hour:02d}"
    return f"{PREFIX}{table}/{DAY}={day}/{table}{part}.parquet"
