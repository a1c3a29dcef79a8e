"""Rows of the lake from what the monitor keeps. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from consumers.contracts.anomaly import iso_ms, ms_of_iso
from consumers.stream.rows import split_key
from producers.origin import origin_of

if TYPE_CHECKING:
    from consumers.alerts.feedback import Feedback
    from consumers.alerts.message_store import StoredMessage
    from consumers.alerts.model import Incident
    from consumers.contracts.anomaly import Anomaly
    from consumers.windows.state import Step

Row = dict[str, Any]
PROOF = "verify"
"""The origin of what `stock-monitor verify` sends and deletes again: it is in no lake."""


def tick_rows(step: Step, block: str, *, late: bool) -> Iterator[Row]:
    """Yield the ticks of a step; `block` names its block."""
    rows = step.rows
    keys = map(rows.keys.__getitem__, rows.key.tolist())
    columns = zip(keys, rows.source.tolist(), rows.ts.tolist(), rows.price.tolist(), strict=True)
    quotes = zip(rows.bid.tolist(), rows.ask.tolist(), rows.day_volume.tolist(), strict=True)
    origins = [origin_of(source) for source in rows.sources]
    for (key, at, ts, price), (bid, ask, volume) in zip(columns, quotes, strict=True):
        if origins[at] != PROOF:
            yield {
                "ts": ts,
                "ticker": split_key(key)[1],
                "price": price,
                "bid": _known(bid),
                "ask": _known(ask),
                "day_volume": _known(volume),
                "source": rows.sources[at],
                "origin": origins[at],
                "late": late,
                "block": block,
            }


def bar_rows(step: Step) -> Iterator[Row]:
    """Yield the minutes that a step closed."""
    for slot, bar in step.closed:
        origin, ticker = split_key(step.state.keys[slot])
        if origin != PROOF:
            yield {"minute_ms": bar.minute_ms, "ticker": ticker, "origin": origin, **bar.values()}


def newest_rows(rows: Iterable[Row], key: tuple[str, ...]) -> list[Row]:
    """Return the last of the rows of each key."""
    return list({tuple(row[name] for name in key): row for row in rows}.values())


def anomaly_rows(anomalies: Iterable[Anomaly]) -> Iterator[Row]:
    """Yield anomalies."""
    for one in anomalies:
        if origin_of(one.source) == PROOF:
            continue
        time = one.timestamp.partition("#")[0]
        yield {
            "id": one.id,
            "ts": ms_of_iso(time),
            "time": time,
            "ticker": one.ticker,
            "kind": one.kind,
            "severity": one.severity,
            "score": one.score,
            "threshold": one.threshold,
            "value": one.value,
            "expected": one.expected,
            "tolerance": one.tolerance,
            "direction": one.direction,
            "late": one.late,
            "source": one.source,
            "origin": origin_of(one.source),
            "explanation": one.explanation,
            "window_json": json.dumps(one.window, separators=(",", ":"), sort_keys=True),
        }


def incident_rows(incidents: Iterable[Incident], now_ms: int) -> Iterator[Row]:
    """Yield incidents as they are at `now_ms`."""
    for one in incidents:
        if one.origin == PROOF:
            continue
        worst = one.samples[0] if one.samples else None
        state = one.state(now_ms)
        known = one.acknowledgement if state == "acknowledged" else None
        yield {
            "id": one.id,
            "origin": one.origin,
            "subject": one.subject,
            "state": state,
            "severity": one.severity,
            "opened_ms": one.opened_ms,
            "last_ms": one.last_ms,
            "resolved_ms": one.resolved_ms,
            "opened_at": iso_ms(one.opened_ms),
            "late": one.late,
            "anomaly_count": one.anomalies,
            "open_count": one.open,
            "ticker_count": len(one.tickers) or 1,
            "worst_kind": worst and worst.kind,
            "explanation": worst and worst.explanation,
            "verdict": one.context and one.context.verdict,
            "acknowledged_by": known and known.by,
        }


def delivery_rows(messages: Iterable[StoredMessage]) -> Iterator[Row]:
    """Yield what became of each message in each of its channels."""
    for stored in messages:
        message = stored.message
        about: Mapping[str, Any] = _about(stored)
        if about["origin"] == PROOF:
            continue
        for delivery in stored.deliveries:
            yield {
                "message_id": message.id,
                "message_kind": message.kind,
                "channel": delivery.channel,
                "status": delivery.status,
                "attempts": delivery.attempts,
                "made_ms": message.made_ms,
                "sent_ms": delivery.sent_ms or None,
                "made_at": iso_ms(message.made_ms),
                **about,
                "error": delivery.error or None,
            }


def _about(stored: StoredMessage) -> Row:
    """Return what a message is about; a digest and a test are about no single incident."""
    incident, cause, digest = stored.message.incident, stored.message.cause, stored.message.digest
    return {
        "incident_id": incident and incident.id,
        "anomaly_id": cause and cause.id,
        "ticker": cause and cause.ticker,
        "kind": cause and cause.kind,
        "severity": incident and incident.severity,
        "origin": incident.origin if incident else digest.origin if digest else None,
    }


def feedback_rows(said: Iterable[Feedback]) -> Iterator[Row]:
    """Yield all that people said, also what they said anew of the same anomaly."""
    for one in said:
        yield {
            "incident_id": one.incident,
            "anomaly_id": one.anomaly,
            "ticker": one.ticker,
            "kind": one.kind,
            "severity": one.severity,
            "useful": one.useful,
            "said_by": one.by,
            "said_ms": one.at_ms,
        }


def _known(value: float) -> float | None:
    return value if value == value else None  # noqa: PLR0124  NaN is unknown
