"""What `stock-monitor alerts` does: on an AWS in memory, and for a dry run on recordings."""

from __future__ import annotations

import csv
import gzip
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from consumers.alerts.event import parse
from consumers.alerts.notifier import Notifier
from consumers.alerts.settings import AlertSettings
from consumers.alerts.store import AlertStore
from consumers.contracts.anomaly import AnomalyIdError, anomaly_id
from consumers.contracts.events import detected
from stream_infra.cli.commands import alerts
from stream_infra.operations import alert_desk
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.errors import FailedError, InputError

Run = Callable[..., Result]


class InMemory(Endpoints):
    """A monitor whose AWS is in memory."""

    def client(self, service: Any) -> Any:
        return boto3.client(service)


@pytest.fixture
def _aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        boto3.client("dynamodb").create_table(
            TableName="stock-alerts",
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        boto3.client("sns").create_topic(Name="stock-tracker-alerts")
        boto3.client("events").create_event_bus(Name="stock-market")
        yield


@pytest.fixture
def endpoints(_aws: None, monkeypatch: pytest.MonkeyPatch) -> Endpoints:
    found = InMemory("https://monitor.example/", None, None, None)
    monkeypatch.setattr(alerts, "resolve", lambda _aws: found)
    return found


@pytest.fixture
def run() -> Run:
    return lambda *arguments: CliRunner().invoke(alerts.app, list(arguments))


@pytest.fixture
def notifier(endpoints: Endpoints) -> Notifier:
    topics = endpoints.client("sns").list_topics()["Topics"]
    return Notifier(
        AlertStore(endpoints.client("dynamodb"), "stock-alerts"),
        endpoints.client("sns"),
        topics[0]["TopicArn"],
        dashboard_url="https://monitor.example/",
        clock=_now_ms,
        watched=lambda: 10,
        pause=lambda _attempt: None,
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _deliver(notifier: Notifier, event: Any) -> bool:
    detail = json.loads(event.detail_json())
    parsed = parse(json.dumps({"detail-type": event.detail_type, "detail": detail}))
    (taken,) = notifier.take([parsed], AlertSettings())
    return taken.published


def _opened(ms: int) -> Any:
    test = alert_desk._test_anomaly(ms)
    return detected(
        replace(test, id=anomaly_id("AAPL", ms, test.kind, "alpaca"), ticker="AAPL", source="alpaca")
    )


@pytest.mark.usefixtures("endpoints")
def test_nothing_yet(run: Run) -> None:
    assert run("list").output == "No messages, nothing waits, nothing is muted.\n"
    assert json.loads(run("list", "--json").output) == {"mutes": [], "waiting": [], "messages": []}


def test_what_was_sent_and_what_waits_is_listed_and_shown(run: Run, notifier: Notifier) -> None:
    first = _now_ms()
    assert _deliver(notifier, _opened(first))
    assert not _deliver(notifier, _opened(first + 1))
    listed = json.loads(run("list", "--json").output)
    (message,) = listed["messages"]
    assert (message["status"], message["kind"], message["attempts"]) == ("sent", "alert", 1)
    (waiting,) = listed["waiting"]
    assert (waiting["ticker"], waiting["anomalies"]) == ("AAPL", 1)
    text = run("list").output
    assert "AAPL price_spike: 1 held for the digest after" in text
    assert "LOW: AAPL price spike, 1 % against 0 % expected" in text
    for id_ in (message["id"], message["id"].partition("#")[0]):
        shown = json.loads(run("show", id_, "--json").output)
        assert shown["fate"] == "told"
        assert "https://monitor.example/?ticker=AAPL" in shown["messages"][0]["email"]
    assert "Subject: LOW: AAPL price spike" in run("show", message["id"]).output
    held = json.loads(run("show", f"AAPL-{first + 1}-price_spike", "--json").output)
    assert held == {
        "id": f"AAPL-{first + 1}-price_spike",
        "fate": "held, and told in a digest",
        "messages": [],
    }


@pytest.mark.usefixtures("endpoints")
@pytest.mark.parametrize("id_", ["nope", "AAPL-1-gap", "digest-12"])
def test_what_is_not_known_says_what_is_allowed(run: Run, id_: str) -> None:
    assert isinstance(error := run("show", id_).exception, InputError)
    assert "allowed are ids of anomalies" in str(error)


@pytest.mark.usefixtures("endpoints")
def test_a_mute_is_listed_until_it_is_ended(run: Run) -> None:
    done = run("mute", "--ticker", "tsla", "--kind", "gap", "--for", "2h", "--reason", "earnings")
    assert done.output.startswith("TSLA gap is muted until ")
    assert done.output.endswith(": earnings\n")
    assert json.loads(run("list", "--json").output)["mutes"][0]["ticker"] == "TSLA"
    assert isinstance(run("unmute", "--ticker", "TSLA").exception, InputError)
    assert run("unmute", "--ticker", "TSLA", "--kind", "gap").output == "TSLA gap is no longer muted.\n"
    assert json.loads(run("list", "--json").output)["mutes"] == []
    assert run("mute", "--all", "--for", "1h").output.startswith("everything is muted until")


@pytest.mark.usefixtures("endpoints")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--for", "1h"], "--ticker, --kind or both, or else --all"),
        (["--for", "1h", "--all", "--kind", "gap"], "--ticker, --kind or both, or else --all"),
        (["--for", "soon", "--all"], "must be a duration such as"),
        (["--for", "1h", "--kind", "spike"], "--kind spike: allowed are "),
        (["--for", "1h", "--ticker", "A B"], "--ticker A B: no ticker; allowed are"),
    ],
)
def test_a_mute_says_what_is_allowed(run: Run, arguments: list[str], said: str) -> None:
    assert isinstance(error := run("mute", *arguments).exception, InputError)
    assert said in str(error)


@pytest.mark.usefixtures("endpoints")
def test_an_anomaly_is_acknowledged_by_its_id(run: Run) -> None:
    for id_ in ("BRK-B-1763996400123-price_spike", "BRK-B-1763996400123-price_spike#detected"):
        (order,) = [json.loads(run("ack", id_, "--json").output)]
        assert (order["ticker"], order["kind"]) == ("BRK-B", "price_spike")
        assert order["acknowledged"] == "BRK-B-1763996400123-price_spike"
    assert isinstance(run("ack", "BRK-B").exception, AnomalyIdError)


def test_settings_are_checked_before_they_are_in_force(
    run: Run, endpoints: Endpoints, tmp_path: Path
) -> None:
    assert json.loads(run("settings", "--json").output)["settings"]["messages_per_hour"] == 6
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text('{"messages_per_hour": 3, "quiet_hours": {"from": "22:00", "until": "07:00"}}')
    bad.write_text('{"messages_per_hour": 0}')
    assert json.loads(run("settings", str(good), "--json").output)["settings"]["messages_per_hour"] == 3
    assert isinstance(run("settings", str(bad)).exception, InputError)
    assert isinstance(run("settings", str(tmp_path / "none.json")).exception, InputError)
    report = json.loads(run("settings", "--json").output)["settings"]
    assert report["messages_per_hour"] == 3
    assert report["quiet_hours"]["from"] == "22:00:00"
    endpoints.client("ssm").put_parameter(
        Name="/stock-tracker/alerts", Value="{", Type="String", Overwrite=True
    )
    assert "the last good value stays in force" in json.loads(run("settings", "--json").output)["error"]


def test_a_subscriber_may_choose(run: Run, endpoints: Endpoints) -> None:
    done = run("subscribe", "sms", "+15550100", "--severity", "high", "--ticker", "aapl", "--json")
    arn = json.loads(done.output)["subscription"]
    attributes = endpoints.client("sns").get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert json.loads(attributes["FilterPolicy"]) == {"severity": ["high"], "ticker": ["AAPL"]}
    assert isinstance(run("subscribe", "sms", "+15550100", "--severity", "worst").exception, InputError)


class Clock:
    """A clock that goes on by itself when asked to sleep; `at` is called before each sleep."""

    def __init__(self, at: Callable[[], object]) -> None:
        self.now, self._at = 0.0, at

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self._at()
        self.now += seconds


def test_a_test_waits_until_the_message_is_sent(endpoints: Endpoints, notifier: Notifier) -> None:
    now = datetime.now(UTC)
    event = detected(alert_desk._test_anomaly(round(now.timestamp() * 1000)))
    clock: Any = Clock(lambda: bool(_deliver(notifier, event)) and None)
    store = AlertStore(endpoints.client("dynamodb"), "stock-alerts")
    sent = alert_desk.send_test(endpoints, store, now, 5, clock)
    assert sent["subject"] == "[TEST] LOW: TEST price spike, 1 % against 0 % expected"
    with pytest.raises(FailedError, match="not sent after 5 s: the notifier did not take it"):
        alert_desk.send_test(endpoints, store, datetime.now(UTC), 5, Clock(lambda: None))  # type: ignore[arg-type]


def _recording(path: Path, tickers: int) -> None:
    """Calm walks, one tick a second; at two moments all jump."""
    rng = random.Random(3)
    prices = {f"T{n}": 100.0 for n in range(tickers)}
    with gzip.open(path, "wt", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["ts", "symbol", "price", "bid", "ask", "volume"])
        for second in range(1500):
            for ticker, last in prices.items():
                prices[ticker] = last * (1 + rng.gauss(0, 1e-4) + (0.03 if second in {1000, 1400} else 0))
                price = round(prices[ticker], 2)
                rows.writerow([1381152600000 + 1000 * second, ticker, price, price - 0.01, price + 0.01, 100])


def test_a_dry_run_shows_what_would_have_gone_out_and_needs_no_monitor(run: Run, tmp_path: Path) -> None:
    _recording(tmp_path / "walk.csv.gz", tickers=10)
    report = json.loads(run("dry-run", str(tmp_path / "walk.csv.gz"), "--json").output)
    assert report["ticks"] == 15_000
    assert report["anomalies"] >= 20
    assert report["busiest"] <= 6
    assert "market_wide" in {message["kind"] for message in report["messages"]}
    told = [id_ for message in report["messages"] for id_ in message["anomalies"]]
    assert len(told) == len(set(told)) == report["anomalies"]
    text = run("dry-run", str(tmp_path / "walk.csv.gz")).output
    assert "None was sent." in text
    assert "market-wide" in text


def test_a_dry_run_takes_settings_and_says_what_is_wrong(run: Run, tmp_path: Path) -> None:
    _recording(tmp_path / "walk.csv", tickers=1)
    (tmp_path / "walk.csv").rename(tmp_path / "walk.csv.gz")
    (tmp_path / "off.json").write_text('{"tickers": {"T0": "off"}}')
    walk = str(tmp_path / "walk.csv.gz")
    report = json.loads(run("dry-run", walk, "--settings", str(tmp_path / "off.json"), "--json").output)
    assert report["messages"] == []
    assert report["anomalies"] > 0
    for arguments in (
        [str(tmp_path / "none.csv")],
        [walk, "--threshold", "much"],
        [walk, "--settings", walk],
    ):
        assert isinstance(run("dry-run", *arguments).exception, InputError)
