"""One quote's way through the real stacks on the local AWS: schedule to alert, and what bad input does to it."""

from __future__ import annotations

import csv
import gzip
import json
import math
import random
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.monitor import Json, Monitor

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
RECORDING = ROOT.parent / "shared" / "exam" / "open" / "inj_1s_SPY.csv.gz"


@pytest.fixture
def watch_list(monitor: Monitor) -> Iterator[Json]:
    """Put a watch list; the one from before comes back."""
    ssm = monitor.client("ssm")
    before = ssm.get_parameter(Name="/stock-tracker/ticker")["Parameter"]["Value"]
    yield lambda value: ssm.put_parameter(Name="/stock-tracker/ticker", Value=value, Overwrite=True)
    ssm.put_parameter(Name="/stock-tracker/ticker", Value=before, Overwrite=True)


def last_quotes(monitor: Monitor) -> dict[str, Json]:
    return {item["ticker"]: item for item in monitor.get("/api/tickers")["tickers"]}


def test_health(monitor: Monitor) -> None:
    assert monitor.get("/api/health") == {"status": "healthy"}


def test_prices_move_and_are_called_simulated(monitor: Monitor) -> None:
    def quoted() -> Json:
        quotes = last_quotes(monitor).items()
        return {ticker: (item["ts"], item["price"]) for ticker, item in quotes if item["state"] == "live"}

    # A ticker that is halted for 150 s is stale for the last 60 of them.
    before = monitor.eventually(
        lambda: (seen := quoted()) and len(seen) == 10 and seen, 240, "10 tickers quoted"
    )
    monitor.eventually(lambda: quoted() != before, 30, "prices moved")
    assert monitor.get("/api/tickers")["origin"] == "simulated"


def test_anomalies_arrive_with_a_reason(monitor: Monitor) -> None:
    found = monitor.eventually(lambda: monitor.get("/api/anomalies")["anomalies"], 120, "an anomaly")
    assert found[0]["source"] == "simulated"
    assert found[0]["ticker"] in found[0]["explanation"]
    ticker = found[0]["ticker"]
    alone = monitor.get(f"/api/anomalies/{ticker}?limit=1")
    assert (alone["count"], alone["anomalies"][0]["ticker"]) == (1, ticker)


def test_events_of_the_bus_can_be_followed(monitor: Monitor) -> None:
    """After an id that nobody gave: that there is a gap, then all that is kept, then what comes."""
    with urllib.request.urlopen(f"{monitor.origin}/events?after=none", timeout=120) as response:
        names = (line.split()[1] for line in response if line.startswith(b"event: "))
        assert next(names) == b"Gap"
        assert b"AnomalyDetected" in names  # reads until it comes


def test_an_anomaly_is_one_email_and_one_sms(monitor: Monitor) -> None:
    def sent() -> Json:
        messages = monitor.get("/outbox.json?after=0")["messages"]
        # Tests of the roles publish empty ones, which SNS itself would reject.
        return [
            message
            for message in messages
            if message["body"] and not message["body"].startswith("The alarm ")
        ]

    def both() -> Json:
        messages = sent()
        return {m["protocol"] for m in messages} >= {"email", "sms"} and messages

    messages = monitor.eventually(both, 240, "an email and an SMS")
    deliveries = [(m["delivery"], m["protocol"]) for m in messages]
    assert len(deliveries) == len(set(deliveries))
    emails = [m for m in messages if m["protocol"] == "email"]
    assert all(len(email["subject"]) < 100 for email in emails)
    assert all(f"{monitor.origin}/" in email["body"] for email in emails), "a link to the dashboard"


def test_an_operator_may_invoke_the_scanner(monitor: Monitor) -> None:
    answer = monitor.client("lambda").invoke(FunctionName="stock-scanner", Payload=b'{"polls": 1}')
    report = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, report
    assert report["status"] in {"ok", "already running"}


def thresholds(monitor: Monitor) -> list[str]:
    """The threshold in force in the newest block of each partition."""
    blocks = (
        monitor.client("dynamodb").query(
            TableName="stock-windows",
            KeyConditionExpression="pk = :pk AND begins_with(sk, :block)",
            ExpressionAttributeValues={":pk": {"S": f"partition#{number}"}, ":block": {"S": "block#"}},
            ScanIndexForward=False,
            Limit=1,
        )["Items"]
        for number in range(4)
    )
    return [json.dumps(items[0]["threshold"]) for items in blocks if items]


def test_new_settings_take_effect_within_a_minute_and_bad_ones_stop_nobody(
    monitor: Monitor, watch_list: Json
) -> None:
    ssm = monitor.client("ssm")
    try:
        added = ("IBM", "ORCL", "CSCO", "INTC")  # several: each is halted for minutes now and then
        watch_list(f"AAPL,not a ticker!,MSFT,{','.join(added)}")
        ssm.put_parameter(Name="/stock-tracker/threshold", Value="3.25", Overwrite=True)
        monitor.eventually(lambda: any("3.25" in value for value in thresholds(monitor)), 65, "3.25 in force")
        ssm.put_parameter(Name="/stock-tracker/threshold", Value="high", Overwrite=True)
        refused = time.monotonic()
        monitor.eventually(
            lambda: any(last_quotes(monitor).get(ticker, {}).get("state") == "live" for ticker in added),
            65,
            "what was added is quoted",
        )
        time.sleep(max(0, refused + 40 - time.monotonic()))  # longer than the detector keeps a value
        in_force = thresholds(monitor)
        assert in_force
        assert not any("high" in value for value in in_force)
        assert any("3.25" in value for value in in_force)
    finally:
        ssm.put_parameter(Name="/stock-tracker/threshold", Value="2.5", Overwrite=True)


def quarantined(monitor: Monitor) -> list[str]:
    pages = monitor.client("s3").get_paginator("list_objects_v2")
    found = pages.paginate(Bucket="stock-scan-data-000000000000", Prefix="quarantine/")
    return [item["Key"] for page in found for item in page.get("Contents", [])]


def test_a_malformed_tick_put_by_hand_is_quarantined_and_the_ticks_around_it_go_on(monitor: Monitor) -> None:
    kinesis, now = monitor.client("kinesis"), int(time.time() * 1000)
    before = set(quarantined(monitor))
    good = {
        "v": 1,
        "source": "by-hand",
        "symbol": "HAND",
        "price": 10.0,
        "bid": 9.99,
        "ask": 10.01,
        "day_volume": 5,
    }
    data = [
        json.dumps({**good, "ts": now - 2000}),
        '{"v":1,"symbol":"HAND"',
        json.dumps({**good, "ts": now - 1000, "price": 10.5}),
    ]
    for record in data:
        kinesis.put_record(StreamName="stock-quotes", Data=record.encode(), PartitionKey="HAND")
    monitor.eventually(lambda: set(quarantined(monitor)) - before, 30, "the broken tick is in quarantine")
    (key, *_) = set(quarantined(monitor)) - before
    body = (
        monitor.client("s3")
        .get_object(Bucket="stock-scan-data-000000000000", Key=key)["Body"]
        .read()
        .decode()
    )
    assert "JSON" in body

    def closes() -> list[float]:
        return [bar["close"] for bar in monitor.get("/api/quotes/HAND?source=real")["bars"]]

    # The three records were put one by one: they need not have been in one batch.
    monitor.eventually(lambda: closes()[-1:] == [10.5], 30, "the tick after the broken one is in HAND's bars")


def recording(path: Path, ticks: int = 1500, symbol: str = "WALK") -> None:
    """A calm walk, one tick a second on an old Friday, with one jump of 5 % and one row that is no tick."""
    rng, price = random.Random(7), 100.0
    with gzip.open(path, "wt", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["ts", "symbol", "price", "bid", "ask", "volume"])
        for second in range(ticks):
            price *= math.exp(rng.gauss(0, 1e-4)) * (1.05 if second == 1200 else 1)
            quote = round(price, 2)
            rows.writerow(
                [
                    1381152600000 + 1000 * second,
                    symbol,
                    quote,
                    quote - 0.01,
                    quote + 0.01,
                    rng.randrange(50, 150),
                ]
            )
            if second == 100:
                rows.writerow([1381152600000 + 1000 * second + 1, symbol, "n/a", "", "", ""])


def balance(result: subprocess.CompletedProcess[str], left_out: int = 0) -> dict[str, int]:
    """What became of a recording's ticks; the exit code says whether rows of it were left out."""
    assert result.returncode == (1 if left_out else 0), result.stdout + result.stderr
    return dict(json.loads(result.stdout)["balance"])


def test_the_lake_holds_each_tick_that_was_counted(monitor: Monitor, tmp_path: Path) -> None:
    recording(tmp_path / "lake.csv.gz", 300, "LAKE")
    counts = balance(monitor.run("replay", str(tmp_path / "lake.csv.gz"), "--json"), left_out=1)
    columns = "count(*) as ticks, count(distinct ts) as times, min(origin) as origin"
    asked = f"select {columns} from ticks where ticker = 'LAKE'"  # noqa: S608
    for _ in range(2):
        done = monitor.run("sql", "--refresh", asked, "--json")
        assert done.returncode == 0, done.stderr
        (found,) = json.loads(done.stdout)["rows"]
        assert found == {"ticks": counts["in_windows"], "times": counts["in_windows"], "origin": "replay"}


def test_a_recording_is_replayed_through_the_real_path_twice_with_one_set_of_anomalies(
    monitor: Monitor, tmp_path: Path
) -> None:
    recording(tmp_path / "walk.csv.gz")
    counts = balance(monitor.run("replay", str(tmp_path / "walk.csv.gz"), "--json"), left_out=1)
    assert counts["ticks_in"] == counts["in_windows"] == 1500
    found = monitor.eventually(lambda: monitor.get("/api/anomalies/WALK")["anomalies"], 30, "the jump")
    assert any(item["timestamp"].startswith("2013-10-07T13:50:00") for item in found), found
    again = balance(monitor.run("replay", str(tmp_path / "walk.csv.gz"), "--json"), left_out=1)
    assert again["in_windows"] == 1500

    def of_run(source: str) -> list[tuple[str, str, float]]:
        listed = monitor.get("/api/anomalies/WALK")["anomalies"]
        return [
            (item["timestamp"].partition("#")[0], item["kind"], item["score"])
            for item in listed
            if item["source"] == source
        ]

    first = found[0]["source"]
    sources = {item["source"] for item in monitor.get("/api/anomalies/WALK")["anomalies"]}
    (second,) = sources - {first}
    assert of_run(second) == of_run(first)  # each run has the same ones, under its own source


@pytest.mark.skipif(not RECORDING.exists(), reason="the recording of real ticks is not on this machine")
def test_two_days_of_real_seconds_are_all_accounted_for(monitor: Monitor) -> None:
    counts = balance(monitor.run("replay", str(RECORDING), "--json", timeout=300))
    assert counts["ticks_in"] == 45017
    assert counts["in_windows"] == 45017
    assert monitor.get("/api/anomalies/SPY")["count"] > 0


@pytest.mark.parametrize("what", ["ticks", "anomalies"])
def test_a_second_terminal_can_follow(monitor: Monitor, what: str) -> None:
    process = monitor.program("tail", what, "--json")
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert json.loads(line)
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT
    assert "Traceback" not in errors


def test_endpoints_and_status_for_programs(monitor: Monitor) -> None:
    endpoints = json.loads(monitor.run("endpoints", "--json").stdout)
    assert endpoints["dashboard"] == f"{monitor.origin}/"
    assert endpoints["api"] == f"{monitor.origin}/api"
    assert endpoints["aws"] == monitor.aws

    def working() -> str:
        done = monitor.run("status", "--json")
        return done.stdout if done.returncode == 0 else ""

    assert json.loads(monitor.eventually(working, 60, "all parts work"))


def test_everything_listens_on_loopback_only(monitor: Monitor) -> None:
    pids = {path.read_text().split()[0] for path in monitor.directory.glob("*.pid")}
    listening = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=True).stdout
    mine = [line.split()[3] for line in listening.splitlines() if any(f"pid={pid}," in line for pid in pids)]
    assert monitor.origin.removeprefix("http://") in mine
    assert not [address for address in mine if not address.startswith("127.0.0.1:")]


def test_a_second_up_changes_nothing(monitor: Monitor) -> None:
    def stacks() -> Json:
        found = monitor.client("cloudformation").describe_stacks()["Stacks"]
        return {item["StackName"]: item.get("LastUpdatedTime", item["CreationTime"]) for item in found}

    before = stacks()
    up = monitor.make("localstack.up")
    assert up.returncode == 0, up.stdout + up.stderr
    assert "Stacks: unchanged" in up.stdout
    assert "Local AWS: running" in up.stdout
    assert stacks() == before


def test_after_a_change_of_the_code_up_starts_its_programs_anew_and_data_survives(monitor: Monitor) -> None:
    """They ran on, without a word; what `make down` keeps is in test_recovery.py."""
    ticker = monitor.get("/api/anomalies?limit=1")["anomalies"][0]["ticker"]
    before = monitor.get(f"/api/anomalies/{ticker}?limit=100")["anomalies"]
    assert before
    files = sorted(monitor.directory.glob("*.pid"))
    were = [file.read_text().splitlines() for file in files]
    for file, (pid, start, _) in zip(files, were, strict=True):
        file.write_text(f"{pid}\n{start}\nother code\n")
    up = monitor.make("localstack.up")
    assert up.returncode == 0, up.stdout + up.stderr
    assert "Local AWS: started" in up.stdout
    assert "Stacks: unchanged" in up.stdout
    are = [file.read_text().splitlines() for file in files]
    assert len(files) == 3
    assert all(old[0] != new[0] and old[2] == new[2] for old, new in zip(were, are, strict=True))
    after = monitor.get(f"/api/anomalies/{ticker}?limit=200")["anomalies"]
    assert {item["id"] for item in before} <= {item["id"] for item in after}
    newest = max(item["ts"] for item in last_quotes(monitor).values())  # a single ticker may be halted
    monitor.eventually(
        lambda: max(item["ts"] for item in last_quotes(monitor).values()) > newest, 60, "quotes flow again"
    )
