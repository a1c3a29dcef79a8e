"""What `stock-monitor alerts` does: on an AWS in memory, and for a dry run on recordings."""

from __future__ import annotations

import csv
import getpass
import gzip
import json
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from typer.testing import CliRunner, Result

from consumers.alerts.event import AlertEvent, AlertTest
from consumers.alerts.message_store import StoredMessage
from consumers.alerts.model import Delivery, Message, Silence
from consumers.alerts.notifier import Notifier
from consumers.alerts.settings import AlertSettings, Route, parse
from consumers.alerts.store import AlertStore, ResolvedError
from consumers.alerts.table import DynamoTable
from consumers.contracts.charts import Bar
from consumers.stores.anomalies import AnomalyTable
from consumers.stores.charts import ChartTable
from stream_infra import names
from stream_infra.cli import alert_feedback, alert_view
from stream_infra.cli.commands import alerts
from stream_infra.operations import alert_desk
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.errors import FailedError, InputError
from tests.api.client import create_tables
from tests.aws import aws_in_memory
from tests.consumers.alerts.bench import make_anomaly, opened, worse

Run = Callable[..., Result]


@pytest.fixture
def _aws() -> Iterator[None]:
    with aws_in_memory():
        create_tables(boto3.client("dynamodb"))
        boto3.client("sns").create_topic(Name="stock-tracker-alerts")
        boto3.client("events").create_event_bus(Name="stock-market")
        yield


@pytest.fixture
def endpoints(_aws: None, monkeypatch: pytest.MonkeyPatch) -> Endpoints:
    found = Endpoints("https://monitor.example/", None, None, None)
    for module in (alerts, alert_feedback):
        monkeypatch.setattr(module, "resolve", lambda _aws: found)
    return found


@pytest.fixture
def run() -> Run:
    return lambda *arguments: CliRunner().invoke(alerts.app, list(arguments))


@pytest.fixture
def notifier(endpoints: Endpoints) -> Notifier:
    return Notifier(
        AlertStore(DynamoTable(endpoints.client("dynamodb"), "stock-alerts")),
        lambda _channel, _message, _settings: "receipt-1",
        dead_letter=lambda _message, _delivery: None,
        clock=_now_ms,
        watched=lambda: 10,
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _opened(ms: int, severity: str = "high") -> AlertEvent:
    return opened(ms, severity)


@pytest.mark.usefixtures("endpoints")
def test_nothing_yet(run: Run) -> None:
    assert run("list").output == "No incidents, no messages, nothing is silenced.\n"
    assert json.loads(run("list", "--json").output) == {"silences": [], "incidents": [], "messages": []}
    assert run("deliveries").output == "No messages.\n"


def test_what_was_sent_and_what_waits_is_listed_and_shown(run: Run, notifier: Notifier) -> None:
    first = _now_ms()
    event, quiet = _opened(first), opened(first, "low", ticker="MSFT")
    notifier.handle([event], AlertSettings())
    silence = Silence(first + 3_600_000, "MSFT")
    notifier._store.put_silence(silence)
    notifier.handle([quiet], AlertSettings())
    notifier._store.delete_silence(silence.scope)
    listed = json.loads(run("list", "--json").output)
    (message,) = listed["messages"]
    assert (message["status"], message["message_kind"], message["deliveries"][0]["attempts"]) == (
        "sent",
        "opened",
        1,
    )
    assert {row["subject"]: row["state"] for row in listed["incidents"]} == {"AAPL": "open", "MSFT": "open"}
    text = run("list").output
    assert "low open MSFT price spike, 1 anomaly, waits for a digest" in " ".join(text.split())
    assert "HIGH: AAPL price spike, 189.12 (expected 185.40)" in text
    for shown in (text, run("deliveries").output, run("show", message["id"]).output.partition("Subject:")[0]):
        assert max(map(len, shown.splitlines())) <= 80
    for id_ in (message["id"], message["incident_id"], event.anomaly.id):
        shown = json.loads(run("show", id_, "--json").output)
        assert shown["incident"]["id"] == message["incident_id"]
        assert "https://monitor.example/?anomaly=AAPL-" in shown["messages"][0]["email"]
    assert "Subject: HIGH: AAPL price spike" in run("show", message["id"]).output
    assert re.search(r"waits for the digest at \S+ \d\d:\d\dZ\.", run("show", quiet.anomaly.id).output)
    filled_in = opened(first - 600_000, "high", ticker="KO", source="simulated")
    notifier.handle([filled_in], AlertSettings())
    assert "It was before the start: nobody is notified" in run("show", filled_in.anomaly.id).output
    assert re.search(r"sns +sent +\S+ \S+Z +HIGH: AAPL", run("deliveries").output)
    assert json.loads(run("deliveries", "--json").output)["messages"][0]["id"] == message["id"]


def test_what_is_kept_back_says_by_what_and_so_does_news_after_a_message(
    run: Run, notifier: Notifier
) -> None:
    first = _now_ms()
    sent, silenced = opened(first), opened(first, "critical", ticker="MSFT")
    notifier.handle([sent], AlertSettings(routes=(Route(notify="at_once"),)))
    always = [
        {"from": "00:00", "until": "12:00", "unless": "none"},
        {"from": "12:00", "until": "00:00", "unless": "none"},
    ]
    muted = json.dumps({"mute_timings": always})
    boto3.client("ssm").put_parameter(Name="/stock-tracker/alerts", Value=muted, Type="String")
    notifier._store.put_silence(Silence(first + 3_600_000, "MSFT"))
    notifier.handle([worse(sent, first + 1, "critical"), silenced], parse(muted))
    mute, silence = "the end of a mute timing", "the end of a silence"
    after_a_message = json.loads(run("show", sent.anomaly.id, "--json").output)
    assert len(after_a_message["messages"]) == 1
    assert after_a_message["why"] == f"News of it waits for {mute}."
    for id_, said in ((sent, mute), (silenced, f"{silence} and for {mute}")):
        assert f"News of it waits for {said}.\n" in run("show", id_.anomaly.id).output


def test_incidents_are_listed_by_the_time_that_is_shown(run: Run, notifier: Notifier) -> None:
    """An anomaly that comes late may have begun before the one that its incident is named by."""
    now_ms = time.time_ns() // 1_000_000
    for at_ms, ticker in ((now_ms - 30_000, "AAPL"), (now_ms - 60_000, "MSFT"), (now_ms - 90_000, "AAPL")):
        notifier.handle([opened(at_ms, "low", ticker=ticker)], AlertSettings())
    rows = run("list").output.splitlines()
    times = [row[:20] for row in rows[1 : rows.index("")] if row.startswith("20")]
    assert len(times) == 2
    assert times == sorted(times)
    assert rows[1].split()[4] == "AAPL"


@pytest.mark.usefixtures("endpoints")
@pytest.mark.parametrize("id_", ["nope", "AAPL-1-gap", "digest-12", "live-AAPL-12"])
def test_what_is_not_known_says_what_is_allowed(run: Run, id_: str) -> None:
    assert isinstance(error := run("show", id_).exception, InputError)
    assert "must be the id of an anomaly" in str(error)


@pytest.mark.usefixtures("endpoints")
def test_who_silences_what_is_not_watched_is_told(run: Run) -> None:
    ssm = boto3.client("ssm")
    silence = ("silence", "--ticker", "tsla", "--for", "2h")
    assert "Whether TSLA is watched is not known" in run(*silence).stderr
    ssm.put_parameter(Name="/stock-tracker/ticker", Type="String", Value="AAPL")
    assert run(*silence).stderr.startswith("TSLA is not on the watch list")
    assert json.loads(run(*silence, "--json").stdout)["ticker"] == "TSLA"
    ssm.put_parameter(Name="/stock-tracker/ticker", Type="String", Value="AAPL,TSLA", Overwrite=True)
    assert run(*silence).stderr == ""
    assert run("silence", "--kind", "gap", "--for", "2h").stderr == ""


@pytest.mark.usefixtures("endpoints")
def test_a_silence_is_listed_until_it_is_ended(run: Run) -> None:
    done = run("silence", "--ticker", "tsla", "--kind", "gap", "--for", "2h", "--reason", "earnings")
    assert done.stdout.startswith("TSLA gap is silenced until ")
    assert done.stdout.endswith(": earnings\n")
    assert json.loads(run("list", "--json").output)["silences"][0]["ticker"] == "TSLA"
    assert isinstance(run("unsilence", "--ticker", "TSLA").exception, InputError)
    assert run("unsilence", "--ticker", "TSLA", "--kind", "gap").output == "TSLA gap is no longer silenced.\n"
    assert json.loads(run("list", "--json").output)["silences"] == []
    assert run("silence", "--all", "--for", "1h").output.startswith("everything is silenced until")


@pytest.mark.usefixtures("endpoints")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--for", "1h"], "--ticker, --kind or both, or --all alone"),
        (["--for", "1h", "--all", "--kind", "gap"], "--ticker, --kind or both, or --all alone"),
        (["--for", "soon", "--all"], "a duration such as"),
        (["--for", "1h", "--kind", "spike"], "--kind.*spike"),
        (["--for", "1h", "--ticker", "A B"], "--ticker.*A B"),
    ],
)
def test_a_silence_says_what_is_allowed(run: Run, arguments: list[str], said: str) -> None:
    assert isinstance(error := run("silence", *arguments).exception, InputError)
    assert re.search(said, str(error))


def test_an_incident_is_acknowledged_by_its_id_or_an_anomaly_s(run: Run, notifier: Notifier) -> None:
    event = _opened(_now_ms())
    notifier.handle([event], AlertSettings())
    for id_ in (event.anomaly.id, f"live-AAPL-{event.at_ms}"):
        row = json.loads(run("ack", id_, "--json").output)
        assert (row["state"], row["id"]) == ("acknowledged", f"live-AAPL-{event.at_ms}")
    assert re.search(r"acknowledged +AAPL price spike, 1 anomaly, until\s+\S+", run("list").output)
    assert json.loads(run("ack", event.anomaly.id, "--withdraw", "--json").output)["state"] == "open"
    assert isinstance(run("ack", "BRK-B").exception, InputError)
    assert "is not acknowledged: it is open" in str(run("ack", event.anomaly.id, "--withdraw").exception)
    notifier.handle([AlertEvent.of("ended", make_anomaly(ts_ms=event.at_ms), event.at_ms)], AlertSettings())
    over = run("ack", event.anomaly.id).exception
    assert isinstance(over, ResolvedError)
    assert "was resolved at" in str(over)


def test_what_people_say_is_summed_up_with_what_thresholds_would_have_changed(
    run: Run, notifier: Notifier, endpoints: Endpoints
) -> None:
    assert run("quality").output.startswith("No feedback on incidents since ")
    first, scores = _now_ms(), (3.0, 3.1, 3.2, 6.4, 7.0, 3.3)
    made = [
        replace(make_anomaly(f"T{n}", ts_ms=first - 180_000 * n, severity="high"), score=score)
        for n, score in enumerate(scores)
    ]
    AnomalyTable(endpoints.client("dynamodb"), "stock-anomalies").put(made)
    notifier.handle(
        [AlertEvent.of("detected", one, first - 180_000 * n) for n, one in enumerate(made)], AlertSettings()
    )
    for n, word in enumerate(("noise", "noise", "noise", "useful", "useful")):
        done = run(word, made[n].id if n % 2 else f"live-T{n}-{first - 180_000 * n}")
        assert done.output.replace("\n", " ").endswith(f"is noted as {word}. ")
    assert isinstance(run("useful", "AAPL-1-gap").exception, InputError)
    found = json.loads(run("quality", "--json").output)
    assert found["precision"][0]["precision"] == pytest.approx(0.4)
    assert found["proposals"] == [
        {"kind": "price_spike", "now": 2.5, "threshold": 6.4, "noise": 3, "noise_gone": 3, "useful": 2,
         "anomalies": 6, "anomalies_gone": 4}
    ]  # fmt: skip
    text = run("quality").output
    assert "price_spike: threshold 6.4 instead of 2.5." in text
    assert "3 of 3 rated noise, 0 of 2 rated useful" in text


def test_what_is_shown_says_what_people_said_and_what_the_price_did(
    run: Run, notifier: Notifier, endpoints: Endpoints
) -> None:
    began_ms = (_now_ms() - 840_000) // 60_000 * 60_000  # what is older is in digests only
    event = _opened(began_ms)
    bars = [
        ("live", "AAPL", Bar(began_ms + after * 60_000, close, close, close, close, 1.0, 1, None, None))
        for after, close in ((0, 200.0), (5, 190.0))
    ]
    ChartTable(endpoints.client("dynamodb"), "stock-charts").put_bars(bars, {}, began_ms, 1)
    notifier.handle([event], AlertSettings())
    run("noise", event.anomaly.id)
    text = run("show", event.anomaly.id).output
    assert re.search(r"^Noise, says \S+ at .+Z of the AAPL price spike \(high\).$", text, re.MULTILINE)
    assert "The price after 5 min: -5.00%." in text
    assert re.search(r"^\S+ \S+Z +high +goes on +AAPL jumped 2.0 % in 1 s", text, re.MULTILINE)
    shown = json.loads(run("show", event.anomaly.id, "--json").output)
    assert [one["useful"] for one in shown["feedback"]] == [False]
    assert shown["after"] == [{"minutes": 5, "move": pytest.approx(-0.05)}, {"minutes": 30, "move": None}]


def test_settings_are_checked_before_they_are_in_force(
    run: Run, endpoints: Endpoints, tmp_path: Path
) -> None:
    assert json.loads(run("settings", "--json").output)["settings"]["digest"]["every"] == "hour"
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text('{"mute_timings": [{"from": "22:00", "until": "07:00"}]}')
    bad.write_text('{"messages_per_hour": 6}')
    changed = json.loads(run("settings", str(good), "--json").output)
    assert (changed["before"]["mute_timings"], changed["by"]) == ([], getpass.getuser())
    history = endpoints.client("ssm").get_parameter_history(Name="/stock-tracker/alerts")["Parameters"]
    assert history[-1]["Description"] == f"{getpass.getuser()} set all"
    assert isinstance(run("settings", str(bad)).exception, InputError)
    assert isinstance(run("settings", str(tmp_path / "none.json")).exception, InputError)
    report = json.loads(run("settings", "--json").output)["settings"]
    assert report["mute_timings"][0]["from"] == "22:00"
    shown = tmp_path / "shown.json"
    shown.write_text(run("settings").output)
    assert "In force within a minute." in run("settings", str(shown)).output
    assert json.loads(run("settings").output) == report
    endpoints.client("ssm").put_parameter(
        Name="/stock-tracker/alerts", Value="{", Type="String", Overwrite=True
    )
    assert "the last good value stays in force" in json.loads(run("settings", "--json").output)["error"]


def test_a_channel_s_secret_is_asked_for_and_never_shown(endpoints: Endpoints, tmp_path: Path) -> None:
    def secret(channel: str, typed: str) -> Result:
        return CliRunner().invoke(alerts.app, ["secret", channel], input=f"{typed}\n")

    assert "must be one that was added" in str(secret("desk", "x").exception)
    file = tmp_path / "channels.json"
    file.write_text('{"channels": {"desk": {"type": "slack"}}}')
    assert CliRunner().invoke(alerts.app, ["settings", str(file)]).exit_code == 0
    for address in ("https://hooks.slack.com/one", "https://hooks.slack.com/two"):
        done = secret("desk", address)
        assert "webhook_url (the address of an incoming webhook)" in done.output
        assert "Kept as stock-tracker/channels/desk." in done.output
        assert address not in done.output
        kept = endpoints.client("secretsmanager").get_secret_value(SecretId="stock-tracker/channels/desk")
        assert json.loads(kept["SecretString"]) == {"webhook_url": address}


@pytest.mark.usefixtures("endpoints")
def test_a_route_can_be_tried_before_it_is_needed(run: Run, tmp_path: Path) -> None:
    assert run("routes", "test", "--severity", "critical", "--ticker", "tsla").output == "at once: sns\n"
    assert run("routes", "test", "--severity", "low").output == "in a digest: sns\n"
    file = tmp_path / "routes.json"
    file.write_text('{"routes": [{"ticker": "TSLA", "notify": "never"}]}')
    tried = run("routes", "test", "--severity", "high", "--ticker", "TSLA", "--settings", str(file), "--json")
    assert json.loads(tried.output) == {"channels": ["sns"], "notify": "never"}
    assert isinstance(run("routes", "test", "--severity", "worst").exception, InputError)


def test_a_subscriber_may_choose(run: Run, endpoints: Endpoints) -> None:
    done = run("subscribe", "sms", "+15550100", "--severity", "high", "--ticker", "aapl", "--json")
    arn = json.loads(done.output)["subscription"]
    attributes = endpoints.client("sns").get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert json.loads(attributes["FilterPolicy"]) == {"severity": ["high"], "ticker": ["AAPL"]}
    assert isinstance(run("subscribe", "sms", "+15550100", "--severity", "worst").exception, InputError)


def test_a_subscriber_may_choose_anew(run: Run, endpoints: Endpoints) -> None:
    """SNS rejects a second subscription of an endpoint with another filter: localstack/localstack issue 8816."""
    sns, arns = endpoints.client("sns"), set()
    for chosen, filters in (
        (["--severity", "high"], {"severity": ["high"]}),
        (["--ticker", "KO"], {"ticker": ["KO"]}),
        ([], {}),
    ):
        done = run("subscribe", "sms", "+15550101", *chosen, "--json")
        arns.add(json.loads(done.output)["subscription"])
        attributes = sns.get_subscription_attributes(SubscriptionArn=min(arns))["Attributes"]
        assert json.loads(attributes.get("FilterPolicy", "{}")) == filters
    assert len(arns) == 1


def test_a_choice_that_is_not_confirmed_yet_cannot_be_changed() -> None:
    """Until then SNS lists "PendingConfirmation" in place of an ARN (SNS API, "ListSubscriptionsByTopic")."""
    sns = boto3.client("sns", region_name="us-east-1")
    topic, email = f"arn:aws:sns:us-east-1:123456789012:{names.ALERTS_TOPIC}", "ann@example.com"
    pending = {"SubscriptionArn": "PendingConfirmation", "Protocol": "email", "Endpoint": email}
    said = "Invalid parameter: Attributes Reason: Subscription already exists with different attributes"
    with Stubber(sns) as stub:
        stub.add_response("list_topics", {"Topics": [{"TopicArn": topic}]})
        stub.add_response("list_subscriptions_by_topic", {"Subscriptions": [pending]})
        stub.add_client_error("subscribe", "InvalidParameter", said, 400)
        with pytest.raises(InputError, match=r"ann@example\.com: is subscribed with another choice"):
            alert_desk.subscribe(sns, "email", email, ["high"], [])
        stub.assert_no_pending_responses()


@pytest.mark.usefixtures("endpoints")
def test_a_subscriber_may_choose_as_much_as_sns_filters_by(run: Run) -> None:
    """SNS guide, "Filter policy constraints": the numbers of values, multiplied, are 150 at most."""
    chosen = ["--severity", "high", "--severity", "critical"]
    chosen += [word for number in range(75) for word in ("--ticker", f"T{number}")]
    assert run("subscribe", "sms", "+15550100", *chosen).exception is None
    error = run("subscribe", "sms", "+15550100", *chosen, "--ticker", "T75").exception
    assert isinstance(error, InputError)
    assert "2 of severity x 76 of ticker = 152 combinations; must be at most 150" in str(error)


class Clock:
    """A clock that goes on by itself when asked to sleep; `at` is called before each sleep."""

    def __init__(self, at: Callable[[], object]) -> None:
        self.now, self._at = 0.0, at

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self._at()
        self.now += seconds


def test_a_test_waits_until_every_channel_has_it(endpoints: Endpoints, notifier: Notifier) -> None:
    now = datetime.now(UTC)
    now_ms = round(now.timestamp() * 1000)
    request = AlertTest(str(now_ms), now_ms)
    clock: Any = Clock(lambda: notifier.test(request, AlertSettings()))
    store = AlertStore(DynamoTable(endpoints.client("dynamodb"), "stock-alerts"))
    sent = alert_desk.send_test(endpoints, store, now, 5, clock)
    assert [(one["channel"], one["status"], one["receipt"]) for one in sent["deliveries"]] == [
        ("sns", "sent", "receipt-1")
    ]
    assert "sandbox" in alert_view.test_text(sent, endpoints)
    with pytest.raises(FailedError, match="not sent after 5 s: the notifier did not take it"):
        alert_desk.send_test(endpoints, store, datetime.now(UTC), 5, Clock(lambda: None))  # type: ignore[arg-type]


def test_a_test_names_the_channels_that_did_not_take_it() -> None:
    deliveries = (Delivery("sns", "sent", 1), Delivery("desk"), Delivery("tg", "sending", 1))
    message = Message("test-1", "test", 1, ("sns", "desk", "tg"))
    assert alert_desk._stuck(StoredMessage(message, deliveries)).startswith("desk, tg: not taken yet")


def _recording(path: Path, tickers: int, seconds: int = 1500) -> None:
    """Calm walks, one tick a second; at two moments all jump."""
    rng = random.Random(3)
    prices = {f"T{n}": 100.0 for n in range(tickers)}
    with gzip.open(path, "wt", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["ts", "symbol", "price", "bid", "ask", "volume"])
        for second in range(seconds):
            for ticker, last in prices.items():
                prices[ticker] = last * (1 + rng.gauss(0, 1e-4) + (0.03 if second in {1000, 1400} else 0))
                price = round(prices[ticker], 2)
                rows.writerow([1381152600000 + 1000 * second, ticker, price, price - 0.01, price + 0.01, 100])


def test_a_dry_run_shows_what_would_have_gone_out_and_needs_no_monitor(run: Run, tmp_path: Path) -> None:
    _recording(tmp_path / "walk.csv.gz", tickers=10)
    report = json.loads(run("dry-run", str(tmp_path / "walk.csv.gz"), "--json").output)
    assert report["ticks"] == 15_000
    assert report["anomalies"] >= 20
    assert sum(incident["anomaly_count"] for incident in report["incidents"]) == report["anomalies"]
    assert "market" in {incident["subject"] for incident in report["incidents"]}
    assert "market" in {incident["context"]["verdict"] for incident in report["incidents"]}
    lines = [line for message in report["messages"] for line in message["lines"]]
    assert any(re.match(r"As the market: in 5 min all 10 tickers \+[23]\.", line) for line in lines)
    text = run("dry-run", str(tmp_path / "walk.csv.gz")).output
    assert "None was sent." in text
    assert "market-wide" in text


def test_what_goes_on_where_a_recording_ends_is_not_repeated(run: Run, tmp_path: Path) -> None:
    _recording(tmp_path / "walk.csv.gz", tickers=10, seconds=1405)
    report = json.loads(run("dry-run", str(tmp_path / "walk.csv.gz"), "--json").output)
    kinds = {message["kind"] for message in report["messages"]}
    assert "opened" in kinds
    assert "repeated" not in kinds


def test_a_dry_run_takes_settings_and_says_what_is_wrong(run: Run, tmp_path: Path) -> None:
    _recording(tmp_path / "walk.csv", tickers=1)
    (tmp_path / "walk.csv").rename(tmp_path / "walk.csv.gz")
    (tmp_path / "off.json").write_text('{"routes": [{"ticker": "T0", "notify": "never"}]}')
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


@pytest.mark.usefixtures("endpoints")
def test_a_silence_lasts_no_longer_than_the_api_lets_it(run: Run) -> None:
    assert "at most 30 days from now" in str(run("silence", "--all", "--for", "31d").exception)
    assert run("silence", "--all", "--for", "29d").exit_code == 0
