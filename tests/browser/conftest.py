"""A seeded monitor in one process (the dashboard's files, the API on moto's DynamoDB) and a Chromium page.

`page` knows nothing of the server: a test against another stack takes `page` and its own address.
"""

from __future__ import annotations

import contextlib
import json
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from moto import mock_aws
from playwright.sync_api import Browser, Page, expect

from api.anomalies import AnomalyStore
from api.app import create_app
from api.depth import Depth
from api.event import normalized
from api.services import Services
from consumers.alerts.store import AlertStore
from consumers.contracts.anomaly import Anomaly, anomaly_id, iso_ms, sort_key, to_item
from consumers.stores.charts import (
    MINUTE_MS,
    Bar,
    ChartTable,
    LastQuote,
    bar_attribute,
    bar_to_attribute,
    bars_pk,
    live_pk,
    pack_quotes,
)
from producers.markets import SESSIONS, Session
from stream_infra.cdk.web import CONTENT_SECURITY_POLICY

ROOT = Path(__file__).parents[2]
TICKERS = {
    "AAPL": 271.4, "MSFT": 487.1, "NVDA": 181.9, "AMZN": 226.3, "GOOGL": 302.8,
    "META": 604.5, "TSLA": 401.2, "JPM": 303.6, "XOM": 117.3, "KO": 71.2,
}  # fmt: skip
HISTORY_MINUTES = 240
PATIENCE_MS = 15_000
"""For what comes within seconds on a machine that does nothing else; a bar of the requirements has its own figure."""


@dataclass
class Site:
    """The running monitor: its address, and the levers that tests pull."""

    url: str
    dynamodb: Any
    bars: dict[str, list[Bar]]
    tickers: list[str] = field(default_factory=lambda: list(TICKERS))
    reachable: bool = True
    session: Session = "always"
    ahead_ms: int = 0
    """How far the server's clock is ahead of the data: quotes grow old by it."""
    slow_seconds: float = 0.0
    stand_in: Callable[[str, dict[str, list[str]]], dict[str, Any] | None] | None = None
    """Given a path below /api/ and its query: what to answer in the API's place, or None to let the API answer."""

    def put_anomaly(self, ticker: str, ts_ms: int, kind: str = "price_spike", **changes: Any) -> Anomaly:
        """Write an anomaly as the detector would."""
        timestamp = sort_key(ts_ms, kind)
        anomaly = Anomaly(
            id=anomaly_id(ticker, ts_ms, kind),
            source="simulated",
            ticker=ticker,
            timestamp=timestamp,
            date=timestamp[:10],
            kind=kind,
            severity="high",
            score=4.1,
            threshold=2.5,
            value=0.0123,
            expected=0.0,
            tolerance=0.0009,
            direction="up",
            late=False,
            explanation=f"{ticker} rose 1.23% in one tick, 14 times its usual move.",
            window={"ticks": 240, "unit": "return"},
        )
        anomaly = replace(anomaly, **changes)
        self.dynamodb.put_item(TableName="stock-anomalies", Item=to_item(anomaly))
        return anomaly

    def put_quotes(self, origin: str = "simulated") -> None:
        """Write the last quotes as of now, from the newest bars."""
        now_ms = _now_ms()
        quotes = [_last_quote(symbol, bars, now_ms) for symbol, bars in self.bars.items()]
        self.dynamodb.put_item(
            TableName="stock-charts",
            Item={
                "pk": {"S": live_pk(origin)},
                "sk": {"S": "0"},
                "columns": {"B": pack_quotes(quotes)},
            },
        )

    def put_bars(self, origin: str, symbol: str, bars: list[Bar]) -> None:
        """Write closed minute bars of one symbol."""
        for bar in bars:
            self.dynamodb.update_item(
                TableName="stock-charts",
                Key={"pk": {"S": bars_pk(origin, symbol)}, "sk": {"S": iso_ms(bar.minute_ms)}},
                UpdateExpression="SET #bar = :bar",
                ExpressionAttributeNames={"#bar": bar_attribute(symbol)},
                ExpressionAttributeValues={":bar": bar_to_attribute(bar)},
            )


def random_walk(symbol: str, price: float, first_minute_ms: int, minutes: int) -> list[Bar]:
    """Minute bars that move like a quiet market; the same for the same symbol."""
    rng = random.Random(symbol)
    bars, volatility = [], 0.0004
    for n in range(minutes):
        volatility = max(0.0002, min(0.0012, volatility * math.exp(rng.gauss(0, 0.12))))
        path = [price]
        for _ in range(6):
            path.append(round(path[-1] * (1 + rng.gauss(0, volatility / 2)), 2))
        price = path[-1]
        volume = round(rng.lognormvariate(10, 0.5) * (1 + 1500 * volatility))
        half = max(0.01, round(price * 0.00005 * rng.lognormvariate(0, 0.3), 2)) / 2
        bars.append(
            Bar(
                first_minute_ms + n * MINUTE_MS, path[0], max(path), min(path), price, volume, 12,
                round(price - half, 4), round(price + half, 4),
            )
        )  # fmt: skip
    return bars


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _last_quote(symbol: str, bars: list[Bar], now_ms: int) -> LastQuote:
    newest = replace(bars[-1], minute_ms=now_ms // MINUTE_MS * MINUTE_MS)
    volume = sum(bar.volume or 0 for bar in bars)
    return LastQuote(
        symbol,
        now_ms,
        newest.close,
        newest.bid,
        newest.ask,
        volume,
        bars[0].open,
        bars[0].open * 0.997,
        newest,
    )


def _create_tables(dynamodb: Any) -> None:
    def create(name: str, keys: tuple[str, str], indexes: dict[str, str]) -> None:
        attributes = sorted({*keys, *indexes.values()})
        schema = lambda pair: [  # noqa: E731
            {"AttributeName": attribute, "KeyType": kind}
            for attribute, kind in zip(pair, ("HASH", "RANGE"), strict=True)
        ]
        optional: dict[str, Any] = {}
        if indexes:
            optional["GlobalSecondaryIndexes"] = [
                {
                    "IndexName": index,
                    "KeySchema": schema((attribute, keys[1])),
                    "Projection": {"ProjectionType": "ALL"},
                }
                for index, attribute in indexes.items()
            ]
        dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in attributes],
            KeySchema=schema(keys),
            **optional,
        )

    create("stock-anomalies", ("ticker", "timestamp"), {"DateIndex": "date", "SeverityIndex": "severity"})
    create("stock-charts", ("pk", "sk"), {})
    create("stock-alerts", ("pk", "sk"), {})


class _Files(SimpleHTTPRequestHandler):
    """The dashboard's files, with the headers that CloudFront adds."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args, directory=str(ROOT / "dashboard"))

    def log_message(self, *_args: Any) -> None:
        pass

    def end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        super().end_headers()

    def send(self, status: int, headers: dict[str, str], text: str) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):  # the page was left while it was answered
            self.wfile.write(body)


def _request_handler(site: Site, apps: dict[Session, Any], lock: threading.Lock) -> type[_Files]:
    class Handler(_Files):
        """Files at /, the API at /api with the prefix stripped: as CloudFront and the front door serve them."""

        def do_PUT(self) -> None:
            self.do_GET()

        def do_DELETE(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if not url.path.startswith("/api/"):
                super().do_GET()
                return
            time.sleep(site.slow_seconds)
            query = parse_qs(url.query, keep_blank_values=True)
            if not site.reachable:
                self.send(HTTPStatus.BAD_GATEWAY, {}, "")
            elif site.stand_in and (answer := site.stand_in(url.path.removeprefix("/api/"), query)):
                self.send(HTTPStatus.OK, {"Content-Type": "application/json"}, json.dumps(answer))
            else:
                self._ask_the_api(url.path.removeprefix("/api"), query)

        def _ask_the_api(self, path: str, query: dict[str, list[str]]) -> None:
            event = normalized(
                {
                    "path": path,
                    "httpMethod": self.command,
                    "body": self.rfile.read(int(self.headers.get("Content-Length", 0))).decode() or None,
                    "headers": dict(self.headers),
                    "multiValueQueryStringParameters": query,
                }
            )
            with lock:  # a Lambda function serves one request at a time
                answer = apps[site.session].resolve(event, None)
            headers = {name: values[0] for name, values in answer["multiValueHeaders"].items()}
            self.send(answer["statusCode"], headers, answer["body"])

    return Handler


# Not of the session: while one mocked AWS is there, no other test gets an empty one.
@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A monitor with ten tickers, four hours of bars and a few anomalies, all simulated."""
    credentials = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name, value in credentials.items():
            patch.setenv(name, value)
        dynamodb = boto3.client("dynamodb")
        _create_tables(dynamodb)
        sqs = boto3.client("sqs")
        queue_url = sqs.create_queue(QueueName="stock-scanner-dlq")["QueueUrl"]
        services = Services(
            anomalies=AnomalyStore(dynamodb, "stock-anomalies"),
            alerts=AlertStore(dynamodb, "stock-alerts"),
            charts=ChartTable(dynamodb, "stock-charts"),
            depth=Depth(boto3.client("cloudwatch"), sqs, "stock-detector", queue_url),
            watch_list=lambda: site.tickers,
            source="simulated",
            now_ms=lambda: _now_ms() + site.ahead_ms,
            writes_open=True,
        )
        first = _now_ms() // MINUTE_MS * MINUTE_MS - HISTORY_MINUTES * MINUTE_MS
        bars = {
            symbol: random_walk(symbol, price, first, HISTORY_MINUTES) for symbol, price in TICKERS.items()
        }
        site = Site("", dynamodb, bars)
        apps = {s: create_app(replace(services, session=s)) for s in SESSIONS}
        server = ThreadingHTTPServer(("127.0.0.1", 0), _request_handler(site, apps, threading.Lock()))
        site.url = f"http://127.0.0.1:{server.server_port}/"
        _seed(site)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield site
        server.shutdown()
        server.server_close()
        thread.join()


def _seed(site: Site) -> None:
    for symbol, bars in site.bars.items():
        site.put_bars("simulated", symbol, bars)
    site.put_quotes()
    newest = site.bars["AAPL"][-1].minute_ms
    for ticker, minutes_ago, kind, severity, direction, sentence in STORIES:
        site.put_anomaly(
            ticker,
            newest - minutes_ago * MINUTE_MS + 12_345,
            kind,
            severity=severity,
            direction=direction,
            explanation=sentence,
            score={"low": 2.7, "medium": 3.4, "high": 5.2, "critical": 9.8}[severity],
        )


STORIES = [
    ("NVDA", 2, "price_spike", "critical", "down",
     "NVDA fell 1.41% in one tick, 18 times its usual move of 0.078% over the last 240 ticks."),
    ("TSLA", 5, "volume_burst", "high", "up",
     "TSLA traded 184,300 shares in 5 s, 11 times what is usual at this time of day."),
    ("XOM", 9, "spread_blowout", "medium", "up",
     "XOM's spread widened to $0.19, 9 times its usual $0.02 over the last 20 minutes."),
    ("KO", 14, "frozen_feed", "low", "none",
     "KO has had the same quote for 96 s; its longest such pause today was 31 s."),
    ("MSFT", 23, "level_shift", "medium", "up",
     "MSFT moved to a new level near $489.60, 0.52% above where it held for 40 minutes."),
    ("AAPL", 31, "bad_tick", "high", "down",
     "AAPL printed $27.14 between quotes of $271.38 and $271.42: the price looks misplaced by a digit."),
    ("JPM", 47, "vol_shift", "low", "none",
     "JPM's moves have been 2.4 times as large as usual for the last 15 minutes."),
    ("META", 66, "slow_drift", "low", "down",
     "META has drifted 1.1% lower over 50 minutes, one small step after another."),
    ("AMZN", 95, "price_spike", "medium", "up",
     "AMZN rose 0.61% in one tick, 8 times its usual move of 0.076% over the last 240 ticks."),
    ("AAPL", 118, "price_spike", "high", "up",
     "AAPL rose 0.94% in one tick, 13 times its usual move of 0.072% over the last 240 ticks."),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _as_it_was(site: Site) -> Iterator[None]:
    """Fresh quotes before each test, and every lever back where it was after it."""
    site.put_quotes()
    usual = {
        name: getattr(site, name)
        for name in ("tickers", "reachable", "ahead_ms", "session", "slow_seconds", "stand_in")
    }
    yield
    for name, value in usual.items():
        setattr(site, name, value)


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A fresh page of 1440 x 900; the test fails if it logged an error that the test did not expect."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, timezone_id="Europe/Berlin")
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(f"exception: {error}"))
    page.add_init_script(
        "addEventListener('securitypolicyviolation', (e) => console.error(`CSP: ${e.violatedDirective}`))"
    )
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.errors = errors  # type: ignore[attr-defined]
    page.expected_errors = []  # type: ignore[attr-defined]  parts of what the browser itself logs of a bad answer
    yield page
    context.close()
    expected = page.expected_errors  # type: ignore[attr-defined]
    assert [error for error in errors if not any(part in error for part in expected)] == []
