"""What the routes work with; passed in, so that tests pass in theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from api.anomalies import AnomalyStore
from api.depth import Depth
from consumers.alerts.store import AlertStore
from consumers.charts import ChartStore


@dataclass(frozen=True, slots=True)
class Services:
    """Stores and clocks of the API; `watch_list` answers the tickers in order, `now_ms` epoch ms UTC.

    `writes_open` lets writes pass without a sign-in: for 127.0.0.1 only.
    """

    anomalies: AnomalyStore
    alerts: AlertStore
    charts: ChartStore
    depth: Depth
    watch_list: Callable[[], list[str]]
    source: str
    now_ms: Callable[[], int]
    writes_open: bool = False
