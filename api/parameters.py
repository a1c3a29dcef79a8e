"""The parameters of requests: what each may be, in words for who sent it and as patterns for the document."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date as Date  # noqa: N812  the name `date` is a parameter's
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from api.tickers import Order
from api.times import day_text, iso_text, within_epoch
from consumers.alerts.model import is_incident_id
from consumers.contracts.anomaly import SEVERITIES
from consumers.contracts.kinds import EVERY_KIND
from producers.symbols import (
    SYMBOL_CHARACTERS,
    SYMBOL_PATTERN,
    SYMBOL_RULE,
    in_capitals,
    is_source,
    is_symbol,
)
from producers.watch_list import MAX_SYMBOLS, is_ticker

# Patterns for the document only: what they reject is rejected in words by the functions below.
_SYMBOL_PATTERN = f"^{SYMBOL_PATTERN.replace('A-Z', 'A-Za-z')}$"
# One layer of %252F is the client's, as of every value in a path.
_IN_PATH = f"([A-Za-z{SYMBOL_CHARACTERS.replace('A-Z', '').replace('/', '')}]|%2[Ff]){{1,32}}!?"
_ID_PATTERN = f"^{_IN_PATH}-[0-9]{{1,15}}-({'|'.join(EVERY_KIND)})$"


def _pattern(pattern: str) -> dict[str, Any]:
    return {"pattern": pattern}


def _names_pattern(names: tuple[str, ...]) -> dict[str, Any]:
    one = f"({'|'.join(names)})"
    return _pattern(f"^{one}(,{one})*$")


def _decoded(text: object) -> str:
    # A slash in a path is written %252F; a gateway may have undone one of its two layers.
    return unquote(unquote(str(text)))


def _symbol(text: object) -> str:
    symbol = in_capitals(_decoded(text))
    if not is_symbol(symbol):
        raise ValueError(f"must be a ticker of {SYMBOL_RULE}")
    return symbol


def _incident_id(text: str) -> str:
    if not is_incident_id(text):
        raise ValueError("must be <origin>-<subject>-<epoch ms>, such as live-AAPL-1763994600123")
    return text


def _written(text: object) -> str:
    symbol = in_capitals(text.strip()) if isinstance(text, str) else ""
    if not is_ticker(symbol):
        raise ValueError(f"must be a ticker of {SYMBOL_RULE}")
    return symbol


def _written_or_all(text: object) -> str:
    return "" if text == "" else _written(text)


def _source(source: str) -> str:
    if not is_source(source):
        raise ValueError("must be live, backfill, simulated, replay or the name of a source")
    return source


def _names(text: str, allowed: tuple[str, ...]) -> str:
    names = text.split(",")
    if any(name not in allowed for name in names):
        raise ValueError(f"must be one or more of {', '.join(allowed)}, separated by commas")
    return ",".join(name for name in allowed if name in names)


def _kinds(text: str) -> str:
    return _names(text, EVERY_KIND)


def _kind(text: str) -> str:
    if text not in EVERY_KIND:
        raise ValueError(f"must be one of {', '.join(EVERY_KIND)}")
    return text


def _severities(text: str) -> str:
    return _names(text, SEVERITIES)


MOST_ROWS = 1_000
"""Rows of a page of `/tickers`: some 0.27 MB of the 6 MB that Lambda answers, and what `PUT /tickers` takes."""
_MOST_FIRST = 100


def _symbols(text: str) -> str:
    symbols = [_symbol(part) for part in text.split(",")]
    if len(symbols) > _MOST_FIRST:
        raise ValueError(f"must be at most {_MOST_FIRST} tickers")
    return ",".join(dict.fromkeys(symbols))


RowsQuery = Annotated[
    int, Query(description="The maximum number of tickers in one response.", ge=1, le=MOST_ROWS)
]
OffsetQuery = Annotated[
    int,
    Query(description="How many tickers to skip: the `next` of the previous response.", ge=0, le=MAX_SYMBOLS),
]
OrderQuery = Annotated[
    Order, Query(description="As listed, by ticker, or by the size of the change, the largest first.")
]
FirstQuery = Annotated[
    str,
    AfterValidator(_symbols),
    Query(
        description=f"Up to {_MOST_FIRST} tickers, separated by commas, that come before all others, if watched.",
        json_schema_extra=_pattern(f"^{_SYMBOL_PATTERN[1:-1]}(,{_SYMBOL_PATTERN[1:-1]})*$"),
    ),
]
TickerPath = Annotated[
    str,
    BeforeValidator(_symbol),
    Path(
        description=f"A ticker: {SYMBOL_RULE}. A slash in it is written %252F.",
        json_schema_extra=_pattern(f"^{_IN_PATH}$"),
    ),
]
IdPath = Annotated[
    str,
    BeforeValidator(_decoded),
    Path(
        description="The id of an anomaly: <ticker>-<epoch ms>-<kind>, and @<source> if it is not live.",
        json_schema_extra=_pattern(_ID_PATTERN),
    ),
]
IncidentPath = Annotated[
    str,
    BeforeValidator(_decoded),
    AfterValidator(_incident_id),
    Path(
        description="The id of an incident: <origin>-<subject>-<epoch ms>.",
        json_schema_extra=_pattern(f"^[a-z-]{{4,24}}-{_IN_PATH}-[0-9]{{1,14}}$"),
    ),
]
TickerName = Annotated[
    str, BeforeValidator(_written), WithJsonSchema({"type": "string", "pattern": _SYMBOL_PATTERN})
]
TickerOrAll = Annotated[
    str,
    BeforeValidator(_written_or_all),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": _SYMBOL_PATTERN}, {"const": "", "type": "string"}]}
    ),
]
TickerQuery = Annotated[
    str,
    BeforeValidator(_symbol),
    Query(description=f"Only this ticker: {SYMBOL_RULE}.", json_schema_extra=_pattern(_SYMBOL_PATTERN)),
]
DateQuery = Annotated[
    Date, BeforeValidator(day_text), Query(description="Only anomalies of this UTC day, YYYY-MM-DD.")
]
Instant = Annotated[datetime, BeforeValidator(iso_text), AfterValidator(within_epoch)]
SinceQuery = Annotated[
    Instant, Query(description="From this instant on (ISO 8601; UTC where no offset is given).")
]
UntilQuery = Annotated[
    Instant, Query(description="Before this instant (ISO 8601; UTC where no offset is given).")
]
MOST_MINUTES = 2_880
MinutesQuery = Annotated[
    int,
    Query(
        description="The last minutes, in place of `since` and `until`. While the market is closed, or the ticker has "
        "been silent for longer, they end with its last quote.",
        ge=1,
        le=MOST_MINUTES,
    ),
]
Length = Literal["1s", "5s", "15s", "1m"]
"""How long a bar lasts."""
LENGTHS_MS: Mapping[Length, int] = {"1s": 1000, "5s": 5000, "15s": 15_000, "1m": 60_000}
LengthQuery = Annotated[
    Length,
    Query(
        description="How long a bar lasts. Bars below a minute come from the archive: an hour of them at most, without "
        "the last minute or two."
    ),
]
KindQuery = Annotated[
    str,
    AfterValidator(_kinds),
    Query(
        description=f"One or more kinds, separated by commas: {', '.join(EVERY_KIND)}.",
        json_schema_extra=_names_pattern(EVERY_KIND),
    ),
]
SeverityQuery = Annotated[
    str,
    AfterValidator(_severities),
    Query(
        description=f"One or more severities, separated by commas: {', '.join(SEVERITIES)}.",
        json_schema_extra=_names_pattern(SEVERITIES),
    ),
]
KindName = Annotated[
    str,
    AfterValidator(_kind),
    Query(
        alias="kind",
        description=f"One kind: {', '.join(EVERY_KIND)}.",
        json_schema_extra={"enum": list(EVERY_KIND)},
    ),
]
LimitQuery = Annotated[
    int, Query(description="The maximum number of anomalies in one response.", ge=1, le=200)
]
CursorQuery = Annotated[
    str,
    Query(description="The `next` of the previous response; all other parameters stay the same."),
]
SourceQuery = Annotated[
    str,
    AfterValidator(_source),
    Query(
        description="live, backfill, simulated, replay, or the name of one source.",
        json_schema_extra=_pattern("^[A-Za-z0-9._-]{1,64}$"),
    ),
]
