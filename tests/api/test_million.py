"""What responses cost in requests of the stores at many stored anomalies and 500 tickers; `make bench` times them.

ANOMALIES sets how many there are (docs/api.md has the figures of a million).
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from api.services import Services
from tests.api.client import Api
from tests.api.memory import COUNT, ROUTES, TICKERS, Charts, Memory, anomaly_store, chart_store


@pytest.fixture(scope="module")
def memory() -> Memory:
    return Memory()


@pytest.mark.parametrize(("path", "query", "most_requests"), ROUTES, ids=str)
def test_a_response_takes_few_requests(
    *, services: Services, memory: Memory, path: str, query: dict[str, str], most_requests: int
) -> None:
    charts = Charts()
    stores = replace(
        services,
        anomalies=anomaly_store(memory),
        charts=chart_store(charts),
        watch_list=lambda: TICKERS,
    )
    memory.queries = 0
    assert Api(stores).get(path, **query).status == 200
    assert memory.queries + charts.queries <= most_requests


def test_paging_through_all_visits_each_once_while_new_ones_arrive(
    services: Services, memory: Memory
) -> None:
    api = Api(replace(services, anomalies=anomaly_store(memory)))
    query = {"limit": "200"}
    visited: set[str] = set()
    count, arrived, last = 0, set[str](), "~"
    while True:
        page = api.get("/anomalies", **query).json
        stamps = [anomaly["timestamp"] for anomaly in page["anomalies"]]
        assert stamps == sorted(stamps, reverse=True)
        assert not stamps or stamps[0] < last
        last = stamps[-1] if stamps else last
        visited.update(anomaly["id"] for anomaly in page["anomalies"])
        count += page["count"]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
        if len(arrived) < 200:
            arrived.add(memory.arrive(COUNT + len(arrived)))
    assert count == len(visited) == COUNT
    assert not visited & arrived
