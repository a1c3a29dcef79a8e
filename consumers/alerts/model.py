"""The incident, and what is remembered of anomalies, silences, messages and deliveries."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from consumers.alerts.context import Context
from consumers.contracts.anomaly import SEVERITIES, iso_ms

MINUTE_MS = 60_000
REASON_CHARACTERS = 200
ONE_LINE = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"
"""What a reason is: without control characters and ends of lines."""
"""Of why somebody silenced or acknowledged something."""
HOUR_MS = 60 * MINUTE_MS
LONGEST_SILENCE_DAYS = 30
"""Of a silence and an acknowledgement."""
SAMPLES = 10
"""Anomalies that an incident keeps by themselves, the worst; the others are counted."""
TICKERS = 200
"""Tickers that a market-wide incident ranks; it says "or more" when there are that many."""
LISTED = 20
"""Incidents that a digest lists; the others are counted."""
HIGH = SEVERITIES.index("high")

_INCIDENT_ID = re.compile(r"[a-z-]{1,64}-[^\s#]{1,64}-[0-9]{1,14}")
MARKET, FEED = "market", "feed"
"""Subjects of incidents over many tickers: a market-wide move, and a stall of the feed."""

IncidentState = Literal["open", "acknowledged", "resolved"]
MessageKind = Literal["opened", "escalated", "repeated", "acknowledged", "resolved", "digest", "test"]
DeliveryStatus = Literal["pending", "sending", "sent", "failed"]


@dataclass(frozen=True, slots=True)
class AnomalySummary:
    """What alerts say of an anomaly.

    Attributes
    ----------
    severity
        That it has reached.
    began_ms, ended_ms
        Epoch ms UTC; `ended_ms` is None while it goes on.
    value, expected
        In `unit`; shares of the price for returns and spreads.
    """

    id: str
    ticker: str
    kind: str
    severity: str
    began_ms: int
    value: float
    expected: float
    unit: str
    explanation: str
    ended_ms: int | None = None

    @property
    def rank(self) -> int:
        """Place of the severity: 0 is low."""
        return SEVERITIES.index(self.severity)


@dataclass(frozen=True, slots=True)
class TickerMove:
    """What a ticker did in an incident over many: when first (epoch ms UTC), how bad, and its largest return.

    `move` is a signed share of the price, 0 where none of its anomalies is a return.
    """

    ticker: str
    first_ms: int
    rank: int
    move: float

    def joined(self, other: TickerMove) -> TickerMove:
        """Return what both say of the ticker together."""
        move = max(self.move, other.move, key=abs)
        return TickerMove(self.ticker, min(self.first_ms, other.first_ms), max(self.rank, other.rank), move)

    def row(self) -> dict[str, object]:
        """Return it for JSON."""
        at, severity = iso_ms(self.first_ms), SEVERITIES[self.rank]
        return {"ticker": self.ticker, "first_at": at, "severity": severity, "move": self.move}


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A person knows of an incident: nothing more is sent until `until_ms`, unless it exceeds `rank`.

    Attributes
    ----------
    anomaly
        Id of the anomaly by which the person named the incident; "" where it was named itself.
    announced
        Whether the channels that keep a state of their own were notified.
    """

    by: str
    until_ms: int
    rank: int
    reason: str = ""
    anomaly: str = ""
    announced: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """News of an incident for a digest: its worst anomaly's, since when (epoch ms UTC), and to which channels."""

    rank: int
    since_ms: int
    ticker: str
    kind: str
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Notification:
    """A message that was made about an incident, and the channels that it goes to."""

    message_id: str
    kind: MessageKind
    made_ms: int
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Incident:
    """Anomalies that belong together, with a state; the unit that people are notified of.

    Attributes
    ----------
    subject
        The ticker, or `MARKET`, or `FEED`.
    opened_ms, last_ms
        Its first and last event, market time, epoch ms UTC.
    peak
        Rank of the highest severity that was reached.
    anomalies, open
        How many, and how many of them go on.
    samples
        The worst anomalies, the worst first, at most `SAMPLES`.
    tickers
        In an incident over many tickers: those that moved first, at most `TICKERS`.
    watched
        In an incident over many tickers: how many are on the watch list.
    wide_until_ms
        Until when an incident over many tickers takes anomalies in, market time.
    misprint_until_ms
        Until when a misprint explains moves and spreads of the ticker, market time.
    merged_into
        Id of the incident over many tickers that holds its anomalies now; "" otherwise.
    updated_ms, notified_ms, due_ms
        Our time, epoch ms UTC: the last event, the last message at once, and when a sweep has to look at it.
    notified_rank
        Highest rank that a message was about; -1 for none.
    channels
        Those that were notified at once, and are notified of its end.
    sequence
        How many messages were made.
    context
        What the market did when it began, or when it was last sent at once; None where nobody looked.
    """

    id: str
    origin: str
    subject: str
    opened_ms: int
    last_ms: int
    peak: int = 0
    anomalies: int = 0
    open: int = 0
    samples: tuple[AnomalySummary, ...] = ()
    tickers: tuple[TickerMove, ...] = ()
    watched: int = 0
    wide_until_ms: int = 0
    late: bool = False
    misprint_until_ms: int = 0
    merged_into: str = ""
    acknowledgement: Acknowledgement | None = None
    updated_ms: int = 0
    notified_rank: int = -1
    channels: tuple[str, ...] = ()
    notified_ms: int = 0
    end_notified: bool = False
    waiting: Waiting | None = None
    notifications: tuple[Notification, ...] = ()
    sequence: int = 0
    due_ms: int | None = None
    context: Context | None = None

    @property
    def severity(self) -> str:
        """The highest severity that was reached."""
        return SEVERITIES[self.peak]

    @property
    def is_wide(self) -> bool:
        """Whether it is over many tickers."""
        return self.subject in {MARKET, FEED}

    @property
    def resolved_ms(self) -> int | None:
        """When its last anomaly ended, market time, epoch ms UTC; None while one goes on."""
        return None if self.open or not self.anomalies else self.last_ms

    @property
    def worst(self) -> AnomalySummary:
        """The worst of its anomalies that go on; once none does, the worst of all."""
        return next((one for one in self.samples if one.ended_ms is None), self.samples[0])

    @property
    def next_id(self) -> str:
        """The id of the next message about it."""
        return f"{self.id}#{self.sequence + 1}"

    def state(self, now_ms: int) -> IncidentState:
        """Return its state at `now_ms` (epoch ms UTC)."""
        if self.resolved_ms is not None:
            return "resolved"
        acknowledged = self.acknowledgement
        return "acknowledged" if acknowledged is not None and acknowledged.until_ms > now_ms else "open"


def is_incident_id(text: str) -> bool:
    """Return whether a text can be the id of an incident."""
    return _INCIDENT_ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class AnomalyRecord:
    """What is remembered of an anomaly: its incident, and the keys of its events that were taken."""

    incident: str
    seen: frozenset[str]
    severity: str

    @property
    def rank(self) -> int:
        """Place of the severity that it has reached."""
        return SEVERITIES.index(self.severity)


@dataclass(frozen=True, slots=True)
class Move:
    """An anomaly of the last minutes, as the search for incidents over many tickers sees it."""

    origin: str
    anomaly: str
    ticker: str
    subject: str
    at_ms: int
    incident: str


@dataclass(frozen=True, slots=True)
class Silence:
    """A person's wish to hear nothing of a ticker, a kind, both, or (neither named) everything for a while.

    Attributes
    ----------
    until_ms
        When it ends, epoch ms UTC.
    """

    until_ms: int
    ticker: str | None = None
    kind: str | None = None
    reason: str = ""
    by: str = ""

    @property
    def scope(self) -> str:
        """What it covers, as a key; a newer silence of the same scope replaces it."""
        return f"{self.ticker or '*'}#{self.kind or '*'}"

    @property
    def words(self) -> str:
        """What it covers, for people."""
        return " ".join(part for part in (self.ticker, self.kind) if part) or "everything"

    def covers(self, ticker: str, kind: str) -> bool:
        """Return whether it silences a ticker and kind."""
        return self.ticker in {None, ticker} and self.kind in {None, kind}


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest: the worst incidents, at most `LISTED`, and how many incidents and anomalies there are in all.

    Of each incident it has the worst anomaly alone.
    """

    origin: str
    channels: tuple[str, ...]
    id: str = ""
    listed: tuple[Incident, ...] = ()
    incidents: int = 0
    anomalies: int = 0

    def with_incident(self, incident: Incident) -> Digest:
        """Return the digest with one more incident, as it is now."""
        short = replace(incident, samples=incident.samples[:1], tickers=(), notifications=(), waiting=None)
        listed = sorted((*self.listed, short), key=lambda one: (-one.peak, -one.anomalies, one.opened_ms))
        return replace(
            self,
            listed=tuple(listed[:LISTED]),
            incidents=self.incidents + 1,
            anomalies=self.anomalies + incident.anomalies,
        )

    def message(self, made_ms: int) -> Message:
        """Return the message of the digest, made at `made_ms` (epoch ms UTC)."""
        # One that an older version began has no id: without one its channels would take it for another's.
        id_ = self.id or f"digest-{self.origin}-{'-'.join(self.channels)}-{made_ms}"
        return Message(id_, "digest", made_ms, self.channels, digest=self)


@dataclass(frozen=True, slots=True)
class Message:
    """A message to people, as it was when it was made.

    Attributes
    ----------
    made_ms
        When it was decided, epoch ms UTC.
    incident
        What it is about, as it was then; None for a digest and a test.
    cause
        The anomaly that is the news.
    """

    id: str
    kind: MessageKind
    made_ms: int
    channels: tuple[str, ...]
    incident: Incident | None = None
    cause: AnomalySummary | None = None
    digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a message in a channel.

    Attributes
    ----------
    attempts
        How often it was claimed.
    next_ms
        Not tried before; while `sending`, when the claim ends. Epoch ms UTC.
    claimed_by
        Whose the newest claim is: one process of the notifier.
    receipt
        What the channel calls the message.
    error
        Why the last attempt failed; holds no secret.
    picture
        What became of the picture of the chart: "" for none, "sent", or why it was not.
    """

    channel: str
    status: DeliveryStatus = "pending"
    attempts: int = 0
    next_ms: int = 0
    sent_ms: int = 0
    receipt: str = ""
    error: str = ""
    picture: str = ""
    claimed_by: str = ""


@dataclass(frozen=True, slots=True)
class Pending:
    """A delivery that is not known to be done, by its message."""

    message_id: str
    made_ms: int
    channel: str
