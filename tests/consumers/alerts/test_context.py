"""What the market did at the moment of an incident: laws of the verdict, and what is read for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import isfinite
from statistics import median
from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import assume, given
from hypothesis import strategies as st

from api.alerts import incident_row
from consumers.alerts.channels.sns import sms
from consumers.alerts.context import BETA_RETURNS, OTHERS, Context, beta_of, context_of, sentence
from consumers.alerts.market import READ_TICKERS, MarketReader
from consumers.alerts.model import Incident
from consumers.alerts.rendering.texts import content
from consumers.alerts.settings import AlertSettings, parse
from consumers.contracts.charts import Bar, LastQuote
from consumers.stores.charts import MANY_WINDOWS, ChartTable, live_pk
from producers.watch_list import WatchListError
from tests.aws import aws_in_memory, create_table
from tests.consumers.alerts.bench import MINUTE_MS, T0_MS, Bench, opened, worse
from tests.last_quotes import pack_quotes

_MOVES = st.dictionaries(
    st.sampled_from([f"T{n}" for n in range(12)]),
    st.floats(-0.5, 0.5).map(lambda x: round(x, 6)),
    max_size=12,
)
_BETAS = st.one_of(st.none(), st.floats(-3, 3))
_SECTORS = st.sampled_from([{}, {"chips": ("T0", "T1", "T2")}])


@given(_MOVES, _BETAS, _SECTORS)
def test_there_is_a_verdict_or_a_reason_never_both(
    moves: dict[str, float], beta: float | None, sectors: dict[str, tuple[str, ...]]
) -> None:
    found = context_of("T0", moves, index="T9", beta=beta, sectors=sectors)
    assert (found.verdict is None) == bool(found.why)
    if "T0" not in moves:
        assert (found.verdict, found.move, found.residual) == (None, None, None)


@given(_MOVES, _BETAS, _SECTORS, st.sampled_from([-1, 2, -0.25]))
def test_the_verdict_knows_no_unit_and_no_direction(
    moves: dict[str, float], beta: float | None, sectors: dict[str, tuple[str, ...]], factor: float
) -> None:
    """Half of a move explains it, whatever its size: powers of two scale without rounding."""
    scaled = {ticker: move * factor for ticker, move in moves.items()}
    plain = context_of("T0", moves, index="T9", beta=beta, sectors=sectors)
    other = context_of("T0", scaled, index="T9", beta=beta, sectors=sectors)
    assert plain.verdict == other.verdict


@given(_MOVES, _BETAS)
def test_what_was_to_expect_and_the_residual_are_the_move(
    moves: dict[str, float], beta: float | None
) -> None:
    found = context_of("T0", moves, index="T9", beta=beta)
    others = [move for ticker, move in moves.items() if ticker not in {"T0", "T9"}]
    assert found.others == len(others)
    assert found.median == (median(others) if len(others) >= OTHERS else None)
    if found.residual is not None and found.move is not None:
        if found.beta is not None and found.index_move is not None:
            expected = found.beta * found.index_move
        else:
            assert found.median is not None
            expected = found.median
        assert found.residual == found.move - expected
        if found.verdict == "market":
            assert abs(found.residual) <= max(abs(found.move), abs(expected))


@given(_MOVES, st.floats(0.001, 0.5))
def test_a_ticker_alone_is_company_and_one_that_moves_as_all_do_is_market(
    moves: dict[str, float], size: float
) -> None:
    others = {ticker: 0.0 for ticker in moves if ticker != "T0"}
    assume(len(others) >= OTHERS)
    assert context_of("T0", {**others, "T0": size}).verdict == "company"
    assert context_of("T0", dict.fromkeys([*others, "T0"], size)).verdict == "market"
    sectors = {"own": ("T0", min(others))}
    shared = {**others, min(others): size, "T0": size}
    assume(len(others) > OTHERS)
    assert context_of("T0", shared, sectors=sectors).verdict == "sector-wide"


@given(
    st.floats(-4, 4).map(lambda x: round(x, 3)),
    st.lists(st.floats(-0.01, 0.01), min_size=BETA_RETURNS, max_size=60),
)
def test_beta_is_found_again_and_needs_enough_returns(beta: float, returns: list[float]) -> None:
    assume(max(returns) - min(returns) > 0.001)
    own, index = {0: 100.0}, {0: 400.0}
    for n, each in enumerate(returns):
        index[n + 1] = index[n] * (1 + each)
        own[n + 1] = own[n] * (1 + beta * each)
    assert beta_of(own, index) == pytest.approx(beta, abs=1e-6)
    few = {n: price for n, price in own.items() if n < BETA_RETURNS}
    assert beta_of(few, index) is None
    assert beta_of(own, dict.fromkeys(index, 400.0)) is None  # an index that stands still


@pytest.mark.parametrize("low", [1e-10, 1e-200, 1e-290, 5e-324])
def test_prices_of_next_to_nothing_have_no_beta_and_no_endless_move(low: float) -> None:
    leaping = {n: 1e15 if n % 2 else low for n in range(3 * BETA_RETURNS)}
    steady = {n: 100.0 + n for n in leaping}
    for own, index in ((leaping, steady), (steady, leaping), (leaping, leaping)):
        beta = beta_of(own, index)
        assert beta is None or isfinite(beta)
    found = context_of("A", {"A": 0.01, "SPY": 1e300}, index="SPY", beta=1e300)
    assert (found.beta, found.residual) == (None, None)


MINUTE = T0_MS // MINUTE_MS * MINUTE_MS
WATCHED = ["AAPL", "MSFT", "NVDA", "KO", "SPY"]


def _bar(minute_ms: int, close: float) -> Bar:
    return Bar(minute_ms, close, close, close, close, 1.0, 1, None, None)


@pytest.fixture(params=[1, 2_000])
def windows(request: pytest.FixtureRequest) -> int:
    """How many symbols a partition has: bars of many are elsewhere."""
    return int(request.param)


@pytest.fixture
def charts(windows: int) -> Iterator[ChartTable]:
    """SPY rises 0.1 % and AAPL 0.2 % in every other minute; then SPY stands still and AAPL jumps 3 %."""
    with aws_in_memory():
        create_table("stock-charts")
        client = boto3.client("dynamodb")
        table = ChartTable(client, "stock-charts")
        bars = []
        for n in range(40):
            up = (n + 1) // 2
            closes = {
                "SPY": 500 * 1.001**up,
                "AAPL": 200 * 1.002**up,
                "MSFT": 400.0,
                "NVDA": 100.0,
                "KO": 60.0,
            }
            bars += [
                ("live", ticker, _bar(MINUTE - (45 - n) * MINUTE_MS, close))
                for ticker, close in closes.items()
            ]
        table.put_bars(bars, {}, T0_MS, windows)
        quotes = [
            LastQuote(
                ticker,
                T0_MS,
                bar.close * (1.03 if ticker == "AAPL" else 1.001),
                None,
                None,
                None,
                1.0,
                None,
                bar,
            )
            for _, ticker, bar in bars[-5:]
        ]
        quotes += [replace(quotes[0], symbol=f"X{n}") for n in range(windows)]
        item: Any = {"pk": {"S": live_pk("live")}, "sk": {"S": "0"}, "columns": {"B": pack_quotes(quotes)}}
        client.put_item(TableName="stock-charts", Item=item)
        yield table


def _reader(charts: ChartTable, watched: list[str]) -> MarketReader:
    return MarketReader(charts, lambda: watched, lambda: T0_MS + 300)


def test_the_index_its_beta_and_the_median_are_read_and_said_everywhere(charts: ChartTable) -> None:
    bench = Bench(context=_reader(charts, WATCHED).context)
    event = opened(severity="high", value=0.03, unit="return")
    bench.take(event)
    found = bench.incident(event).context
    assert found is not None
    assert (found.verdict, found.index, found.others) == ("company", "SPY", 3)
    assert found.move == pytest.approx(0.03, abs=0.003)
    assert found.beta == pytest.approx(2.0, abs=0.01)
    assert found.residual == pytest.approx((found.move or 0) - (found.beta or 0) * (found.index_move or 0))
    (message,) = bench.sent()
    said = content(message, "", "UTC")
    line = sentence(found, "AAPL")
    assert line in said.lines
    assert line == incident_row(bench.incident(event), T0_MS)["context"]["sentence"]
    assert line.startswith("Not the market: in 5 min AAPL +3.")
    assert said.title.endswith("), not the market")
    assert "), not the market, " in sms(said)
    assert ", residual " in line


def test_the_tick_that_the_charts_do_not_have_yet_counts(charts: ChartTable) -> None:
    """Events are sent before the quotes are written."""
    event = opened(T0_MS + 1_000, "high", value=-0.10, unit="return")
    found = _reader(charts, WATCHED).context(event, _incident(), AlertSettings())
    assert found.move == pytest.approx(1.03 * 0.9 - 1, abs=0.003)


def _incident(subject: str = "AAPL") -> Incident:
    return Incident("live-AAPL-1", "live", subject, T0_MS, T0_MS)


def test_a_market_wide_incident_has_the_median_of_all(charts: ChartTable) -> None:
    found = _reader(charts, WATCHED).context(opened(), _incident("market"), AlertSettings())
    assert (found.verdict, found.others, found.move) == ("market", 4, None)
    assert sentence(found, "market").startswith(
        "As the market: in 5 min all 4 tickers +0.10% (median), SPY +0.10%"
    )


def test_without_an_index_the_median_decides_and_sectors_are_of_the_settings(charts: ChartTable) -> None:
    watched = ["AAPL", "MSFT", "NVDA", "KO"]
    found = _reader(charts, watched).context(opened(), _incident(), AlertSettings())
    assert (found.verdict, found.index, found.beta, found.others) == ("company", "", None, 3)
    assert found.residual == pytest.approx((found.move or 0) - 0.001)
    settings = parse('{"context": {"sectors": {"big": ["aapl", "ko"]}, "index": "spx"}}')
    found = _reader(charts, watched).context(opened(), _incident(), settings)
    assert found.sector == "big"
    assert found.sector_move == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("kind", "subject", "watched", "why"),
    [
        ("gap", "AAPL", WATCHED, "its quotes are in doubt"),
        ("bad_tick", "AAPL", WATCHED, "its quotes are in doubt"),
        ("gap", "feed", WATCHED, "the feed stalls"),
        (
            "price_spike",
            "AAPL",
            ["AAPL", "KO"],
            "prices of 1 other ticker are known, a median needs 3",
        ),
        ("price_spike", "NEW", WATCHED, "the price of NEW at that time or 5 minutes earlier is unknown"),
    ],
)
def test_what_is_not_known_says_why(
    charts: ChartTable, kind: str, subject: str, watched: list[str], why: str
) -> None:
    event = opened(ticker="AAPL" if subject == "feed" else subject, kind=kind)
    found = _reader(charts, watched).context(event, _incident(subject), AlertSettings())
    assert found.verdict is None
    assert found.why.startswith(why)
    assert found.why in sentence(found, subject)


class _Counted:
    """A client that counts its requests, and fails after `until` of them."""

    def __init__(self, client: Any, until: int = 99) -> None:
        self._client, self.calls, self._until = client, list[Any](), until

    def batch_get_item(self, **request: object) -> object:
        self.calls.append(request)
        if len(self.calls) > self._until:
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "BatchGetItem")
        return self._client.batch_get_item(**request)

    def get_paginator(self, name: str) -> object:
        self.calls.append(name)
        return self._client.get_paginator(name)


@pytest.mark.usefixtures("charts")
def test_reads_are_few_and_an_outage_costs_the_context_only(windows: int) -> None:
    watched = ["SPY", *[f"T{n}" for n in range(5_000)]]
    client = _Counted(boto3.client("dynamodb"))
    reader = _reader(ChartTable(cast("Any", client), "stock-charts"), watched)
    for n in range(10):
        reader.context(opened(T0_MS + n, ticker="AAPL"), _incident(), AlertSettings())
    many = windows > MANY_WINDOWS
    # The last quotes, the bars of a minute, and those of AAPL and of SPY.
    assert len(client.calls) <= (11 if many else 5)
    requests = [call for call in client.calls if not isinstance(call, str)]
    wanted = requests[0]["RequestItems"]["stock-charts"]
    assert len(requests) <= (6 if many else 2)
    assert len(wanted["Keys"]) <= 100
    assert len(wanted["ExpressionAttributeNames"]) <= READ_TICKERS + 2
    down = _Counted(boto3.client("dynamodb"), until=0)
    bench = Bench(context=_reader(ChartTable(cast("Any", down), "stock-charts"), WATCHED).context)
    events = [opened(T0_MS + n, "critical", ticker=f"T{n}") for n in range(10)]
    assert bench.take(*events) == ["opened"] * 10
    assert bench.incident(events[9]).context == Context(why="the bars cannot be read now")
    assert len(down.calls) == 2  # the last quotes, then the bars: nine alerts do not wait for them again


def test_a_watch_list_that_cannot_be_read_and_slow_reads_cost_no_alert(charts: ChartTable) -> None:
    def fail() -> list[str]:
        raise WatchListError("no list")

    reader = MarketReader(charts, fail, lambda: T0_MS)
    assert reader.context(opened(), _incident(), AlertSettings()).why == "the bars cannot be read now"
    clock = iter(range(T0_MS, T0_MS + 10_000, 450))
    slow = MarketReader(charts, lambda: WATCHED, lambda: next(clock))
    found = slow.context(opened(), _incident(), AlertSettings())
    assert (found.verdict, found.beta) == ("company", None)
    assert slow.context(opened(), _incident(), AlertSettings()).why == "the bars cannot be read now"


def test_an_escalation_is_of_its_own_moment(bench: Bench) -> None:
    moments: list[int] = []

    def context(event: Any, _incident: Incident, _settings: AlertSettings) -> Context:
        moments.append(event.at_ms)
        return Context("company", move=len(moments) / 100)

    bench = replace(bench, context=context)
    event = opened(severity="high")
    bench.take(event)
    bench.take(opened(T0_MS + 500, "low", kind="volume_burst"))  # joins, is no news
    bench.take(worse(event, T0_MS + 2_000, "critical"))
    assert moments == [T0_MS, T0_MS + 2_000]
    assert [m.incident.context.move for m in bench.sent() if m.incident and m.incident.context] == [
        0.01,
        0.02,
    ]
