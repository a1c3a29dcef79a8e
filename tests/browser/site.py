"""A seeded monitor in one process: the dashboard's files, and the API on moto's DynamoDB."""

from __future__ import annotations

import contextlib
import json
import math
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Unpack
from urllib.parse import parse_qs, unquote, urlsplit

import boto3

from api.anomalies import AnomalyStore
from api.depth import Depth
from api.services import Services
from api.watch_list import WatchListEditor
from consumers.alerts.context import Context
from consumers.alerts.event import AlertEvent, Change
from consumers.alerts.notifier import Notifier
from consumers.alerts.parameters import SettingsEditor
from consumers.alerts.settings import AlertSettings
from consumers.alerts.store import AlertStore
from consumers.alerts.table import DynamoTable
from consumers.contracts.anomaly import Anomaly, ms_of_iso
from consumers.contracts.charts import MINUTE_MS, Bar, LastQuote
from consumers.contracts.events import Event
from consumers.stores.charts import ChartTable, live_pk
from consumers.stores.parameters import ThresholdEditor
from consumers.stores.rules import RuleParameter
from producers.archive import Archive, ArchiveReader
from producers.markets import SESSIONS, Session
from producers.quote_batch import QuoteBatch
from producers.watch_list import WatchListWriter
from stream_infra.cdk.web import CONTENT_SECURITY_POLICY
from tests.api.client import AnomalyChanges, Api, JsonObject, Table, create_tables, make_anomaly
from tests.browser.followed import Followed
from tests.last_quotes import pack_quotes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROOT = Path(__file__).parents[2]
TICKERS = {
    "AAPL": 271.4, "MSFT": 487.1, "NVDA": 181.9, "AMZN": 226.3, "GOOGL": 302.8,
    "META": 604.5, "TSLA": 401.2, "JPM": 303.6, "XOM": 117.3, "KO": 71.2,
}  # fmt: skip
HISTORY_MINUTES = 240
FEW_BARS = 10
"""A ticker with no more is new: it has no previous close."""
DATA_BUCKET = "data"
Query = dict[str, list[str]]
StandIn = Callable[[str, Query], JsonObject | None]
"""Given a path below /api/ and its query: what to return in the API's place, or None to let the API respond."""


@dataclass
class Levers:
    """What tests pull; each is back where it was after its test."""

    tickers: list[str] = field(default_factory=lambda: list(TICKERS))
    reachable: bool = True
    session: Session = "always"
    ahead_ms: int = 0
    """How far the server's clock is ahead of the data: quotes grow old by it."""
    problem: str = ""
    """Why the last poll failed."""
    stand_in: StandIn | None = None
    events: Followed | None = None
    """What is served at `/events`; None: nothing is there."""


class Site:
    """The running monitor: its address, its levers, and ways to write as the detector does."""

    def __init__(self, dynamodb: DynamoDBClient, bars: dict[str, list[Bar]]) -> None:
        self.url = ""
        self.dynamodb = dynamodb
        self.bars = bars
        self.charts = _Charts(dynamodb, "stock-charts")
        self.levers = Levers()
        self.sent: list[Event] = []
        """What the API put on the bus."""
        self._table = Table(dynamodb)

    def put_anomaly(
        self, ticker: str, ts_ms: int, kind: str = "price_spike", **changes: Unpack[AnomalyChanges]
    ) -> Anomaly:
        """Write an anomaly as the detector would."""
        changes.setdefault("severity", "high")
        changes.setdefault("score", 4.1)
        changes.setdefault("value", 0.0123)
        changes.setdefault("explanation", f"{ticker} rose 1.23% in one tick, 14 times its usual move.")
        anomaly = make_anomaly(ticker, ts_ms, kind, **changes)
        self._table.write(anomaly)
        return anomaly

    def put_quotes(self, origin: str = "simulated") -> None:
        """Write the last quotes as of now, from the newest bars."""
        now_ms = epoch_now_ms()
        quotes = [_last_quote(symbol, bars, now_ms) for symbol, bars in self.bars.items()]
        self.dynamodb.put_item(
            TableName="stock-charts",
            Item={
                "pk": {"S": live_pk(origin)},
                "sk": {"S": "0"},
                "columns": {"B": pack_quotes(quotes)},
            },
        )

    def announce(
        self,
        anomaly: Anomaly,
        context: Context | None = None,
        *,
        change: Change = "detected",
        at_ms: int | None = None,
    ) -> None:
        """Let the notifier take an anomaly into an incident, or what became of it."""
        now_ms = at_ms or ms_of_iso(anomaly.timestamp.partition("#")[0])
        notifier = Notifier(
            AlertStore(DynamoTable(self.dynamodb, "stock-alerts")),
            lambda _channel, _message, _settings: "",
            dead_letter=lambda _message, _delivery: None,
            clock=lambda: now_ms,
            context=lambda _event, _incident, _settings: context or Context(why="bars were not read"),
        )
        notifier.handle([AlertEvent.of(change, anomaly, now_ms)], AlertSettings())

    def put_bars(self, origin: str, symbol: str, bars: list[Bar]) -> None:
        """Have closed minute bars of one symbol."""
        self.charts.kept.setdefault((origin, symbol), {}).update({bar.minute_ms: bar for bar in bars})


class _Charts(ChartTable):
    """Last quotes in the table, closed bars in memory: reading hours of them from moto would take most of a test."""

    def __init__(self, dynamodb: DynamoDBClient, table: str) -> None:
        super().__init__(dynamodb, table)
        self.kept: dict[tuple[str, str], dict[int, Bar]] = {}

    def closed_bars(
        self, origin: str, symbol: str, since_ms: int, until_ms: int, windows: int
    ) -> Iterator[Bar]:
        del windows
        bars = self.kept.get((origin, symbol), {})
        return iter([bars[at] for at in sorted(bars) if since_ms <= at < until_ms])

    def closes(
        self, origin: str, symbols: Sequence[str], minutes: Iterable[int], windows: int
    ) -> dict[int, dict[str, float]]:
        del windows
        kept = {symbol: self.kept.get((origin, symbol), {}) for symbol in symbols}
        found = {
            at: {symbol: bars[at].close for symbol, bars in kept.items() if at in bars} for at in minutes
        }
        return {at: closes for at, closes in found.items() if closes}


def archive_ticks(symbol: str, ticks: list[tuple[int, float]]) -> None:
    """Archive a scan's ticks (epoch ms and price) as the scanner does."""
    archive = Archive(boto3.client("s3"), DATA_BUCKET)
    for ts, price in ticks:
        spread = round(price * 0.0001, 2)
        archive.add(
            QuoteBatch("simulated", [symbol], [ts], [price], [price], [price + spread], [None], [None], [])
        )
    archive.write(ticks[0][0])


def epoch_now_ms() -> int:
    """Return the time, epoch ms UTC."""
    return time.time_ns() // 1_000_000


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
        bars[0].open * 0.997 if len(bars) > FEW_BARS else None,
        newest,
    )


class _Files(SimpleHTTPRequestHandler):
    """The dashboard's files, with the headers that CloudFront adds."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    """Head and body are two writes: the second one would wait 40 ms for the browser's delayed acknowledgement."""

    def __init__(self, request: socket.socket, address: tuple[str, int], server: ThreadingHTTPServer) -> None:
        super().__init__(request, address, server, directory=str(ROOT / "dashboard"))

    def log_message(self, *_args: object) -> None:
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


def _request_handler(site: Site, apis: dict[Session, Api], lock: threading.Lock) -> type[_Files]:
    class Handler(_Files):
        """Files at /, the API at /api with the prefix stripped: as CloudFront and the front door serve them."""

        def do_PUT(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.do_GET()

        def do_DELETE(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path == "/events" and site.levers.events:
                site.levers.events.serve(self)
                return
            if not url.path.startswith("/api/"):
                super().do_GET()
                return
            query = parse_qs(url.query, keep_blank_values=True)
            if not site.levers.reachable:
                self.send(HTTPStatus.BAD_GATEWAY, {}, "")
            elif site.levers.stand_in and (
                body := site.levers.stand_in(url.path.removeprefix("/api/"), query)
            ):
                self.send(HTTPStatus.OK, {"Content-Type": "application/json"}, json.dumps(body))
            else:
                self._request_api(url.path.removeprefix("/api"), query)

        def _request_api(self, path: str, query: Query) -> None:
            event = {
                "path": unquote(path),  # as gateways do
                "httpMethod": self.command,
                "body": self.rfile.read(int(self.headers.get("Content-Length", 0))).decode() or None,
                "headers": dict(self.headers),
                "multiValueQueryStringParameters": query,
            }
            with lock:  # a Lambda function serves one request at a time
                reply = apis[site.levers.session].invoke(event)
            self.send(reply.status, reply.headers, reply.text)

    return Handler


@contextlib.contextmanager
def running_site(minutes: int = HISTORY_MINUTES) -> Iterator[Site]:
    """Run a monitor with ten tickers, hours of bars and a few anomalies, all simulated; AWS is mocked already."""
    dynamodb = boto3.client("dynamodb")
    create_tables(dynamodb)
    boto3.client("s3").create_bucket(Bucket=DATA_BUCKET)
    first = epoch_now_ms() // MINUTE_MS * MINUTE_MS - minutes * MINUTE_MS
    bars = {symbol: random_walk(symbol, price, first, minutes) for symbol, price in TICKERS.items()}
    site = Site(dynamodb, bars)
    services = _services(site)
    apis = {session: Api(replace(services, session=session)) for session in SESSIONS}
    server = ThreadingHTTPServer(("127.0.0.1", 0), _request_handler(site, apis, threading.Lock()))
    site.url = f"http://127.0.0.1:{server.server_port}/"
    _seed(site)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield site
    server.shutdown()
    server.server_close()
    thread.join()


def _services(site: Site) -> Services:
    sqs = boto3.client("sqs")
    queue_url = sqs.create_queue(QueueName="stock-scanner-dlq")["QueueUrl"]
    return Services(
        anomalies=AnomalyStore(site.dynamodb, "stock-anomalies"),
        alerts=AlertStore(DynamoTable(site.dynamodb, "stock-alerts")),
        charts=site.charts,
        archive=ArchiveReader(boto3.client("s3"), DATA_BUCKET),
        rules=RuleParameter(boto3.client("ssm")),
        thresholds=ThresholdEditor(boto3.client("ssm")),
        depth=Depth(boto3.client("cloudwatch"), sqs, "stock-detector", queue_url),
        watch_list=lambda **_: site.levers.tickers,
        alert_settings=SettingsEditor(boto3.client("ssm")),
        send_events=site.sent.extend,
        editor=WatchListEditor(
            boto3.client("lambda"),
            "stock-scanner",
            WatchListWriter(boto3.client("ssm"), boto3.client("s3"), "/stock-tracker/ticker", DATA_BUCKET),
        ),
        source="simulated",
        now_ms=lambda: epoch_now_ms() + site.levers.ahead_ms,
        feed_problem=lambda _source: site.levers.problem,
        writes_open=True,
    )


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
            window={"ticks": 240, "unit": UNITS.get(kind, "return")},
            score={"low": 2.7, "medium": 3.4, "high": 5.2, "critical": 9.8}[severity],
        )


UNITS = {"spread_blowout": "spread", "volume_burst": "shares", "frozen_feed": "ticks", "bad_tick": "price"}
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
