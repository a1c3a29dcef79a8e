"""What the routes work with; passed in, so that tests pass in theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from api.anomalies import AnomalyStore
from api.depth import Depth
from consumers.alerts.store import AlertStore
from consumers.stores.charts import ChartTable
from producers.markets import Session, is_open


@dataclass(frozen=True, slots=True)
class Services:
    """Stores and clocks of the API; `watch_list` returns the tickers in order, `now_ms` epoch ms UTC.

    `session` is when quotes are expected. `writes_open` lets writes pass without a sign-in: for 127.0.0.1 only.
    """

    anomalies: AnomalyStore
    alerts: AlertStore
    charts: ChartTable
    depth: Depth
    watch_list: Callable[[], list[str]]
    source: str
    now_ms: Callable[[], int]
    session: Session = "always"
    writes_open: bool = False

    def is_market_open(self) -> bool:
        """Return whether quotes are expected now."""
        return is_open(self.session, datetime.fromtimestamp(self.now_ms() / 1000, UTC))
