"""Whether a ticker's quotes can be acted upon now, and if not why: from its last quote and its incidents. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from api.tickers import STALE_AFTER_MS
from consumers.alerts.model import FEED, MARKET, TICKERS, AnomalySummary, Incident
from consumers.contracts.anomaly import SEVERITIES, iso_ms
from consumers.contracts.charts import LastQuote
from consumers.contracts.kinds import concern_of

MAX_AGE_SECONDS = STALE_AFTER_MS // 1000
"""How old the last quote may be unless a request says otherwise."""
CRITICAL = SEVERITIES.index("critical")


def subjects(ticker: str) -> tuple[str, ...]:
    """Return the subjects of incidents that concern a ticker: its own, the market, and the feed."""
    return ticker, MARKET, FEED


def reasons(
    ticker: str,
    quote: LastQuote | None,
    incidents: Iterable[Incident],
    *,
    market: str,
    is_market_open: bool,
    max_age_ms: int,
    now_ms: int,
) -> list[dict[str, Any]]:
    """Return why a ticker is not safe to trade at `now_ms` (`api.models.SafetyReason`); none if it is.

    Parameters
    ----------
    quote
        Its last quote; None if there is none.
    incidents
        Those of its `subjects` that are not resolved; an acknowledged one still goes on.
    max_age_ms
        How old the last quote may be.
    """
    found = []
    if not is_market_open:
        found.append(_reason("market_closed", f"the market {market} is closed"))
    if quote is None:
        found.append(_reason("no_quote", f"no quote of {ticker} is known: is it on the watch list?"))
    elif (age_ms := now_ms - quote.ts) > max_age_ms:
        said = (
            f"the last quote of {ticker} is {age_ms / 1000:,.0f} s old, more than {max_age_ms / 1000:,.0f} s"
        )
        found.append(_reason("stale_quote", said))
    for incident in incidents:
        found += _of_incident(ticker, incident)
    return found


def _of_incident(ticker: str, incident: Incident) -> Iterator[dict[str, Any]]:
    doubtful = [one for one in incident.samples if one.ticker == ticker and _is_doubt(one)]
    since = iso_ms(incident.opened_ms)
    if doubtful:
        yield _reason("doubtful_quotes", f"{doubtful[0].explanation} (it goes on)", incident.id)
    if incident.subject == FEED:
        if _is_stalled(ticker, incident):
            said = f"the feed of {ticker} and others has stalled since {since}"
            yield _reason("feed_stalled", said, incident.id)
    elif incident.peak >= CRITICAL:
        of = "the whole market" if incident.subject == MARKET else ticker
        yield _reason("critical_incident", f"a critical incident of {of} is open since {since}", incident.id)


def _is_stalled(ticker: str, incident: Incident) -> bool:
    """Return whether a stall of the feed is a ticker's too; one of very many tickers lists not all of them."""
    return len(incident.tickers) >= TICKERS or any(move.ticker == ticker for move in incident.tickers)


def _is_doubt(anomaly: AnomalySummary) -> bool:
    """Return whether an anomaly goes on that makes the quotes themselves wrong or old."""
    return anomaly.ended_ms is None and concern_of(anomaly.kind) != "market"


def _reason(code: str, detail: str, incident_id: str | None = None) -> dict[str, Any]:
    return {"code": code, "detail": detail, "incident_id": incident_id}
