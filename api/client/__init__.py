"""A client of the API for programs: typed, sync and async, over httpx.

::

    from api.client import Monitor

    with Monitor("http://127.0.0.1:8080/api") as monitor:
        if not (safety := monitor.safe_to_trade("AAPL")):
            print(safety.reasons[0].detail)
        for anomaly in monitor.anomalies(severity="high,critical", limit=100):
            print(anomaly.explanation)
        for incident in monitor.incidents.follow():
            print(incident.state, incident.subject, incident.severity)

Requests that fail for the moment (no connection, 429, 502, 503, 504) are sent again until `retry_seconds` are over,
after the time that the server names in ``Retry-After``. Every request of the API may be sent twice without harm.
What is requested, and what is made of it, is written once, as generators that yield requests; `Monitor` and
`AsyncMonitor` differ only in how they wait.
"""

from __future__ import annotations

from api.client.errors import ApiError, ApiUnavailableError

try:
    import httpx  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "api.client needs httpx: pip install 'stock-market-anomaly-monitor[client]'", name="httpx"
    ) from error

from api.client.monitor import Monitor
from api.client.monitor_async import AsyncMonitor
from api.incident_models import IncidentModel
from api.models import AnomalyModel, BarModel, Health, Safety, TickerList

__all__ = [
    "AnomalyModel",
    "ApiError",
    "ApiUnavailableError",
    "AsyncMonitor",
    "BarModel",
    "Health",
    "IncidentModel",
    "Monitor",
    "Safety",
    "TickerList",
]
