"""A rule from the command line to the phones: set, met by a tick, in every channel once, whatever fails between."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import boto3
import pytest
from typer.testing import CliRunner

from consumers.alerts import channels
from consumers.alerts.event import AlertEvent
from consumers.alerts.settings import AlertSettings, ChannelSettings
from consumers.stores.parameters import ThresholdParameter
from consumers.stream.rules import PARAMETER
from consumers.stream.thresholds import EFFECTIVE_AFTER_MS, ThresholdVersion
from producers.archive import Archive
from producers.partitions import partition_of
from stream_infra import names
from stream_infra.cli.commands import rules
from stream_infra.operations.endpoints import Endpoints
from tests.aws import aws_in_memory
from tests.consumers import kit
from tests.consumers.alerts.bench import Bench, received

SORTS = {
    "level": ["--ticker", "AAPL", "--above", "200", "--repeat", "once"],
    "move": ["--moves", "3", "--minutes", "2"],
    "spread": ["--ticker", "AAPL", "--spread", "300"],
    "volume": ["--ticker", "AAPL", "--volume", "20"],
}
OTHERS = {
    "telegram": {"chat_id": "1"},
    "webhook": {"url": "https://example.com"},
    "sns": {"topic_arn": "arn:aws:sns:us-east-1:111122223333:desk"},
}
EVERY = AlertSettings(
    channels={
        f"my-{name}": ChannelSettings(type=name, settings=OTHERS.get(name, {})) for name in channels.names()
    },
    market_wide=None,
)


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    found = Endpoints("https://monitor.example/", None, None, None)
    monkeypatch.setattr(rules, "resolve", lambda _aws: found)
    with aws_in_memory():
        yield


def _set_by_cli(sort: str) -> list[ThresholdVersion]:
    """Add a rule by the command; return the versions as the detector reads them."""
    result = CliRunner().invoke(rules.app, ["add", f"my-{sort}", *SORTS[sort], "--json"])
    assert result.exit_code == 0, result.output
    added = json.loads(result.stdout)
    assert (added["id"], added["severity"]) == (f"my-{sort}", "high")
    assert json.loads(CliRunner().invoke(rules.app, ["list", "--json"]).stdout) == {"rules": [added]}
    ssm = boto3.client("ssm")
    written = ssm.get_parameter(Name=PARAMETER)["Parameter"]
    set_ms = round(written["LastModifiedDate"].timestamp() * 1000)
    parameter = ThresholdParameter(ssm, "/none", lambda: set_ms, lambda *_: None)
    (rule,) = parameter.history().in_force(set_ms + EFFECTIVE_AFTER_MS).rules
    assert rule.id == f"my-{sort}"
    assert parameter.history().in_force(set_ms + EFFECTIVE_AFTER_MS - 1).rules == ()
    return [ThresholdVersion(1, 0, written["Value"])]


def _records() -> list[kit.Sent]:
    """Return quotes in which AAPL crosses 200 once, by 5 %, at a wide spread, with a large volume."""
    sent: list[kit.Sent] = []
    partition = str(partition_of("AAPL", 2))
    volume = 0.0
    for second in range(60):
        jump = second >= 50
        price = 204.0 if jump else 194.0 + 0.01 * (second % 3)
        half = 5.0 if second == 50 else 0.02
        volume += 90_000.0 if second == 50 else 100.0
        ts = 1_795_530_600_000 + 1000 * second
        rows: list[kit.Row] = [("AAPL", ts, price, price - half, price + half, volume)]
        sent.append(kit.Sent(kit.payload(rows), str(1000 + second), ts + 40, partition))
    return sent


def _detected(memory: kit.Memory, faults: kit.Faults) -> None:
    """Deliver everything, twice, through crashes of the function."""
    sent = _records()
    process = kit.consumer(memory, faults)
    for batch in (sent[:30], sent[:30], sent[20:], sent):
        for _ in range(5):
            try:
                process.consume(kit.event(batch), 1 << 62)
            except kit.Crash:
                process = kit.consumer(memory, faults)
            else:
                break


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("crash", [None, 9, 12, 15], ids=str)
def test_a_rule_is_met_once_and_in_every_channel_once(sort: str, crash: int | None) -> None:
    memory = kit.Memory(rules=_set_by_cli(sort))
    _detected(memory, kit.Faults({} if crash is None else {crash: "crash-after"}))
    own = [anomaly for anomaly in memory.anomalies.values() if anomaly.kind == "rule"]
    assert [anomaly.window["rules"] for anomaly in own] == [[f"my-{sort}"]]
    assert own[0].timestamp.startswith("2026-11-24T14:30:50")
    assert f"(rule my-{sort})" in own[0].explanation

    bench = Bench(settings=EVERY)
    events = [received(event) for event in memory.events.values()]
    of_rules: list[AlertEvent] = [event for event in events if event.anomaly.kind == "rule"]
    bench.take(*events, at_ms=own_ms(of_rules))
    bench.take(*events)  # the queue delivers at least once
    bench.sweep(after_minutes=1)
    told = Counter(
        channel
        for channel, message in bench.phones.sent
        if message.cause is not None and message.cause.kind == "rule" and message.kind == "opened"
    )
    assert told == dict.fromkeys(EVERY.channel_names, 1)
    (said,) = [
        said for message, said in zip(bench.sent(), bench.said(), strict=True) if "rule my" in said.title
    ]
    assert said.title.startswith("HIGH: AAPL ")


def own_ms(events: list[AlertEvent]) -> int:
    """Return shortly after the events."""
    return max(event.at_ms for event in events) + 300


def test_a_rule_that_is_gone_is_named_and_a_bad_one_rejected() -> None:
    run = CliRunner()
    for arguments, said in (
        (["add", "a", "--above", "200"], "rule 'a': ticker is ''; must be named, where a price is the limit"),
        (["add", "a", "--above", "2", "--below", "1", "--ticker", "KO"], "must be one of --above, --below"),
        (["add", "a", "--moves", "3"], "must be 1 to 240 for moves"),
        (["remove", "a"], "no rule is called 'a'"),
        (["test"], "there are no rules"),
    ):
        result = run.invoke(rules.app, arguments)
        assert result.exit_code == 1
        assert said in str(result.exception)
    assert run.invoke(rules.app, ["add", "a", "--spread", "50"]).exit_code == 0
    again = run.invoke(rules.app, ["add", "a", "--spread", "60"])
    assert "two rules have the id 'a'; must be different ids" in str(again.exception)
    assert "a: any ticker: the spread is 50 bp or wider" in run.invoke(rules.app, ["list"]).output
    assert run.invoke(rules.app, ["remove", "a"]).exit_code == 0
    assert run.invoke(rules.app, ["list"]).output == "No rules.\n"


def test_the_last_day_is_replayed_and_nothing_is_sent() -> None:
    s3 = boto3.client("s3")
    bucket = names.data_bucket("123456789012")
    s3.create_bucket(Bucket=bucket)
    now = datetime.now(UTC)
    start_ms = round(now.timestamp() * 1000) - 3_600_000
    run = CliRunner()
    assert run.invoke(rules.app, ["add", "level", "--ticker", "AAPL", "--above", "200"]).exit_code == 0
    assert "no quotes of AAPL were archived" in str(run.invoke(rules.app, ["test"]).exception)
    archive = Archive(s3, bucket)
    for second, price in enumerate([199.0, 201.0, 198.0, 202.0]):
        archive.add(kit.quote_batch([("AAPL", start_ms + 1000 * second, price), ("KO", start_ms, 300.0)]))
    archive.write(start_ms)
    result = run.invoke(rules.app, ["test", "level", "--json"])
    assert result.exit_code == 0, result.exception
    found = json.loads(result.output)
    assert (found["ticks"], found["tickers"]) == (4, ["AAPL"])
    assert [message["title"] for message in found["messages"]] == [
        "HIGH: AAPL rose above 200.00, to 201.00 (rule level)",
        "HIGH: AAPL rose above 200.00, to 202.00 (rule level)",
    ]
    assert "2 messages over 4 ticks of AAPL. None was sent." in run.invoke(rules.app, ["test"]).output
