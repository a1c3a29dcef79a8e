"""Questions that people ask of the lake: the same SQL for Athena and for DuckDB. Free of numpy and DuckDB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Default = Literal["a week ago", "today"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that a query needs where its text has a question mark, in order.

    Attributes
    ----------
    default
        The UTC day that it is unless it is given; None where it must be.
    """

    name: str
    says: str
    default: Default | None = None


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """A query by its name."""

    says: str
    sql: str
    parameters: tuple[Parameter, ...]


_SPAN = (
    Parameter("since", "the first UTC day, such as 2026-11-24", "a week ago"),
    Parameter("until", "the last UTC day", "today"),
)

QUERIES = {
    "alerts-by-kind": NamedQuery(
        "Messages of a day by the kind of the anomaly that was their news, and how many failed.",
        """\
SELECT "date", kind, origin,
       count(DISTINCT message_id) AS alerts,
       count(DISTINCT CASE WHEN status = 'failed' THEN message_id END) AS failed
FROM deliveries
WHERE kind IS NOT NULL AND "date" BETWEEN ? AND ?
GROUP BY "date", kind, origin
ORDER BY "date", alerts DESC, kind, origin""",
        _SPAN,
    ),
    "worst-spreads": NamedQuery(
        "The twenty days of tickers with the widest spread, as a share of the price.",
        """\
SELECT "date", ticker, origin,
       round(max(spread_high / "close"), 6) AS widest,
       round(avg(spread_high / "close"), 6) AS usual,
       count(*) AS minutes
FROM bars
WHERE spread_high IS NOT NULL AND "date" BETWEEN ? AND ?
GROUP BY "date", ticker, origin
ORDER BY max(spread_high / "close") DESC, "date", ticker, origin
LIMIT 20""",
        _SPAN,
    ),
    "precision-by-kind": NamedQuery(
        "How much of what people judged was useful, by kind; the newest word on an anomaly counts.",
        """\
SELECT kind,
       count(*) AS judged,
       sum(CASE WHEN useful THEN 1 ELSE 0 END) AS useful,
       round(avg(CASE WHEN useful THEN 1.0E0 ELSE 0.0E0 END), 3) AS share_useful
FROM (
  SELECT kind, useful,
         row_number() OVER (PARTITION BY incident_id, anomaly_id ORDER BY said_ms DESC, said_by DESC) AS place
  FROM feedback
  WHERE "date" BETWEEN ? AND ?
) AS said
WHERE place = 1
GROUP BY kind
ORDER BY share_useful, kind""",
        _SPAN,
    ),
    "quotes-around-incident": NamedQuery(
        "The ticks of an incident's ticker, from five minutes before it to five minutes after.",
        """\
SELECT ticks.ts, ticks.ticker, ticks.price, ticks.bid, ticks.ask, ticks.day_volume,
       ticks.ts BETWEEN incidents.opened_ms AND incidents.last_ms AS during
FROM incidents
JOIN ticks
  ON ticks.ticker = incidents.subject
 AND ticks.origin = incidents.origin
 AND ticks."date" = incidents."date"
 AND ticks.ts BETWEEN incidents.opened_ms - 300000 AND incidents.last_ms + 300000
WHERE incidents.id = ? AND incidents."date" = ?
ORDER BY ticks.ts""",
        (
            Parameter("incident", "its id, such as live-AAPL-1795530600000"),
            Parameter("day", "the UTC day on which it began", "today"),
        ),
    ),
}
"""By name; Athena has them under the same names."""
