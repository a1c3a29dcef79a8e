"""Reads what the market did around a moment from `stock-charts`: few reads, of bounded size, or why there are none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from consumers.alerts.context import MINUTES, Context, beta_of, context_of
from consumers.alerts.event import AlertEvent
from consumers.alerts.model import FEED, MINUTE_MS, Incident
from consumers.alerts.settings import AlertSettings
from consumers.contracts.errors import IOFailedError
from consumers.contracts.kinds import concern_of
from consumers.stores.charts import MANY_WINDOWS
from producers.watch_list import WatchListError

if TYPE_CHECKING:
    from consumers.contracts.charts import Bar
    from consumers.stores.charts import ChartTable

READ_TICKERS = 200
"""Of the watch list: the median of more says the same."""
BETA_MINUTES = 120
PATIENCE_MS = 400
"""After so long no further read is begun: an alert does not wait for its context."""
DOWN_MS = 10_000
"""After reads that failed or were slow none is made for so long: a batch of alerts waits for one of them at most."""
KEPT_MS = 1_000
AHEAD_MS = 10_000
"""How much newer than the moment a last quote may be."""
KEPT_BETAS = 1_000
AFTER_MINUTES = (5, 30)
"""When it is looked what the price did since an incident."""
_SUDDEN = frozenset({"price_spike", "level_shift"})
"""Kinds whose value is the return of the last ticks."""
_UNREADABLE = "the bars cannot be read now"


class Quotes(Protocol):
    """The newest quotes: `stores.last_quotes.LastQuotes`."""

    @property
    def ts(self) -> Mapping[str, int]:
        """When each ticker was quoted, epoch ms UTC."""

    def reference(self, symbol: str, /) -> tuple[float, float | None, float]:
        """Return the newest price of a ticker first."""


class Charts(Protocol):
    """What a context is read from: `stores.charts.ChartTable`."""

    def last_quotes(self, origin: str, /) -> Quotes:
        """Return the newest quote of every ticker."""

    def closes(
        self, origin: str, symbols: Sequence[str], minutes: Iterable[int], windows: int, /
    ) -> dict[int, dict[str, float]]:
        """Return the closes of minutes, by minute and ticker."""

    def closed_bars(
        self, origin: str, symbol: str, since_ms: int, until_ms: int, windows: int, /
    ) -> Iterator[Bar]:
        """Yield the minutes that start in since_ms <= start < until_ms."""


class MarketReader:
    """Says what the market did at the moment of an event.

    Parameters
    ----------
    tickers
        Returns the watch list.
    clock
        Returns the time now, epoch ms UTC.
    """

    def __init__(
        self, charts: Charts, tickers: Callable[[], Sequence[str]], clock: Callable[[], int]
    ) -> None:
        self._charts = charts
        self._tickers = tickers
        self._clock = clock
        self._moves: dict[tuple[str, int, frozenset[str]], tuple[int, dict[str, float], dict[str, int]]] = {}
        self._windows = 0
        self._down_until_ms = 0
        self._betas: dict[tuple[str, str, str, int], float | None] = {}

    def context(self, event: AlertEvent, incident: Incident, settings: AlertSettings) -> Context:
        """Return the context of an incident at the moment of its event; never raises what a store raises."""
        if incident.subject == FEED:
            return Context(why="the feed stalls, prices are old")
        if concern_of(event.anomaly.kind) != "market":
            return Context(why="its quotes are in doubt and do not show how the price moved")
        began_ms = self._clock()
        if began_ms < self._down_until_ms:
            return Context(why=_UNREADABLE)
        try:
            found = self._context(event, incident, settings)
        except (ClientError, BotoCoreError, IOFailedError, WatchListError):
            self._down_until_ms = self._clock() + DOWN_MS
            return Context(why=_UNREADABLE)
        if self._clock() >= began_ms + PATIENCE_MS:
            self._down_until_ms = self._clock() + DOWN_MS
        return found

    def _context(self, event: AlertEvent, incident: Incident, settings: AlertSettings) -> Context:
        began_ms = self._clock()
        ticker, watched = event.anomaly.ticker, self._tickers()
        index = next((one for one in settings.context.index if one in watched), "")
        sectors = settings.context.sectors
        peers = [one for of in sectors.values() if ticker in of for one in of]
        wanted = frozenset([*watched[:READ_TICKERS], *peers[:READ_TICKERS], *filter(None, (ticker, index))])
        moves, read_to = self._read_moves(event, wanted)
        if incident.is_wide:
            return context_of(None, moves, index=index)
        if ticker in moves and _is_ahead(event, read_to.get(ticker, 0)):
            ahead = (1 + moves[ticker]) * (1 + event.anomaly.value) - 1
            moves = {**moves, ticker: ahead} if isfinite(ahead) else moves
        beta = None
        if index and index != ticker and self._clock() < began_ms + PATIENCE_MS:
            beta = self._beta(event, ticker, index)
        return context_of(ticker, moves, index=index, beta=beta, sectors=sectors)

    def _read_moves(
        self, event: AlertEvent, wanted: frozenset[str]
    ) -> tuple[dict[str, float], dict[str, int]]:
        """Return the move of each ticker, and when (epoch ms UTC) its price is of."""
        now_ms, until_ms = self._clock(), _minute(event.at_ms)
        key = event.origin, until_ms, wanted
        kept = self._moves.get(key)
        if kept is not None and 0 <= now_ms - kept[0] < KEPT_MS:
            return kept[1], kept[2]
        since_ms = until_ms - (MINUTES + 1) * MINUTE_MS
        minutes = [since_ms, *([until_ms] if now_ms >= until_ms + MINUTE_MS else [])]
        quotes = self._charts.last_quotes(event.origin)
        self._windows = len(quotes.ts)
        closes = self._charts.closes(event.origin, sorted(wanted), minutes, self._windows)
        now = {ticker: (price, until_ms + MINUTE_MS) for ticker, price in closes.get(until_ms, {}).items()}
        for ticker in wanted:
            if until_ms - MINUTE_MS <= quotes.ts.get(ticker, 0) <= event.at_ms + AHEAD_MS:
                now[ticker] = quotes.reference(ticker)[0], quotes.ts[ticker]
        then = closes.get(since_ms, {})
        moves = {of: now[of][0] / then[of] - 1 for of in sorted(now) if then.get(of, 0) > 0}
        moves = {of: move for of, move in moves.items() if isfinite(move)}
        read_to = {of: ts for of, (_, ts) in now.items()}
        self._moves = {key: (now_ms, moves, read_to)}
        return moves, read_to

    def _beta(self, event: AlertEvent, ticker: str, index: str) -> float | None:
        until_ms = _minute(event.at_ms) - MINUTES * MINUTE_MS
        key = event.origin, ticker, index, until_ms
        if key not in self._betas:
            if len(self._betas) >= KEPT_BETAS:
                self._betas.clear()
            since_ms = until_ms - BETA_MINUTES * MINUTE_MS
            own, of_index = (
                {
                    bar.minute_ms // MINUTE_MS: bar.close
                    for bar in self._charts.closed_bars(
                        event.origin, symbol, since_ms, until_ms, self._windows
                    )
                    if bar.close > 0
                }
                for symbol in (ticker, index)
            )
            self._betas[key] = beta_of(own, of_index)
        return self._betas[key]


def moves_after(charts: ChartTable, incident: Incident) -> list[tuple[int, float | None]]:
    """Return what the price did by `AFTER_MINUTES` after the minute in which the worst anomaly began.

    None for a minute that is not over, or in which nothing was quoted. One read of six items at most; it raises
    what the table raises.
    """
    if incident.is_wide or not incident.samples:
        return []
    worst = incident.samples[0]
    began_ms = _minute(worst.began_ms)
    minutes = {after: began_ms + after * MINUTE_MS for after in AFTER_MINUTES}
    closes = charts.closes(
        incident.origin, [worst.ticker], [began_ms, *minutes.values()], MANY_WINDOWS + 1
    )  # six items are as good as three
    prices = {minute: of.get(worst.ticker, 0.0) for minute, of in closes.items()}
    then = prices.get(began_ms, 0.0)
    return [
        (after, prices[minute] / then - 1 if then > 0 and prices.get(minute, 0.0) > 0 else None)
        for after, minute in minutes.items()
    ]


def _minute(ms: int) -> int:
    return ms // MINUTE_MS * MINUTE_MS


def _is_ahead(event: AlertEvent, read_to_ms: int) -> bool:
    """Return whether the charts do not have the very tick yet that the event is about; it is sent before them."""
    return event.anomaly.kind in _SUDDEN and read_to_ms < event.anomaly.began_ms
