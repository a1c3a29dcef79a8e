"""The law of paging: following `next` visits every anomaly that was there exactly once, newest first."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.anomalies import QUERIES_PER_PAGE, AnomalyQuery, AnomalyStore
from api.cursor import CursorKey, Progress, decode, encode
from api.problems import Problem
from consumers.contracts.anomaly import KINDS, SEVERITIES, Anomaly
from tests.api.client import JsonObject, Table, make_anomaly

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DAY_MS = 86_400_000
FIRST_MS = 1_795_000_000_000

# Few instants and tickers, so that several anomalies share a timestamp, and days are far apart.
keys = st.tuples(
    st.sampled_from(["AAPL", "MSFT", "KO"]),
    st.sampled_from([FIRST_MS + n * DAY_MS + m for n in (0, 1, 9) for m in (0, 1, 7000)]),
    st.sampled_from(KINDS[:3]),
)
severities = st.sampled_from(SEVERITIES)
stored = st.dictionaries(keys, severities, max_size=25)
queries = st.builds(
    AnomalyQuery,
    ticker=st.none() | st.sampled_from(["AAPL", "KO"]),
    date=st.none() | st.sampled_from(["2026-11-18", "2026-11-19"]),
    since_ms=st.none() | st.just(FIRST_MS + 1),
    until_ms=st.none() | st.just(FIRST_MS + DAY_MS + 7000),
    kinds=st.sampled_from([(), (KINDS[0],), KINDS[:2]]),
    severities=st.sampled_from([(), ("low",), ("high", "critical")]),
    source=st.sampled_from([None, "simulated", "replay", "live"]),
)


def _matches(query: AnomalyQuery, anomaly: Anomaly) -> bool:
    ts_ms = int(anomaly.id.split("-")[1])
    return (
        query.ticker in (None, anomaly.ticker)
        and query.date in (None, anomaly.date)
        and (query.since_ms is None or ts_ms >= query.since_ms)
        and (query.until_ms is None or ts_ms < query.until_ms)
        and (not query.kinds or anomaly.kind in query.kinds)
        and (not query.severities or anomaly.severity in query.severities)
        and query.source in (None, anomaly.source)
    )


def _all_pages(
    store: AnomalyStore, query: AnomalyQuery, limit: int, between: Callable[[], None]
) -> list[Anomaly]:
    visited: list[Anomaly] = []
    token = None
    for _ in range(200):
        page = store.page(query, limit, token)
        assert len(page.anomalies) <= limit
        visited += page.anomalies
        if page.next is None:
            return visited
        token = page.next
        between()
    raise AssertionError("paging does not end")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    before=stored,
    arriving=st.lists(st.tuples(keys, severities), max_size=4),
    query=queries,
    limit=st.integers(1, 7),
)
def test_paging_visits_each_exactly_once_while_new_ones_arrive(
    *,
    table: Table,
    before: dict[tuple[str, int, str], str],
    arriving: list[tuple[tuple[str, int, str], str]],
    query: AnomalyQuery,
    limit: int,
) -> None:
    sources = {"AAPL": "simulated", "MSFT": "replay", "KO": "simulated"}
    there = [make_anomaly(*key, severity=value, source=sources[key[0]]) for key, value in before.items()]
    late = [
        make_anomaly(*key, severity=value, source=sources[key[0]])
        for key, value in arriving
        if key not in before
    ]

    for anomaly in there:
        table.write(anomaly)
    waiting = list(late)
    try:
        visited = _all_pages(
            AnomalyStore(table.dynamodb, "stock-anomalies"),
            query,
            limit,
            lambda: table.write(waiting.pop()) if waiting else None,
        )
    finally:
        for anomaly in [*there, *late]:
            table.forget(anomaly)

    identities = [anomaly.id for anomaly in visited]
    assert len(identities) == len(set(identities))
    expected = {anomaly.id for anomaly in there if _matches(query, anomaly)}
    assert expected <= set(identities) <= expected | {a.id for a in late if _matches(query, a)}
    moments = [anomaly.timestamp for anomaly in visited if anomaly.id in expected]
    assert moments == sorted(moments, reverse=True)


def test_a_page_costs_a_bounded_number_of_queries_whatever_the_filter() -> None:
    class Endless:
        """A table in which nothing ever matches and every query has more to read."""

        queries = 0

        def query(self, **_request: object) -> JsonObject:
            self.queries += 1
            key = {name: {"S": "AAPL"} for name in ("severity", "ticker")}
            timestamp = f"2026-11-24T14:30:{60 - self.queries:02d}.000Z#gap"
            return {"Items": [], "LastEvaluatedKey": {**key, "timestamp": {"S": timestamp}}}

    client = Endless()
    store = AnomalyStore(cast("DynamoDBClient", client), "t")
    page = store.page(AnomalyQuery(kinds=("gap",)), 50, None)
    assert client.queries == QUERIES_PER_PAGE
    assert page.anomalies == []
    assert page.next is not None  # and the search goes on from there


def test_a_cursor_comes_back_as_it_was() -> None:
    progress = [
        Progress(None, False),
        Progress(None, True),
        Progress(CursorKey("2026-11-24T14:30:00.123Z#gap", "BRK.B"), False),
    ]
    assert decode(encode("q", progress), "q", 3) == progress


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "!!!!", encode("another", [Progress(None, False)]), encode("q", [Progress(None, False)] * 2)],
    ids=["empty", "short", "not base64", "another query's", "another number of streams"],
)
def test_a_cursor_of_something_else_is_rejected(cursor: str) -> None:
    with pytest.raises(Problem, match=r"cursor is .*; must be the `next` of an earlier response"):
        decode(cursor, "q", 1)


@given(text=st.text(max_size=80))
def test_no_text_breaks_the_cursor(text: str) -> None:
    with pytest.raises(Problem):
        decode(text, "q", 1)


def test_a_cursor_of_another_time_than_its_query_is_rejected() -> None:
    """DynamoDB rejects it: "The provided starting key is outside query boundaries based on provided conditions"."""
    query = AnomalyQuery(date="2026-11-18")
    store = AnomalyStore(cast("DynamoDBClient", None), "t")
    for day in ("2026-11-17", "2026-11-19"):
        token = encode(repr(query), [Progress(CursorKey(f"{day}T14:30:00.123Z#gap", "AAPL"), False)])
        with pytest.raises(Problem, match=r"cursor is .*; must be the `next` of an earlier response"):
            store.page(query, 50, token)


def test_a_cursor_with_a_key_that_no_table_holds_is_rejected() -> None:
    good = encode("q", [Progress(CursorKey("2026-11-24T14:30:00.123Z#gap", "AAPL"), False)])
    bad = encode("q", [Progress(CursorKey("2026-11-24#gap", "AAPL"), False)])
    assert decode(good, "q", 1)
    with pytest.raises(Problem):
        decode(bad, "q", 1)
    assert json.dumps(good)  # a cursor is plain text
