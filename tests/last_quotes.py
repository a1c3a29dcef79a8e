"""Last quotes as they are stored, of single quotes: the product has them in columns already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from operator import attrgetter
from typing import Any

from consumers.contracts.charts import Bar, LastQuote, QuoteColumns
from consumers.stores.last_quotes import pack_columns

_bar = attrgetter(*(field.name for field in fields(Bar)))


def pack_quotes(quotes: Iterable[LastQuote]) -> bytes:
    """Return last quotes as `stock-charts` has them."""
    listed = list(quotes)
    columns: dict[str, list[Any]] = {
        name: [getattr(quote, name) for quote in listed] for name in QuoteColumns._fields
    }
    columns["bar"] = [_bar(bar) for bar in columns["bar"]]
    return pack_columns(QuoteColumns(**columns))
