"""The JSON Schema of the quote batch, generated from the model that decodes it: docs/quote-batch.schema.json.

A published schema has a name and a version of its own (`schema_id`). A deployment serves it at `/api/schemas/<name>`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, get_args, get_type_hints

import msgspec
from msgspec import Meta

from producers.quote_batch import COLUMNS, OPTIONAL_COLUMNS, VERSION, Wire
from producers.symbols import SYMBOL_PATTERN

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
QUOTE_BATCH_VERSION: Final = f"{VERSION}.0.0"
"""The first number is `v`: it changes when a batch that was accepted no longer is."""

Time = Annotated[
    str,
    Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", description="ISO 8601 with milliseconds, UTC."),
]
_SOURCE_PATTERN = "^[A-Za-z0-9._-]{1,64}$"

Json = dict[str, Any]


def schema_id(name: str, version: str) -> str:
    """Return the `$id` of a published schema: a name that is the same wherever the monitor runs.

    Examples
    --------
    >>> schema_id("quote-batch", "1.0.0")
    'urn:stock-monitor:schema:quote-batch:1.0.0'
    """
    return f"urn:stock-monitor:schema:{name}:{version}"


def quote_batch_schema() -> Json:
    """Return the schema of one record on the stream."""
    return {
        "$schema": DIALECT,
        "$id": schema_id("quote-batch", QUOTE_BATCH_VERSION),
        "title": "Quote batch",
        "description": "One record on the stream stock-quotes: quotes as columns of equal length, or one quote. Times "
        "are epoch milliseconds UTC.",
        "type": "object",
        "required": ["v", "source", *(name for name in COLUMNS if name not in OPTIONAL_COLUMNS)],
        "properties": {
            "v": {"const": VERSION},
            "source": {
                "type": "string",
                "pattern": _SOURCE_PATTERN,
                "description": "Where the quotes come from; `simulated`, `replay` and `replay-…` are kept apart from "
                "real ones.",
            },
            "missing": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Symbols that were asked for and not answered.",
            },
        },
        "anyOf": [
            {"properties": {name: _column(name) for name in COLUMNS}},
            {"properties": {name: _value(name) for name in COLUMNS}},
        ],
        "$defs": {
            "symbol": {"type": "string", "pattern": f"^{SYMBOL_PATTERN}$"},
            "time": _of_items("ts")
            | {
                "description": "`ts` is when the quote was observed and grows strictly for each symbol; `quote_ts` is "
                "the exchange's own time, and may be left out where it is at most 2 s older."
            },
            "price": _of_items("price"),
            "volume": _of_items("day_volume")
            | {"description": "Units traded so far in the session, cumulative."},
        },
    }


_DEFINITION = {
    "symbol": "symbol",
    "ts": "time",
    "quote_ts": "time",
    "price": "price",
    "bid": "price",
    "ask": "price",
    "day_volume": "volume",
}


def _value(name: str) -> Json:
    reference: Json = {"$ref": f"#/$defs/{_DEFINITION[name]}"}
    return {"anyOf": [reference, {"type": "null"}]} if name in OPTIONAL_COLUMNS else reference


def _column(name: str) -> Json:
    return {"type": ["array", "null"] if name in OPTIONAL_COLUMNS else "array", "items": _value(name)}


def _of_items(name: str) -> Json:
    """Return the schema of a column's values, without null."""
    hint = get_type_hints(Wire, include_extras=True)[name]
    (items,) = [
        get_args(one)[0] for one in (hint, *get_args(hint)) if getattr(one, "__origin__", None) is list
    ]
    known = [one for one in (items, *get_args(items)) if getattr(one, "__metadata__", None)]
    found: Json = msgspec.json.schema(known[0])
    return found
