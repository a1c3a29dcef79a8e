"""How an incident takes events in, and what is remembered of the messages about it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from consumers.alerts import policy
from consumers.alerts.event import AlertEvent
from consumers.alerts.model import (
    HIGH,
    SAMPLES,
    TICKERS,
    AnomalyRecord,
    AnomalySummary,
    Incident,
    Message,
    MessageKind,
    Notification,
    TickerMove,
)
from consumers.contracts.kinds import RULE, is_misprint

NOTIFICATIONS = 20
"""Messages that an incident remembers by themselves."""


def opened(event: AlertEvent, subject: str, watched: int = 0) -> Incident:
    """Return the incident that an event opens, without the event.

    Parameters
    ----------
    subject
        The ticker, `MARKET` or `FEED`.
    watched
        Tickers on the watch list.
    """
    began_ms, is_rule = event.anomaly.began_ms, event.anomaly.kind == RULE
    incident = Incident(
        id=f"{event.origin}{'-late' * event.late}{'-rule' * is_rule}-{subject}-{began_ms}",
        origin=event.origin,
        subject=subject,
        opened_ms=began_ms,
        last_ms=began_ms,
        watched=watched,
        late=event.late,
    )
    return replace(incident, peak=HIGH) if incident.is_wide else incident


def absorb(
    event: AlertEvent, incident: Incident, record: AnomalyRecord | None, now_ms: int
) -> tuple[Incident, AnomalyRecord]:
    """Return an incident after an event of one of its anomalies, and what is remembered of the anomaly.

    Parameters
    ----------
    record
        What was remembered of it; None if this is the first of its events, whichever that is.
    """
    before = record or AnomalyRecord(incident.id, frozenset(), event.anomaly.severity)
    ends = event.change == "ended"
    after = replace(
        before,
        incident=incident.id,
        seen=before.seen | {event.key},
        severity=event.anomaly.severity if event.rank > before.rank else before.severity,
    )
    anomaly = replace(event.anomaly, severity=after.severity, ended_ms=event.at_ms if ends else None)
    known = next((one for one in incident.samples if one.id == anomaly.id), None)
    if known is not None:  # events come in any order
        is_said = before.seen != {"ended"} and (ends or event.rank < before.rank)
        anomaly = replace(
            known if is_said else anomaly,
            severity=after.severity,
            ended_ms=anomaly.ended_ms or known.ended_ms,
        )
    begins, over = record is None and not ends, record is not None and ends
    going_on = max(0, incident.open + begins - over)  # none goes on in one that timed out
    incident = replace(
        incident,
        opened_ms=min(incident.opened_ms, anomaly.began_ms),
        last_ms=max(incident.last_ms, event.at_ms),
        updated_ms=now_ms,
        anomalies=incident.anomalies + int(record is None),
        open=going_on,
        misprint_until_ms=_misprint(event, incident.misprint_until_ms),
    )
    if going_on and incident.end_notified:  # people were notified that it is over
        incident = replace(incident, end_notified=False, notified_rank=-1)
    incident = _with_samples(incident, [anomaly])
    if not policy.is_inhibited(anomaly, incident):
        incident = replace(incident, peak=max(incident.peak, after.rank))
    return (_with_moves(incident, [_move(anomaly)]) if incident.is_wide else incident), after


def handed_over(incident: Incident) -> Incident:
    """Return an incident without one of its anomalies, which goes on in another."""
    return replace(incident, open=max(0, incident.open - 1))


def merged(incident: Incident, single: Incident) -> tuple[Incident, Incident]:
    """Return an incident over many tickers with the anomalies of a ticker's, and that one as it is left behind."""
    wide = replace(
        incident,
        opened_ms=min(incident.opened_ms, single.opened_ms),
        last_ms=max(incident.last_ms, single.last_ms),
        updated_ms=max(incident.updated_ms, single.updated_ms),
        peak=max(incident.peak, single.peak),
        anomalies=incident.anomalies + single.anomalies,
        open=incident.open + single.open,
        channels=tuple(dict.fromkeys((*incident.channels, *single.channels))),
        notified_ms=max(incident.notified_ms, single.notified_ms),
    )
    left = replace(single, merged_into=incident.id, waiting=None)
    return _with_samples(_with_moves(wide, map(_move, single.samples)), single.samples), left


def timed_out(incident: Incident) -> Incident:
    """Return an incident that is over because nothing is heard of it any more."""
    return replace(incident, open=0)


def with_message(
    kind: MessageKind,
    incident: Incident,
    channels: tuple[str, ...],
    now_ms: int,
    cause: AnomalySummary | None = None,
) -> tuple[Incident, Message]:
    """Return an incident with a message about it."""
    id_ = incident.next_id
    incident = with_notification(incident, kind, id_, channels, now_ms)
    return incident, Message(id_, kind, now_ms, channels, incident, cause or incident.worst)


def with_notification(
    incident: Incident, kind: MessageKind, message_id: str, channels: tuple[str, ...], now_ms: int
) -> Incident:
    """Return an incident after a message about it was made."""
    made = Notification(message_id, kind, now_ms, channels)
    incident = replace(
        incident,
        sequence=incident.sequence + 1,
        notifications=(*incident.notifications, made)[-NOTIFICATIONS:],
    )
    if kind == "digest":
        waiting = incident.waiting
        rank = incident.notified_rank if waiting is None else max(incident.notified_rank, waiting.rank)
        return replace(incident, notified_rank=rank, waiting=None)
    if kind == "resolved":
        return replace(incident, end_notified=True)
    if kind == "acknowledged":
        known = incident.acknowledgement
        return replace(incident, acknowledgement=known and replace(known, announced=True))
    notified_channels = tuple(dict.fromkeys((*incident.channels, *channels)))
    return replace(incident, channels=notified_channels, notified_ms=now_ms, end_notified=False)


def _misprint(event: AlertEvent, until_ms: int) -> int:
    if not is_misprint(event.anomaly.kind):
        return until_ms
    if event.change == "ended":
        return min(until_ms, event.at_ms)
    return max(until_ms, event.anomaly.began_ms + policy.MISPRINT_MS)


def _with_samples(incident: Incident, anomalies: Iterable[AnomalySummary]) -> Incident:
    """Return an incident with more samples; the worst are kept, what a misprint explains comes last."""
    newest = {anomaly.id: anomaly for anomaly in (*incident.samples, *anomalies)}
    ranked = sorted(
        newest.values(), key=lambda one: (policy.is_inhibited(one, incident), -one.rank, one.began_ms)
    )
    return replace(incident, samples=tuple(ranked[:SAMPLES]))


def _move(anomaly: AnomalySummary) -> TickerMove:
    size = anomaly.value if anomaly.unit == "return" else 0.0
    return TickerMove(anomaly.ticker, anomaly.began_ms, anomaly.rank, size)


def _with_moves(incident: Incident, moves: Iterable[TickerMove]) -> Incident:
    """Return an incident with more moves; those of the tickers that moved first are kept, the others counted."""
    known = {move.ticker: move for move in incident.tickers}
    for move in moves:
        before = known.get(move.ticker)
        known[move.ticker] = move if before is None else before.joined(move)
    first = sorted(known.values(), key=lambda move: (move.first_ms, move.ticker))
    return replace(incident, tickers=tuple(first[:TICKERS]))
