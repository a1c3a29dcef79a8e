"""Who is notified of an incident, and when, in the terms of Prometheus Alertmanager. Pure.

docs/alerts.md says it for traders. Nothing limits how many incidents are sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Literal

from consumers.alerts.event import AlertEvent
from consumers.alerts.model import (
    FEED,
    HOUR_MS,
    MARKET,
    MINUTE_MS,
    AnomalySummary,
    Incident,
    Message,
    MessageKind,
    Move,
    Silence,
    Waiting,
)
from consumers.alerts.settings import AlertSettings, News
from consumers.contracts.kinds import REGISTRY, RULE, concern_of, spec_of

GROUP_MS = 2 * MINUTE_MS
"""Anomalies of a ticker that are no further apart are one incident."""
WIDE_MS = MINUTE_MS
"""Anomalies of many tickers that are no further apart are one incident."""
RESOLVE_TIMEOUT_MS = 24 * HOUR_MS
"""An incident of which nothing is heard for this long is over: its ticker is no longer watched."""
MISPRINT_MS = MINUTE_MS
SIMULATED_HISTORY_MS = 2 * MINUTE_MS
"""Simulated quotes this old were made at the start, so that charts have a past: nobody is notified of them."""
NOTIFIED = frozenset({"live", "simulated", "replay"})
"""Origins that people are notified of; a backfill is none."""

KEPT_BACK = 0
"""Since when news waits that only a silence or a mute timing keeps back: it is sent as soon as that ends."""
DIGEST = -1
"""The rank of a digest, for mute timings: below that of any incident."""
Due = Literal["released", "digest", "repeated", "acknowledged", "resolved", "timeout"]

Unsent = Literal["for_digest", "kept_back"]


def subject_of(kind: str) -> str:
    """Return the subject of incidents over many tickers that a kind belongs to; "" if to none."""
    return "" if kind == RULE else {"market": MARKET, "feed": FEED}.get(concern_of(kind), "")


def group_of(event: AlertEvent) -> str:
    """Return the subject of an event's own group; late anomalies never join live ones, nor does a rule any other."""
    group = f"{event.anomaly.ticker}#late" if event.late else event.anomaly.ticker
    return f"{group}#rule" if event.anomaly.kind == RULE else group


def joins(incident: Incident, at_ms: int) -> bool:
    """Return whether an anomaly at `at_ms` (market time, epoch ms) belongs to an incident of its group."""
    if incident.merged_into:
        return False
    if incident.is_wide:
        return incident.opened_ms - WIDE_MS <= at_ms <= incident.wide_until_ms
    return incident.opened_ms - GROUP_MS <= at_ms <= incident.last_ms + GROUP_MS


def near(event: AlertEvent, moves: Iterable[Move]) -> list[Move]:
    """Return the moves that an event may be part of an incident over many tickers with."""
    subject = subject_of(event.anomaly.kind)
    return [one for one in moves if one.subject == subject and abs(one.at_ms - event.at_ms) <= WIDE_MS]


def is_inhibited(anomaly: AnomalySummary, incident: Incident) -> bool:
    """Return whether a misprint in the incident explains an anomaly."""
    is_feigned = anomaly.kind in REGISTRY and spec_of(anomaly.kind).is_feigned_by_misprints
    return is_feigned and anomaly.began_ms <= incident.misprint_until_ms


@dataclass(frozen=True, slots=True)
class Policy:
    """Who is notified of what at a moment.

    Attributes
    ----------
    now_ms
        The moment, epoch ms UTC.
    """

    settings: AlertSettings
    now_ms: int
    silences: tuple[Silence, ...] = ()

    def is_silenced(self, of: AnomalySummary | Waiting) -> bool:
        """Return whether a silence covers an anomaly, or news that waits."""
        return any(one.until_ms > self.now_ms and one.covers(of.ticker, of.kind) for one in self.silences)

    def is_fresh(self, event: AlertEvent) -> bool:
        """Return whether an event may be sent at once: neither replayed, nor late, nor learned of too late."""
        past = event.late or event.origin not in {"live", "simulated"}
        return not past and event.at_ms >= self.now_ms - self.settings.stale_after_minutes * MINUTE_MS

    def may_be_wide(self, event: AlertEvent) -> bool:
        """Return whether an event may belong to an incident over many tickers: what gets worse or ends is no move."""
        return (
            self.settings.market_wide is not None
            and event.change == "detected"
            and subject_of(event.anomaly.kind) != ""
            and self.is_fresh(event)
            and not self.is_silenced(event.anomaly)
        )

    def is_wide(self, event: AlertEvent, moves: Iterable[Move], watched: int) -> bool:
        """Return whether a share of the watch list (of `watched` tickers; 0: not known) moves with an event."""
        market = self.settings.market_wide
        tickers = {event.anomaly.ticker, *(move.ticker for move in near(event, moves))}
        return market is not None and watched > 0 and len(tickers) >= market.tickers(watched)

    def decide(
        self, event: AlertEvent, incident: Incident
    ) -> tuple[Incident, MessageKind | None, tuple[str, ...]]:
        """Return what an event means for people: the incident after it, the message to send now if any, and where to.

        A digest is sent now only if few were lately: who knows the others decides that.

        Parameters
        ----------
        incident
            The one that the event belongs to, after it took the event in.
        """
        anomaly = event.anomaly
        severity, rank = anomaly.severity, event.rank
        if incident.is_wide:  # one ticker's severity is not the market's
            severity, rank = incident.severity, incident.peak
        news = News(severity=severity, ticker=anomaly.ticker, kind=anomaly.kind, origin=event.origin)
        way = self.settings.route(news, self.now_ms)
        if not self._is_news(event, incident, rank) or way.notify == "never":
            return incident, None, ()
        may_send = self._may_send(anomaly, rank) and self.is_fresh(event)
        if way.notify == "at_once" and may_send:
            return *sent_at_once(incident, rank), way.channels
        is_kept_back = way.notify == "at_once" and self.is_fresh(event)
        since_ms = KEPT_BACK if is_kept_back else self.now_ms
        after = _deferred(incident, Waiting(rank, since_ms, anomaly.ticker, anomaly.kind, way.channels))
        is_first = self.settings.digest.every == "hour" and way.notify == "digest" and may_send
        return after, "digest" if is_first and not self.is_muted(DIGEST) else None, way.channels

    def _is_news(self, event: AlertEvent, incident: Incident, rank: int) -> bool:
        is_history = event.origin == "simulated" and event.at_ms < self.now_ms - SIMULATED_HISTORY_MS
        if event.change == "ended" or event.origin not in NOTIFIED or is_history:
            return False
        known = incident.acknowledgement
        is_known = known is not None and known.until_ms > self.now_ms and rank <= known.rank
        return not is_known and rank > incident.notified_rank and not is_inhibited(event.anomaly, incident)

    def silencing(self, incident: Incident) -> tuple[bool, bool]:
        """Return whether a silence keeps back the news of an incident that waits, and whether a mute timing does."""
        news = incident.waiting
        if news is None:
            return False, False
        return self.is_silenced(news), self.is_muted(news.rank if is_held(incident) else DIGEST)

    def is_muted(self, rank: int) -> bool:
        """Return whether a mute timing keeps a severity, by its rank, back."""
        return self.settings.is_muted(self.now_ms, rank)

    def _may_send(self, of: AnomalySummary | Waiting, rank: int) -> bool:
        return not self.is_silenced(of) and not self.is_muted(rank)

    def suppresses(self, message: Message) -> bool:
        """Return whether a silence or a mute timing forbids to send a pending message."""
        if message.kind in {"test", "acknowledged"}:
            return False
        rank = DIGEST if message.incident is None else message.incident.peak
        listed = message.digest.listed if message.digest is not None else ()
        about = [message.cause] if message.cause is not None else [one.samples[0] for one in listed]
        return self.is_muted(rank) or (bool(about) and all(map(self.is_silenced, about)))

    def due_ms(self, incident: Incident) -> int | None:
        """Return when a sweep has to look at an incident (epoch ms UTC); None for never again."""
        return min((at_ms for at_ms, _ in self._dues(incident)), default=None)

    def what_is_due(self, incident: Incident) -> Due | None:
        """Return what a sweep has to do about an incident now; None if nothing, or if it has to wait."""
        dues = sorted(self._dues(incident), key=itemgetter(0))
        return next(
            (what for at_ms, what in dues if at_ms <= self.now_ms and self._may_do(what, incident)), None
        )

    def _dues(self, incident: Incident) -> list[tuple[int, Due]]:
        settings = self.settings
        if incident.merged_into:  # its place is taken by another, which such a channel does not know
            is_left = settings.stateful(incident.channels) and not incident.end_notified
            return [(incident.updated_ms, "resolved")] if is_left else []
        dues: list[tuple[int, Due]] = []
        if incident.waiting is not None:
            digest_ms = settings.digest.next_ms(incident.waiting.since_ms, settings.time_zone)
            dues.append((KEPT_BACK, "released") if is_held(incident) else (digest_ms, "digest"))
        if incident.resolved_ms is None:
            # To the hour: with every event another time would be two more writes.
            dues.append(((incident.updated_ms + RESOLVE_TIMEOUT_MS) // HOUR_MS * HOUR_MS, "timeout"))
            if incident.channels:
                known = incident.acknowledgement
                if known is not None and not known.announced and settings.stateful(incident.channels):
                    dues.append((incident.updated_ms, "acknowledged"))
                quiet_ms = known.until_ms if known is not None else 0
                repeat_ms = incident.notified_ms + round(settings.repeat_interval_hours * HOUR_MS)
                dues.append((max(repeat_ms, quiet_ms), "repeated"))
        elif incident.channels and not incident.end_notified:
            dues.append((incident.updated_ms + GROUP_MS, "resolved"))
        return dues

    def _may_do(self, what: Due, incident: Incident) -> bool:
        if what in {"timeout", "acknowledged"}:  # an acknowledgement stops the paging elsewhere
            return True
        if what in {"digest", "released"}:
            return not any(self.silencing(incident))
        return self._may_send(incident.worst, incident.peak)

    def digest_channels(self, incident: Incident) -> tuple[str, ...]:
        """Return the channels that get a digest with the news of an incident that waits."""
        channels = incident.waiting.channels if incident.waiting is not None else ()
        # A digest would be open for good where an incident is open until it is resolved.
        stateful = self.settings.stateful(channels)
        return tuple(name for name in channels if name not in stateful) or channels

    def recipients(
        self, what: Literal["repeated", "acknowledged", "resolved"], incident: Incident
    ) -> tuple[str, ...]:
        """Return the channels that get a message about what is due of an incident by itself."""
        if what == "repeated":
            return incident.channels
        stateful = self.settings.stateful(incident.channels)
        if what == "acknowledged":
            return stateful
        is_long = incident.last_ms - incident.opened_ms >= self.settings.resolved_after_minutes * MINUTE_MS
        return incident.channels if is_long and not incident.merged_into else stateful


def unsent(incident: Incident) -> Unsent | None:
    """Return what news of an incident waits for: the next digest, or the end of what silences it; None for no news."""
    if incident.waiting is None:
        return None
    return "kept_back" if incident.waiting.since_ms == KEPT_BACK else "for_digest"


def is_held(incident: Incident) -> bool:
    """Return whether news of an incident is sent at once when what silences it ends, instead of in a digest."""
    return unsent(incident) == "kept_back" and incident.resolved_ms is None


def sent_at_once(incident: Incident, rank: int) -> tuple[Incident, MessageKind]:
    """Return an incident of which a message of a severity, by its rank, is sent now, and the kind of the message."""
    after = replace(incident, notified_rank=rank, waiting=None, acknowledgement=None)
    return after, "opened" if incident.notified_rank < 0 else "escalated"


def _deferred(incident: Incident, news: Waiting) -> Incident:
    """Return the incident with news for a digest: what waited stays unless the news is worse."""
    waiting = incident.waiting
    if waiting is None:
        return replace(incident, waiting=news)
    worst = max(waiting, news, key=lambda one: one.rank)
    return replace(incident, waiting=replace(worst, since_ms=min(waiting.since_ms, news.since_ms)))
