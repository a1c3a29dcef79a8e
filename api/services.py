"""What the routes work with; passed in, so that tests pass in theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from api.anomalies import AnomalyStore
from api.depth import Depth
from api.watch_list import WatchListEditor
from consumers.alerts.parameters import SettingsEditor
from consumers.alerts.store import AlertStore
from consumers.contracts.events import Event
from consumers.stores.charts import ChartTable
from consumers.stores.parameters import ThresholdEditor
from consumers.stores.rules import RuleParameter
from producers.archive import ArchiveReader
from producers.markets import Session, closed_hours, market_of
from producers.markets.listings import traded


@dataclass(frozen=True, slots=True)
class Services:
    """Stores and clocks of the API; `watch_list` returns the tickers in order, `now_ms` epoch ms UTC.

    `editor` changes the watch list, `send_events` puts events on the bus. `session` is when quotes are expected,
    `market_of` each ticker's market. `feed_problem` returns why the last poll of a source failed, empty if it did not.
    `writes_open` lets writes pass without a sign-in: for 127.0.0.1 only.
    """

    anomalies: AnomalyStore
    alerts: AlertStore
    charts: ChartTable
    archive: ArchiveReader
    rules: RuleParameter
    thresholds: ThresholdEditor
    depth: Depth
    watch_list: Callable[..., list[str]]
    editor: WatchListEditor
    alert_settings: SettingsEditor
    send_events: Callable[[Sequence[Event]], None]
    source: str
    now_ms: Callable[[], int]
    session: Session = "always"
    market_of: Callable[[str], str] = market_of
    feed_problem: Callable[[str], str] = lambda _source: ""
    writes_open: bool = False

    def traded(self, tickers: Sequence[str]) -> frozenset[str]:
        """Return the tickers of which quotes are expected now."""
        at = datetime.fromtimestamp(self.now_ms() / 1000, UTC)
        return frozenset(traded(tickers, self.session, at, self.market_of))

    def closed_hours(self, ticker: str) -> tuple[datetime, datetime] | None:
        """Return since when a ticker's market is closed, and when it opens; None while quotes are expected."""
        at = datetime.fromtimestamp(self.now_ms() / 1000, UTC)
        return closed_hours(self.session, at, self.market_of(ticker))
