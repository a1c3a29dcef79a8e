"""The facts, as an account without the monitor and one that hides things give them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from consumers.contracts.counts import TickCounts
from consumers.stores.charts import ChartTable
from consumers.stores.windows import Ledger
from stream_infra import names
from stream_infra.operations import doctor
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.gather import Gatherer
from tests.aws import aws_in_memory

NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def empty_account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(names, "STACKS", ())  # moto's CloudFormation needs packages that nothing else does
    with aws_in_memory():
        yield


def test_of_an_account_without_the_monitor_everything_is_missing_and_nothing_crashes() -> None:
    found = Gatherer(Endpoints(None, None, None, None), NOW).facts(thorough=True)
    assert set(found.functions.values()) | set(found.tables.values()) == {None}
    assert found.unseen == {}
    assert {item.cause for item in doctor.causes.find(found)} >= {"missing-resource"}


def test_what_the_examiner_may_not_see_is_a_warning_and_not_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(_gatherer: Gatherer, _name: str) -> str:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetParameter")

    monkeypatch.setattr(Gatherer, "_parameter", deny)
    found = Gatherer(Endpoints(None, None, None, None), NOW).facts(thorough=True)
    parameters = {names.TICKER_PARAMETER, names.THRESHOLD_PARAMETER}
    assert set(found.unseen) == parameters
    assert found.parameters == {}
    warnings = [item for item in doctor.causes.find(found) if item.cause == "could-not-look"]
    assert {(warning.part, warning.severity) for warning in warnings} == {(n, "warning") for n in parameters}


def test_what_was_deployed_by_a_clock_that_was_ahead_is_not_new() -> None:
    gatherer = Gatherer(Endpoints(None, None, None, None), NOW)
    ages = [timedelta(hours=-1), timedelta(seconds=-1), timedelta(minutes=1), timedelta(minutes=3)]
    assert [gatherer._is_new(NOW - age) for age in ages] == [False, True, True, False]


def test_the_ticks_of_a_proof_are_none_of_a_producer_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """After `stock-monitor verify`, `status` asked whether two producers send the same symbols."""
    totals = {"simulated": TickCounts(5, 5), "verify-20261124T0010-1f2e": TickCounts(3, 2, out_of_order=1)}
    monkeypatch.setattr(Ledger, "totals", lambda _: totals)
    monkeypatch.setattr(Ledger, "arrivals", lambda _: {})
    monkeypatch.setattr(ChartTable, "last_quotes", lambda *_: [])
    monkeypatch.setattr(Gatherer, "_watched", lambda _: ())
    windows = Gatherer(Endpoints(None, None, None, None), NOW)._windows({})
    assert windows.counts == TickCounts(5, 5)
