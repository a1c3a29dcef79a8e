"""A ticker as its vendor writes it: from the watch list through stream and archive to the API and a mail's link.

The parts are real, their AWS is in memory. tests/browser/test_ticker_forms.py opens the links.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

import pytest
from aws_lambda_powertools import Logger, Metrics
from pydantic import BeforeValidator, TypeAdapter

from api.client import Monitor
from api.parameters import _written
from api.watch_list import WatchedTickers
from consumers.alerts.event import AlertEvent, parse
from consumers.alerts.rendering.texts import content
from consumers.alerts.settings import AlertSettings
from consumers.alerts.settings import parse as parse_settings
from consumers.contracts.anomaly import AnomalyKey
from consumers.detector.settings import DetectorSettings
from consumers.detector.wiring import Detector
from consumers.stream.rules import PriceRule, check
from consumers.stream.thresholds import Threshold
from producers.errors import MonitorError
from producers.markets import FX
from producers.markets.listings import Listings
from producers.recorded_values import symbol_of
from producers.scan.scan import Scan
from producers.settings import ScannerSettings, ScanRequest
from producers.source import MinuteBar
from producers.watch_list import WatchListReader
from producers.watch_list import parse as parse_list
from stream_infra.monitor_toml import read_context
from stream_infra.operations.watching import tickers_of
from tests.api.client import PARAMETER, Api, create_services, create_tables
from tests.api.served import served
from tests.consumers.alerts.bench import URL, Bench
from tests.producers.conftest import aws as aws_fixture
from tests.producers.conftest import clock as clock_fixture
from tests.producers.conftest import kinesis as kinesis_fixture
from tests.producers.fakes import Aws, Bus, Clock, MakeParts, StrictKinesis
from tests.producers.scan.test_scan import parts as parts_fixture
from tests.producers.scan.test_warm_up import Bars, Calm, deliver, warm_up
from tests.producers.test_watch_list import FORMS

aws, clock, kinesis, parts = aws_fixture, clock_fixture, kinesis_fixture, parts_fixture
SETTINGS = ScannerSettings(
    stream_name="stock-quotes",
    scan_table="stock-windows",
    data_bucket="stock-scan-data-123456789012",
    source="alpaca",
    session="always",
)


class FewBars(Bars):
    """A history of a quarter of an hour: as many as a spike needs, few to be written."""

    def minute_bars(self, symbol: str, since_ms: int, until_ms: int) -> Iterator[MinuteBar]:
        return super().minute_bars(symbol, max(since_ms, until_ms - 900_000), until_ms)


@pytest.fixture
def detector(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Detector:
    create_tables(aws.dynamodb)
    aws.ssm.put_parameter(Name="/stock-tracker/threshold", Value="2.5", Type="String")
    settings = DetectorSettings(
        anomalies_table="stock-anomalies",
        windows_table=aws.table,
        charts_table="stock-charts",
        data_bucket=aws.bucket,
        bus_name="stock-market",
    )
    made = Detector(settings, Logger(service="test"), Metrics(namespace="Test", service="test"))
    monkeypatch.setattr(made._bus, "_client", aws.bus)
    return made


def events_of(bus: Bus, now_ms: int) -> Iterator[AlertEvent]:
    """Return what was put on the bus, as the notifier reads it from its queue."""
    for entry in bus.sent:
        event = parse(json.dumps({"detail-type": entry["DetailType"], "detail": entry["Detail"]}), now_ms)
        assert isinstance(event, AlertEvent)
        yield event


def test_every_form_of_a_ticker_comes_round_whole(
    parts: MakeParts, kinesis: StrictKinesis, clock: Clock, aws: Aws, detector: Detector
) -> None:
    # Watch list: written by the API, read by the scanner.
    services = replace(create_services(aws.dynamodb), source="alpaca", now_ms=clock)
    reply = Api(services).send("PUT", "/tickers", {"tickers": [form.lower() for form in FORMS]})
    assert (reply.status, reply.json["tickers"]) == (200, list(FORMS))

    # Stream, and S3: a calm market in which every ticker jumps.
    jumps = dict.fromkeys(FORMS, clock() + 40_000)
    scan_list = WatchListReader(aws.ssm, aws.s3, PARAMETER, clock)
    usual = replace(parts(), watch_list=scan_list, market_of=Listings("", "XNYS"))
    made = replace(usual, source=Calm(jumps, factor=1.3), warm_up=warm_up(FewBars(), clock))
    report = Scan(made, SETTINGS).run(ScanRequest(), clock() + 55_000).as_dict()
    assert (report["missing"], report["rejected"], report["problems"]) == ([], [], [])
    polled = {symbol for batch in kinesis.batches() for symbol in batch.symbol}
    assert polled == set(FORMS)
    keys = aws.keys("raw-data/")
    assert len(keys) == len(FORMS)
    archived = {
        str(json.loads(line)["symbol"])
        for key in keys
        for line in gzip.decompress(aws.body(key)).splitlines()
    }
    assert archived == set(FORMS)

    # Detector, tables, and the API by its client over HTTP.
    deliver(detector, kinesis, clock)
    services = replace(services, watch_list=WatchedTickers(scan_list), now_ms=lambda: clock() + 1000)
    with served(services) as (address, _), closing(Monitor(address)) as monitor:
        found = {form: list(monitor.anomalies(ticker=form)) for form in FORMS}
        assert all(found.values())
        for form, of in found.items():
            assert {one.ticker for one in of} == {form}
            assert monitor.anomalies.get(form, of[0].id) == of[0]
            assert len(monitor.bars(form)) >= 10
            assert monitor.safe_to_trade(form).ticker == form
        listed = {row.ticker: row for row in monitor.tickers().tickers}
    assert set(listed) == set(FORMS)
    assert all(row.price for row in listed.values())
    assert (listed["OANDA:EUR_USD"].market, listed["VOD.L"].market) == (FX, "XLON")

    # Bus, notifier, message: the link leads to the anomaly, and so to the ticker.
    bench = Bench(settings=AlertSettings(market_wide=None), now_ms=clock() + 1000)
    bench.take(*events_of(aws.bus, clock()))
    bench.sweep(after_minutes=1)
    linked = set()
    for message in bench.sent():
        assert message.incident is not None
        said = content(message, URL, "UTC")
        (id_,) = parse_qs(urlsplit(said.link).query)["anomaly"]
        key = AnomalyKey.parse(id_)
        assert key.ticker == message.incident.subject
        assert key.ticker in said.title
        linked.add(key.ticker)
    assert linked == set(FORMS)


@pytest.mark.parametrize("other", ["ıbm", "ſpy", "straße", "ﬀ", "ＭＳＦＴ", "АAPL"])
def test_what_only_looks_like_a_ticker_is_none_wherever_tickers_come_in(other: str) -> None:
    """`"ıbm".upper()` is IBM, and `"ß".upper()` is SS: other companies than were asked for."""

    def of_api() -> None:
        TypeAdapter(Annotated[str, BeforeValidator(_written)]).validate_python(other)

    entrances: list[Callable[[], object]] = [
        lambda: parse_list(other, "the list"),
        lambda: read_context({"tickers": other}, Path("/")),
        lambda: read_context({"tickers": [other]}, Path("/")),
        lambda: read_context({"markets": f"{other}=XLON"}, Path("/")),
        lambda: Threshold.parse(json.dumps({"tickers": {other: 3}})),
        lambda: Threshold.parse("2.5").changed(3.0, other),
        lambda: check(PriceRule(id="a", when="above", value=3, ticker=other)),
        lambda: parse_settings(json.dumps({"routes": [{"tickers": [other]}]})),
        lambda: symbol_of(other),
        lambda: tickers_of([other]),
        of_api,
    ]
    for entrance in entrances:
        with pytest.raises(ValueError if entrance is of_api else MonitorError, match="must be"):
            entrance()
