"""The shapes of requests and responses, as the OpenAPI document publishes them.

Responses are built as plain dicts and not validated again at run time; a test holds them against these models.
"""

from __future__ import annotations

from datetime import date as Date  # noqa: N812  the name `date` is a parameter's
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, RootModel

from api.times import day_text, iso_text, within_epoch
from consumers.alerts.model import DeliveryStatus, IncidentState, MessageKind
from consumers.contracts.anomaly import KINDS, SEVERITIES
from producers.origin import Origin
from producers.quote_batch import (
    SYMBOL_CHARACTERS,
    SYMBOL_PATTERN,
    SYMBOL_RULE,
    is_source,
    is_symbol,
)

# Patterns for the document only: what they reject is rejected in words by the functions below.
_SYMBOL_PATTERN = f"^{SYMBOL_PATTERN.replace('A-Z', 'A-Za-z')}$"
# One layer of %252F is the client's, as of every value in a path.
_IN_PATH = f"([A-Za-z{SYMBOL_CHARACTERS.replace('A-Z', '').replace('/', '')}]|%2[Ff]){{1,32}}!?"
_ID_PATTERN = f"^{_IN_PATH}-[0-9]{{1,15}}-({'|'.join(KINDS)})$"


def _pattern(pattern: str) -> dict[str, Any]:
    return {"pattern": pattern}


def _names_pattern(names: tuple[str, ...]) -> dict[str, Any]:
    one = f"({'|'.join(names)})"
    return _pattern(f"^{one}(,{one})*$")


Severity = Literal["low", "medium", "high", "critical"]
TickerState = Literal["live", "stale", "missing"]
FeedState = Literal["live", "stale", "missing", "closed"]


def _decoded(text: object) -> str:
    # A slash in a path is written %252F; a gateway may have undone one of its two layers.
    return unquote(unquote(str(text)))


def _symbol(text: object) -> str:
    symbol = _decoded(text).upper()
    if not is_symbol(symbol):
        raise ValueError(f"must be a ticker of {SYMBOL_RULE}")
    return symbol


def _source(source: str) -> str:
    if not is_source(source):
        raise ValueError("must be live, simulated, replay or the name of a source")
    return source


def _names(text: str, allowed: tuple[str, ...]) -> str:
    names = text.split(",")
    if any(name not in allowed for name in names):
        raise ValueError(f"must be one or more of {', '.join(allowed)}, separated by commas")
    return ",".join(name for name in allowed if name in names)


def _kinds(text: str) -> str:
    return _names(text, KINDS)


def _kind(text: str) -> str:
    if text not in KINDS:
        raise ValueError(f"must be one of {', '.join(KINDS)}")
    return text


def _severities(text: str) -> str:
    return _names(text, SEVERITIES)


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
KindQuery = Annotated[
    str,
    AfterValidator(_kinds),
    Query(
        description=f"One or more kinds, separated by commas: {', '.join(KINDS)}.",
        json_schema_extra=_names_pattern(KINDS),
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
        alias="kind", description=f"One kind: {', '.join(KINDS)}.", json_schema_extra={"enum": list(KINDS)}
    ),
]
LimitQuery = Annotated[int, Query(description="The most anomalies in one response.", ge=1, le=200)]
CursorQuery = Annotated[
    str,
    Query(description="The `next` of the response before, to go on from there; all else stays the same."),
]
SourceQuery = Annotated[
    str,
    AfterValidator(_source),
    Query(
        description="live, simulated, replay, or the name of one source.",
        json_schema_extra=_pattern("^[A-Za-z0-9._-]{1,64}$"),
    ),
]


class AnomalyModel(BaseModel):
    """One episode of something not normal; never changed once written."""

    id: str
    source: str = Field(description="Where the quotes came from.")
    origin: Origin = Field(description="Whether they were real, simulated or replayed.")
    ticker: str
    timestamp: str = Field(description="Sort key: the instant (ISO 8601, ms, UTC), '#', the kind.")
    date: str = Field(description="UTC day, YYYY-MM-DD.")
    kind: str
    severity: Severity
    score: float
    threshold: float = Field(description="The score from which it counts as an anomaly.")
    value: float | None
    expected: float | None
    tolerance: float | None
    direction: Literal["up", "down", "none"]
    late: bool = Field(description="Found after the fact, by a redrive.")
    explanation: str = Field(description="What happened, in a sentence.")
    window: dict[str, Any] = Field(description="What it was compared with.")


class AnomalyPage(BaseModel):
    """Anomalies, newest first."""

    anomalies: list[AnomalyModel]
    count: int = Field(description="How many are in this response.")
    next: str | None = Field(
        description="Cursor of what follows; null at the end. A page may be short before it."
    )


class Ticker(BaseModel):
    """One line of the watch list."""

    ticker: str
    state: TickerState = Field(
        description="live, stale (no quote for a while), or missing (no quote at all)."
    )
    ts: str | None = Field(description="When the last quote was observed (ISO 8601, ms, UTC).")
    age_seconds: float | None = Field(description="Age of the last quote at `as_of`.")
    price: float | None
    bid: float | None
    ask: float | None
    day_volume: float | None = Field(description="Shares traded so far in the session.")
    reference: float | None = Field(description="What `change` is measured from.")
    reference_kind: Literal["previous_close", "open"] | None
    change: float | None = Field(description="Price minus reference.")
    change_percent: float | None


class Feed(BaseModel):
    """How fresh the quotes are as a whole."""

    state: FeedState = Field(
        description="live, stale, missing (no quote at all), or closed: none is expected now."
    )
    last_quote_at: str | None
    age_seconds: float | None
    live: int = Field(description="Tickers of the watch list with a fresh quote.")
    total: int = Field(description="Tickers on the watch list.")


class TickerList(BaseModel):
    """The watch list with the last quotes."""

    source: str
    origin: Origin
    as_of: str = Field(description="The server's clock (ISO 8601, ms, UTC).")
    feed: Feed
    tickers: list[Ticker]
    count: int


class BarModel(BaseModel):
    """One minute of one ticker."""

    minute: str = Field(description="Start of the minute (ISO 8601, ms, UTC).")
    open: float
    high: float
    low: float
    close: float
    volume: float | None
    ticks: int
    bid: float | None
    ask: float | None


class BarList(BaseModel):
    """Minute bars, oldest first; minutes without a tick are left out."""

    ticker: str
    origin: Origin
    since: str
    until: str
    bars: list[BarModel]
    count: int


class Health(BaseModel):
    """Whether the API responds; with depth=full also whether quotes come in and are judged in time."""

    status: Literal["healthy", "degraded"]
    source: str | None = None
    origin: Origin | None = None
    feed: Feed | None = None
    stream_lag_seconds: float | None = Field(
        None,
        description="How old records were when they reached the detector, at worst, in the last 5 minutes; "
        "null if there were none.",
    )
    failed_batches: int | None = Field(
        None, description="Batches that wait in the dead-letter queue (about)."
    )


class DeliveryModel(BaseModel):
    """What became of a message in one channel."""

    channel: str
    status: DeliveryStatus
    attempts: int
    sent_at: str | None
    receipt: str | None = Field(description="What the channel calls the message.")
    error: str | None = Field(description="Why the last attempt failed.")


class AlertMessage(BaseModel):
    """A message that was made for people."""

    id: str
    message_kind: MessageKind
    status: Literal["pending", "sent", "failed"]
    subject: str = Field(description="What it says, in a line.")
    made_at: str
    sent_at: str | None
    incident_id: str | None = Field(description="What it is about; null for a digest and a test.")
    anomaly_id: str | None = Field(description="The anomaly that was the news; null for a digest and a test.")
    ticker: str | None
    kind: str | None
    severity: Severity | None = Field(description="What the incident had reached.")
    origin: Origin | None
    deliveries: list[DeliveryModel]


class Silence(BaseModel):
    """A silence, or an acknowledged incident: alerts of it are not sent; a digest notifies of what was silenced."""

    ticker: str | None = Field(description="null: all tickers.")
    kind: str | None = Field(description="null: all kinds.")
    until: str
    acknowledged: str | None = Field(
        description="Id of the anomaly whose incident is acknowledged; null for a plain silence."
    )
    reason: str


class AlertList(BaseModel):
    """Messages, newest first, and the silences in force."""

    alerts: list[AlertMessage]
    count: int
    silences: list[Silence]


class IncidentAnomaly(BaseModel):
    """An anomaly of an incident, with the severity that it reached."""

    id: str
    ticker: str
    kind: str
    severity: Severity
    began_at: str
    ended_at: str | None
    explanation: str


class IncidentTicker(BaseModel):
    """A ticker of an incident over many."""

    ticker: str
    first_at: str
    severity: Severity
    move: float = Field(description="Its largest return, a share of the price; 0 where none is known.")


class IncidentMessage(BaseModel):
    """A message that was made about an incident."""

    id: str
    kind: MessageKind
    made_at: str
    channels: list[str]


class IncidentModel(BaseModel):
    """Anomalies that belong together, with a state: what people are notified of."""

    id: str
    origin: Origin
    subject: str = Field(
        description="The ticker; `market` for a market-wide move, `feed` for a stall of the feed."
    )
    state: IncidentState
    severity: Severity = Field(description="The highest that was reached.")
    opened_at: str
    last_at: str
    resolved_at: str | None
    acknowledged_by: str | None
    acknowledged_until: str | None
    late: bool
    anomaly_count: int
    open_count: int = Field(description="Anomalies that go on.")
    anomalies: list[IncidentAnomaly] = Field(description="The worst.")
    tickers: list[IncidentTicker] = Field(description="Who moved first; empty for an incident of one ticker.")
    messages: list[IncidentMessage]


class IncidentList(BaseModel):
    """Incidents, newest first."""

    incidents: list[IncidentModel]
    count: int


class SilenceRequest(BaseModel):
    """Until when, and why."""

    model_config = ConfigDict(extra="forbid")

    until: Instant = Field(description="ISO 8601; UTC where no offset is given. At most 30 days from now.")
    reason: str = Field("", max_length=200, description="Why, for those who read it later.")


class Removed(BaseModel):
    """What is no longer in force."""

    removed: str


class Stats(BaseModel):
    """Numbers of anomalies by severity."""

    date: str | None = Field(
        description="The UTC day that was counted; null where `since` or `until` say which span."
    )
    by_severity: dict[Severity, int]
    total: int
    complete: bool = Field(description="False when there are more than were counted.")


class Kind(BaseModel):
    """A kind of anomaly, as its detector declares it."""

    kind: str
    label: str = Field(description="The same for people.")
    summary: str = Field(description="What is compared with what.")


class KindList(BaseModel):
    """The kinds of anomaly that this monitor finds."""

    kinds: list[Kind]
    count: int


class ProblemModel(BaseModel):
    """RFC 9457: what is wrong, where, and what is allowed."""

    type: str
    title: str
    status: int
    detail: str
    where: str | None = None
    allowed: str | None = None


class Document(RootModel[dict[str, Any]]):
    """An OpenAPI document."""
