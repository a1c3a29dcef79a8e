"""The notifier on a table in memory, with channels that the test reads and a clock that it sets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from consumers.alerts.channels import ChannelError
from consumers.alerts.context import Context
from consumers.alerts.decision import DIGEST_USES_MS, DIGESTS_AT_ONCE, ContextOf
from consumers.alerts.event import AlertEvent, parse
from consumers.alerts.model import Delivery, Incident, Message
from consumers.alerts.notifier import Notifier, Sweep
from consumers.alerts.places import digested_place
from consumers.alerts.rendering.texts import Content, content
from consumers.alerts.settings import AlertSettings
from consumers.alerts.store import AlertStore
from consumers.alerts.table import AlertTable, MemoryTable, Put
from consumers.contracts.anomaly import Anomaly, anomaly_id, iso_ms, sort_key
from consumers.contracts.events import Event, detected

T0_MS = 1_795_530_600_000
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
URL = "https://monitor.example/"


def make_anomaly(
    ticker: str = "AAPL",
    kind: str = "price_spike",
    ts_ms: int = T0_MS,
    severity: str = "medium",
    *,
    source: str = "alpaca",
    late: bool = False,
    value: float = 189.12,
    unit: str = "price",
) -> Anomaly:
    """Return an anomaly as the detector writes it."""
    return Anomaly(
        anomaly_id(ticker, ts_ms, kind, source),
        source,
        ticker,
        sort_key(ts_ms, kind, source),
        iso_ms(ts_ms)[:10],
        kind,
        severity,
        4.25,
        2.5,
        value,
        185.4 if unit == "price" else 0.0,
        0.352,
        "up",
        late,
        f"{ticker} jumped 2.0 % in 1 s, where 0.1 % is usual.",
        {"count": 1800, "seconds": 1800, "unit": unit},
    )


def envelope(event: Event) -> str:
    """Return the event as it arrives in the queue."""
    return json.dumps(
        {
            "version": "0",
            "id": "5e5b0f5c-0000-4000-8000-000000000000",
            "detail-type": event.detail_type,
            "source": "stock-monitor",
            "account": "000000000000",
            "time": "2026-11-24T14:30:01Z",
            "region": "us-east-1",
            "resources": [],
            "detail": json.loads(event.detail_json()),
        }
    )


def received(event: Event) -> AlertEvent:
    """Return an event as the notifier reads it from the queue."""
    parsed = parse(envelope(event), event.at_ms)
    assert isinstance(parsed, AlertEvent)
    return parsed


def opened(
    ts_ms: int = T0_MS,
    severity: str = "medium",
    *,
    ticker: str = "AAPL",
    kind: str = "price_spike",
    source: str = "alpaca",
    late: bool = False,
    value: float = 189.12,
    unit: str = "price",
) -> AlertEvent:
    """Return the opening of an anomaly."""
    anomaly = make_anomaly(ticker, kind, ts_ms, severity, source=source, late=late, value=value, unit=unit)
    return received(detected(anomaly))


def worse(event: AlertEvent, at_ms: int, severity: str) -> AlertEvent:
    """Return the escalation of the anomaly of an event."""
    return replace(event, change="escalated", at_ms=at_ms, anomaly=replace(event.anomaly, severity=severity))


def over(event: AlertEvent, at_ms: int) -> AlertEvent:
    """Return the end of the anomaly of an event."""
    return replace(event, change="ended", at_ms=at_ms)


def company(event: AlertEvent, incident: Incident, _settings: AlertSettings) -> Context:
    """Return a context in which a ticker moves by itself, or the market as a whole."""
    if event.anomaly.kind in {"gap", "frozen_feed", "bad_tick"}:
        return Context(why="its quotes are in doubt and do not show how the price moved")
    if incident.is_wide:
        return Context("market", "", None, -0.021, 10, "SPY", -0.018)
    return Context("company", "", 0.0212, 0.0004, 9, "SPY", 0.001, 1.2, 0.02)


class Phones:
    """Channels that keep what they are sent; those in `down` take nothing."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Message]] = []
        self.down: dict[str, ChannelError] = {}
        self.receipt = "receipt"

    def send(self, channel: str, message: Message, settings: AlertSettings) -> str:
        """Keep a message."""
        content(message, URL, settings.time_zone)  # it can be written
        if channel in self.down:
            raise self.down[channel]
        self.sent.append((channel, message))
        return self.receipt


@dataclass
class Bench:
    """A notifier, its table, its channels and the clock."""

    table: AlertTable = field(default_factory=MemoryTable)
    settings: AlertSettings = field(default_factory=AlertSettings)
    now_ms: int = T0_MS + 200
    watched: int = 0
    phones: Phones = field(default_factory=Phones)
    dead: list[tuple[Message, Delivery]] = field(default_factory=list)
    context: ContextOf = field(default=company)

    def __post_init__(self) -> None:
        self.store = AlertStore(self.table)
        self.notifier = Notifier(
            self.store,
            self.phones.send,
            dead_letter=lambda message, delivery: self.dead.append((message, delivery)),
            clock=lambda: self.now_ms,
            watched=lambda: self.watched,
            context=self.context,
        )

    def take(self, *events: AlertEvent, at_ms: int | None = None) -> list[str | None]:
        """Take a batch in, at `at_ms` or now; return the kind of message that each event led to."""
        self.now_ms = self.now_ms if at_ms is None else at_ms
        taken = self.notifier.handle(events, self.settings)
        for one in taken:
            if one.error is not None:
                raise one.error
        return [None if one.message is None else one.message.kind for one in taken]

    def had_digests(self) -> Bench:
        """Let as many digests have been sent at once as are, so that what is medium or low waits."""
        until_ms = self.now_ms + DIGESTS_AT_ONCE * DIGEST_USES_MS
        named = self.settings.channel_names
        for channels in [named, *((name,) for name in named)]:
            for origin in ("live", "simulated"):
                place = digested_place(origin, channels)
                self.table.write([Put(place, str(until_ms), self.now_ms)])
        return self

    def sweep(self, after_minutes: float = 0) -> Sweep:
        """Let time pass, then sweep."""
        self.now_ms += round(after_minutes * MINUTE_MS)
        done = self.notifier.sweep(self.settings)
        assert done.errors == ()
        return done

    def incident(self, event: AlertEvent) -> Incident:
        """Return the incident of an event's anomaly."""
        found = self.store.incident_of(event.anomaly.id)
        assert found is not None
        return found

    def incidents(self) -> list[Incident]:
        """Return all incidents of these days."""
        return list(self.store.incidents(T0_MS - 2 * 24 * HOUR_MS, self.now_ms + HOUR_MS))

    def sent(self, channel: str = "sns") -> list[Message]:
        """Return what a channel was sent."""
        return [message for name, message in self.phones.sent if name == channel]

    def kinds(self) -> list[str]:
        """Return the kinds of the messages that `sns` was sent."""
        return [message.kind for message in self.sent()]

    def said(self) -> list[Content]:
        """Return what the messages say that `sns` was sent."""
        return [content(message, URL, self.settings.time_zone) for message in self.sent()]
