"""What the routes work with; passed in, so that tests pass in theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from api.anomalies import AnomalyStore
from consumers.charts import ChartStore


@dataclass(frozen=True, slots=True)
class Services:
    """Stores and clocks of the API; `watch_list` answers the tickers in order, `now_ms` epoch ms UTC."""

    anomalies: AnomalyStore
    charts: ChartStore
    watch_list: Callable[[], list[str]]
    source: str
    now_ms: Callable[[], int]
