"""The shapes of bodies and responses, as the OpenAPI document publishes them.

Responses are built as plain dicts and not validated again at run time; a test holds them against these models.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel

from api.parameters import Instant, TickerName
from consumers.alerts.links import TOKEN_CHARACTERS
from consumers.alerts.model import ONE_LINE, REASON_CHARACTERS, DeliveryStatus, MessageKind
from producers.origin import Origin

Severity = Literal["low", "medium", "high", "critical"]
TickerState = Literal["live", "stale", "closed", "missing"]
FeedState = Literal["live", "stale", "missing", "closed"]


class AnomalyModel(BaseModel):
    """One episode of something not normal; never changed once written."""

    id: str
    source: str = Field(description="Where the quotes came from.")
    origin: Origin = Field(
        description="Real, of a real market's past (backfill), simulated, replayed, or a proof (verify)."
    )
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
        description="live, stale (no quote for a while), closed (so is its market), or missing (no quote at all)."
    )
    market: str = Field(description="Its market: a code of ISO 10383, 24/7 or fx.")
    open: bool = Field(description="Whether quotes of it are expected now.")
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
    problem: str | None = Field(
        description="Why the last poll of the source failed, once no quote came for some seconds; null if it did not."
    )
    live: int = Field(description="Tickers of the watch list with a fresh quote.")
    total: int = Field(description="Tickers on the watch list.")


class TickerList(BaseModel):
    """A page of the watch list with the last quotes; `feed` is about all of it."""

    source: str
    origin: Origin
    as_of: str = Field(description="The server's clock (ISO 8601, ms, UTC).")
    feed: Feed
    tickers: list[Ticker]
    count: int = Field(description="Tickers of this page; `feed.total` is how many there are.")
    offset: int = Field(description="How many come before this page.")
    next: int | None = Field(description="The offset of the next page; null: this is the last one.")


class WatchListRequest(BaseModel):
    """The watch list as it shall be."""

    model_config = ConfigDict(extra="forbid")

    tickers: list[TickerName] = Field(
        min_length=1, max_length=1_000, description="All tickers, in their order; each is kept once."
    )
    unchecked: bool = Field(
        False, strict=True, description="true: do not ask the source whether it quotes what is new."
    )


class WatchListChange(BaseModel):
    """What was changed of the watch list, by whom and when; in force within a minute."""

    tickers: list[str]
    added: list[str]
    removed: list[str]
    by: str
    at: str = Field(description="ISO 8601, ms, UTC.")


class SafetyReason(BaseModel):
    """One reason why a ticker is not safe to trade."""

    code: Literal[
        "market_closed",
        "no_quote",
        "stale_quote",
        "doubtful_quotes",
        "feed_stalled",
        "critical_incident",
        "monitor_unreachable",
    ] = Field(description="monitor_unreachable is said by a client: the API did not respond to it.")
    detail: str = Field(description="The same for people.")
    incident_id: str | None = Field(description="The incident that is the reason, if one is.")


class Safety(BaseModel):
    """Whether a ticker is safe to trade: a fresh quote that nothing contradicts, no critical incident, an open market.

    It is true or false as `safe` is.
    """

    ticker: str
    safe: bool
    reasons: list[SafetyReason] = Field(description="Why not; empty if it is safe.")
    source: str
    origin: Origin
    as_of: str = Field(description="The server's clock (ISO 8601, ms, UTC).")
    quote: Ticker

    def __bool__(self) -> bool:
        """Return `safe`, so that a condition never takes a no for a yes."""
        return self.safe


class BarModel(BaseModel):
    """One bar of one ticker: a minute, or as long as `length` says."""

    minute: str = Field(description="Start of the bar (ISO 8601, ms, UTC).")
    open: float
    high: float
    low: float
    close: float
    volume: float | None
    ticks: int
    bid: float | None
    ask: float | None
    spread_low: float | None = Field(description="The least ask less bid of the bar.")
    spread_high: float | None = Field(description="The greatest ask less bid of the bar.")


class BarList(BaseModel):
    """Bars, oldest first; those without a tick are left out."""

    ticker: str
    origin: Origin
    since: str
    until: str
    closed_since: str | None = Field(
        description="When its market closed (ISO 8601, ms, UTC); null while it is open, and of a replay."
    )
    opens_at: str | None = Field(description="When that market opens again.")
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
    picture: str | None = Field(
        description="What became of the picture of the chart: sent, or why it was not; null: none was tried."
    )


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


class SilenceModel(BaseModel):
    """A silence, or an acknowledged incident: alerts of it are not sent; a digest notifies of what was silenced."""

    ticker: str | None = Field(description="null: all tickers.")
    kind: str | None = Field(description="null: all kinds.")
    until: str
    acknowledged: str | None = Field(
        description="Id of the anomaly whose incident is acknowledged; null for a plain silence."
    )
    reason: str
    by: str = Field(description="Who made it.")


class AlertList(BaseModel):
    """Messages, newest first, and the silences in force."""

    alerts: list[AlertMessage]
    count: int
    silences: list[SilenceModel]


def _one_line(text: str) -> str:
    if not re.fullmatch(ONE_LINE, text):
        raise ValueError(f"must be one line of at most {REASON_CHARACTERS} characters")
    return text


class SilenceRequest(BaseModel):
    """Until when, and why."""

    model_config = ConfigDict(extra="forbid")

    until: Instant = Field(description="ISO 8601; UTC where no offset is given. At most 30 days from now.")
    reason: Annotated[str, AfterValidator(_one_line)] = Field(
        "",
        max_length=REASON_CHARACTERS,
        description="Why, on one line, for those who read it later.",
        json_schema_extra={"pattern": ONE_LINE},
    )


class LinkRequest(BaseModel):
    """What stands behind `#do=` in a link of a message."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(max_length=TOKEN_CHARACTERS)


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
    """An OpenAPI or AsyncAPI document, or a JSON Schema."""
