"""From a message to what is published of it: the texts, the attributes, and a copy for programs. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from consumers.alerts.event import AlertEvent
from consumers.alerts.items import Message
from consumers.alerts.model import MarketMove
from consumers.alerts.rendering import texts
from consumers.alerts.rendering.texts import Part, Texts
from consumers.contracts.anomaly import to_json

TICKERS = 100
"""Tickers that a message carries as an attribute for filter policies."""


@dataclass(frozen=True, slots=True)
class Post:
    """A message as it is published.

    Attributes:
        about: what it tells, for programs.
        attributes: what subscribers' filter policies see.
    """

    about: dict[str, Any]
    texts: Texts
    attributes: dict[str, list[str]]


def compose(message: Message, parts: Callable[[str], Iterable[Part]], dashboard_url: str) -> Post:
    """What is published of a message; `parts` answers with those of the digest of an id."""
    event = message.event
    if event is None:
        return _digest(message, parts(message.id), dashboard_url)
    about = {"id": message.id, "kind": message.kind, "anomaly": to_json(event.anomaly)}
    if message.market is not None:
        return _market(message, event, message.market, about, dashboard_url)
    attributes: dict[str, list[str]] = {
        "ticker": [event.anomaly.ticker],
        "kind": [event.anomaly.kind],
        "severity": [event.severity],
        "source": [event.anomaly.source],
        "message": [message.kind],
    }
    return Post(about, texts.SINGLE[message.kind](event, dashboard_url), attributes)


def _market(
    message: Message, event: AlertEvent, market: MarketMove, about: dict[str, Any], dashboard_url: str
) -> Post:
    attributes: dict[str, list[str]] = {
        "ticker": list(market.tickers[:TICKERS]),
        "kind": list(dict.fromkeys(move.kind for move in market.moves)),
        "severity": list(dict.fromkeys(move.severity for move in market.moves)),
        "source": [event.anomaly.source],
        "message": [message.kind],
    }
    return Post(
        {**about, "market": asdict(market)}, texts.market_wide(event, market, dashboard_url), attributes
    )


def _digest(message: Message, parts: Iterable[Part], dashboard_url: str) -> Post:
    """The worst parts are listed and the others counted, in memory that does not grow with their number."""
    kept: list[tuple[int, int, int, Part]] = []
    seen: dict[str, dict[str, None]] = {"ticker": {}, "kind": {}, "severity": {}, "source": {}}
    count = anomalies = 0
    for part in parts:
        count += 1
        anomalies += part.held.anomalies
        entry = (part.worst, part.held.anomalies, -count, part)
        (heapq.heappush if len(kept) < texts.LINES else heapq.heappushpop)(kept, entry)
        _note(seen, part)
    listed = [part for *_, part in sorted(kept, key=lambda entry: entry[:3], reverse=True)]
    more = anomalies - sum(part.held.anomalies for part in listed)
    text = texts.digest(listed, dashboard_url, more_parts=count - len(listed), more_anomalies=more)
    attributes = {name: list(values) for name, values in seen.items() if values}
    about = {"id": message.id, "kind": message.kind, "anomalies": anomalies, "series": count}
    return Post(about, text, {**attributes, "message": ["digest"]})


def _note(seen: dict[str, dict[str, None]], part: Part) -> None:
    if len(seen["ticker"]) < TICKERS:
        seen["ticker"][part.ticker] = None
    seen["kind"][part.kind] = None
    for sample in part.held.samples:
        seen["severity"][sample.severity] = None
        if len(seen["source"]) < TICKERS:
            seen["source"][sample.anomaly.source] = None
