"""What the market did at each moment of recordings, for the context of alerts that they would have led to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from consumers.alerts import incidents
from consumers.alerts.context import Context
from consumers.alerts.event import AlertEvent
from consumers.alerts.market import BETA_MINUTES, MarketReader
from consumers.alerts.model import FEED, MARKET, MINUTE_MS, Incident
from consumers.alerts.notifier import no_context
from consumers.alerts.settings import AlertSettings
from consumers.contracts.charts import Bar
from consumers.detectors.engine.engine import Ticks

KEPT_MINUTES = BETA_MINUTES + 15
_MINUTES_OF_AN_AGE = 1 << 32


@dataclass
class RecordedCharts:
    """Closes of the last minutes, in memory that does not grow with the recordings; read as `stock-charts` is.

    Attributes
    ----------
    ts
        When each ticker was last quoted, epoch ms UTC.
    """

    ts: dict[str, int] = field(default_factory=dict)
    _closes: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, tickers: Sequence[str], ticks: Ticks, rows: slice) -> None:
        """Take rows of ticks in; prices that are none are left out."""
        is_price = np.isfinite(ticks.price[rows]) & (ticks.price[rows] > 0)
        ts, price = ticks.ts[rows][is_price], ticks.price[rows][is_price]
        keys = ticks.slot[rows][is_price] * _MINUTES_OF_AN_AGE + ts // MINUTE_MS
        _, last = np.unique(keys[::-1], return_index=True)
        for row in (len(keys) - 1 - last).tolist():
            ticker, minute_ms = (
                tickers[keys[row] // _MINUTES_OF_AN_AGE],
                int(ts[row]) // MINUTE_MS * MINUTE_MS,
            )
            closes = self._closes[ticker]
            closes[minute_ms] = float(price[row])
            self.ts[ticker] = int(ts[row])
            while next(iter(closes)) < minute_ms - KEPT_MINUTES * MINUTE_MS:
                del closes[next(iter(closes))]

    def last_quotes(self, _origin: str) -> RecordedCharts:
        """Return the newest quote of every ticker."""
        return self

    def reference(self, ticker: str) -> tuple[float, float | None, float]:
        """Return the newest price of a ticker; no more is known."""
        price = self._closes[ticker][self.ts[ticker] // MINUTE_MS * MINUTE_MS]
        return price, None, price

    def closes(
        self, _origin: str, tickers: Sequence[str], minutes: Iterable[int], _windows: int
    ) -> dict[int, dict[str, float]]:
        """Return the closes of minutes, by minute and ticker."""
        return {
            minute: {of: self._closes[of][minute] for of in tickers if minute in self._closes[of]}
            for minute in minutes
        }

    def closed_bars(
        self, _origin: str, ticker: str, since_ms: int, until_ms: int, _windows: int
    ) -> Iterator[Bar]:
        """Yield the minutes that start in since_ms <= start < until_ms."""
        for minute, close in self._closes[ticker].items():
            if since_ms <= minute < until_ms:
                yield Bar(minute, close, close, close, close, None, 1, None, None)


class RecordedMarket:
    """Says what the market did at the moment of each event, once it was read."""

    def __init__(self, settings: AlertSettings) -> None:
        self._settings = settings
        self._charts = RecordedCharts()
        self._tickers: Sequence[str] = ()
        self._now_ms = 0
        self._reader = MarketReader(self._charts, lambda: self._tickers, lambda: self._now_ms)
        self._found: dict[tuple[str, str], dict[str, Context]] = {}

    def add(self, tickers: Sequence[str], ticks: Ticks, rows: slice) -> None:
        """Take rows of ticks in."""
        self._tickers = tickers
        self._charts.add(tickers, ticks, rows)

    def read(self, event: AlertEvent) -> None:
        """Remember what the market did up to now, the moment of an event, as it alone and all together see it."""
        self._now_ms = event.at_ms
        ticker = incidents.opened(event, event.anomaly.ticker)
        self._found[event.anomaly.id, event.key] = {
            subject: self._reader.context(event, replace(ticker, subject=subject), self._settings)
            for subject in (event.anomaly.ticker, MARKET, FEED)
        }

    def context(self, event: AlertEvent, incident: Incident, settings: AlertSettings) -> Context:
        """See `decision.ContextOf`."""
        found = self._found.get((event.anomaly.id, event.key), {})
        return found.get(incident.subject) or no_context(event, incident, settings)
