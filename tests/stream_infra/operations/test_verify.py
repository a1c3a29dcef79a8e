"""The proof of a deployment: what fails it, with which cause, and that it leaves nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from consumers.alerts.table import DynamoTable, Put
from consumers.detector.invocation import Consumer
from consumers.redrive.dead_letters import failed_batch
from consumers.stream.kpl import user_records
from consumers.stream.thresholds import Threshold
from producers.origin import origin_of
from producers.partitions import partition_of
from producers.quote_batch import decode
from stream_infra import names
from stream_infra.cli.commands import verify as command
from stream_infra.cli.main import app
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.errors import FailedError
from stream_infra.operations.facts import (
    Bucket,
    Denied,
    EventRule,
    Function,
    LogErrors,
    MonitorFacts,
    QuoteSource,
    SourceMapping,
)
from stream_infra.operations.offline.lines import LineDetector
from stream_infra.operations.verify import judgement, leftovers, run, subscriber
from stream_infra.operations.verify.judgement import StepResult
from stream_infra.operations.verify.sent import KIND, TICKER, Sent
from tests.aws import aws_in_memory, create_table
from tests.consumers import kit
from tests.stream_infra.operations.test_doctor import DATA, NOW, SOUND

HERE = Endpoints(None, None, None, None)
CLOSED = replace(SOUND, market_open=False)
QUEUE_POLICY = "its policy allows events.amazonaws.com no sqs:SendMessage"
PLANTED: dict[str, tuple[MonitorFacts, str, str, str]] = {
    # what is broken: the facts, cause, words of the finding, words of the remedy
    "subscriber gone": (
        replace(CLOSED, subscribers={**SOUND.subscribers, names.ALERTS_TOPIC: 0}),
        "nobody-is-notified", names.ALERTS_TOPIC, "subscribe",
    ),
    "rule disabled": (
        replace(CLOSED, rules={**SOUND.rules, names.ANOMALY_RULE: EventRule("DISABLED")}),
        "rule-disabled", names.ANOMALY_RULE, "enable-rule",
    ),
    "schedule disabled": (
        replace(CLOSED, rules={**SOUND.rules, names.SCHEDULE_RULE: EventRule("DISABLED")}),
        "schedule-stopped", names.SCHEDULE_RULE, "enable-rule",
    ),
    "policy removed": (
        replace(CLOSED, denied=(Denied(names.DETECTOR, "dynamodb:BatchWriteItem", "arn:table"),)),
        "missing-permission", "dynamodb:BatchWriteItem", "--revert-drift",
    ),
    "secret missing": (
        replace(CLOSED, source=QuoteSource("alpaca", problem="the secret stock-tracker/source-keys is not there")),
        "feed-dead", "cannot be used", "stock-scanner",
    ),
    "mapping stopped": (
        replace(CLOSED, mappings={**SOUND.mappings, names.DETECTOR: SourceMapping("u-1", "Disabled")}),
        "mapping-disabled", names.DETECTOR, "--enabled",
    ),
    "wrong handler": (
        replace(CLOSED, functions={**SOUND.functions, names.NOTIFIER: Function(wrong_handler="nobody.handler")}),
        "wrong-handler", "nobody.handler", names.HANDLERS[names.NOTIFIER],
    ),
    "queue policy": (
        replace(CLOSED, queue_policies={names.NOTIFIER_QUEUE: QUEUE_POLICY}),
        "queue-policy", names.NOTIFIER_QUEUE, "--revert-drift",
    ),
    "topic key": (
        replace(CLOSED, topic_keys={names.OPERATIONS_TOPIC: "the key k is Disabled"}),
        "topic-key", "Disabled", "enable-key",
    ),
    "alarm action": (
        replace(CLOSED, silent_alarms=("api-5xx-errors",)),
        "alarm-without-action", "api-5xx-errors", "enable-alarm-actions",
    ),
    "bucket notification": (
        replace(CLOSED, buckets={**SOUND.buckets, DATA: Bucket(has_index=False, announces=False)}),
        "bucket-is-silent", DATA, "put-bucket-notification-configuration",
    ),
}  # fmt: skip


def untouched(*_: Any) -> Any:
    raise AssertionError("nothing may be sent to a monitor that is known to be broken")


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_breakage_fails_with_its_cause_before_anything_is_sent(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts, cause, words, remedy = PLANTED[what]
    monkeypatch.setattr(Endpoints, "client", untouched)
    (result,) = run.verify(HERE, lambda: facts)
    assert not result.passed
    (named,) = result.causes
    assert (named.cause, words in named.finding, remedy in named.remedy) == (cause, True, True), named


@pytest.mark.parametrize("facts", [SOUND, CLOSED])
def test_a_sound_deployment_passes_whether_the_market_is_open_or_closed(facts: MonitorFacts) -> None:
    assert judgement.judge_parts(facts).passed


def test_what_the_day_brings_fails_no_proof() -> None:
    facts = replace(
        CLOSED,
        queues={**SOUND.queues, names.DEAD_LETTER_QUEUE: 3},
        functions={**SOUND.functions, names.DETECTOR: Function(throttles=7)},
        last_poll=NOW + timedelta(days=1),
        quarantined=5,
    )
    assert judgement.judge_parts(facts).passed


def test_a_step_that_fails_names_causes_of_its_own_parts_first() -> None:
    both = replace(
        CLOSED,
        rules={**SOUND.rules, names.ANOMALY_RULE: EventRule("DISABLED")},
        mappings={**SOUND.mappings, names.DETECTOR: SourceMapping("u-1", "Disabled")},
    )
    first, *_ = judgement.causes_of(judgement.NOTIFIER, "late", both)
    assert first.cause == "rule-disabled"
    (stream,) = judgement.causes_of(judgement.STREAM, "late", both)
    assert stream.cause == "mapping-disabled"


def test_a_failure_that_nothing_explains_shows_the_log() -> None:
    errors = {names.DETECTOR: LogErrors(1, "MemoryError: out of it", NOW)}
    (found,) = judgement.causes_of(judgement.STREAM, "after 60 s still not", replace(CLOSED, errors=errors))
    assert (found.cause, found.finding) == ("unknown", "after 60 s still not")
    assert "MemoryError" in found.because
    assert "aws logs tail /aws/lambda/stock-detector" in found.remedy


class TestRecording:
    """The recording that comes with the package."""

    def test_it_holds_one_anomaly_at_the_calibrated_and_at_a_high_threshold(self) -> None:
        sent = Sent(datetime.now(UTC))
        for threshold in ("2.5", "50"):
            answers = [
                json.loads(line) for line in LineDetector(Threshold.parse(threshold)).judge_ticks(sent.ticks)
            ]
            flagged = [
                (tick.ts, one["kind"]) for tick, one in zip(sent.ticks, answers, strict=True) if one["flag"]
            ]
            assert flagged == [(sent.spike_ms, KIND)]

    def test_its_times_end_now_and_its_origin_is_its_own(self) -> None:
        now = datetime(2026, 11, 29, 0, 30, tzinfo=UTC)  # a Sunday
        sent = Sent(now)
        assert sent.ticks[-1].ts == now.timestamp() * 1000
        assert origin_of(sent.source) == "verify"
        assert sent.source != Sent(now).source
        assert sent.anomaly == f"{TICKER}-{sent.spike_ms}-{KIND}@{sent.source}"

    def test_its_failed_batch_is_one_that_can_be_redriven(self) -> None:
        sent = Sent(datetime.now(UTC))
        with aws_in_memory():
            kinesis = boto3.client("kinesis")
            kinesis.create_stream(StreamName=names.STREAM, ShardCount=1)
            sent.send(kinesis, 4)
        batch = failed_batch(sent.failed_batch(f"arn:aws:kinesis:us-east-1:1:stream/{names.STREAM}"))
        assert batch.records is not None
        assert (batch.shard, batch.size) == (sent.records[0].shard, len(sent.records))
        payloads = [payload for one in batch.records for payload in user_records(one.data or b"")[0]]
        assert sum(len(decode(payload)[0]) for payload in payloads) == len(sent.ticks)
        assert {one.partition_key for one in batch.records} == {str(partition_of(TICKER, 4))}

    @pytest.mark.parametrize("again", [True, False])
    def test_once_its_first_tick_came_again_nothing_deleted_comes_back(self, *, again: bool) -> None:
        memory, stream = kit.Memory(), Taken()
        sent = Sent(datetime.fromtimestamp(kit.NOW_MS / 1000, UTC))
        sent.send(stream, 2)
        first = kit.consumer(memory)
        stream.deliver(first)
        found = (memory.anomalies, memory.events, memory.bars, memory.quotes)
        assert all(found)
        for kept in found:
            kept.clear()
        if again:
            sent.send_first_again(stream, 2)
            stream.deliver(first)
        stream.deliver(kit.consumer(memory), kit.payload([(TICKER, kit.NOW_MS + 5_000, 100.0)], "coinbase"))
        origins = {anomaly.source for anomaly in memory.anomalies.values()} | {of for of, *_ in memory.bars}
        assert any("verify" in of for of in origins) is not again


class Taken:
    """A stream that holds what was put until it is delivered."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._taken = 1000

    def put_records(self, **request: Any) -> Any:
        """Take all."""
        self._waiting += [entry["Data"] for entry in request["Records"]]
        records = [
            {"ShardId": kit.SHARD, "SequenceNumber": str(index)} for index in range(len(self._waiting))
        ]
        return {"FailedRecordCount": 0, "Records": records[-len(request["Records"]) :]}

    def deliver(self, consumer: Consumer, *more: bytes) -> None:
        """Deliver what waits and `more`."""
        records = []
        for data in (*self._waiting, *more):
            self._taken += 1
            records.append(kit.Sent(data, str(self._taken), kit.NOW_MS))
        self._waiting.clear()
        assert not consumer.consume(kit.event(records), 1 << 62).response()["batchItemFailures"]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoints]:
    """What the steps write to, in memory."""
    monkeypatch.setattr(Endpoints, "client", lambda _, service: boto3.client(service))
    with aws_in_memory():
        create_table(names.ANOMALIES_TABLE, "ticker", "timestamp")
        create_table(names.CHARTS_TABLE)
        create_table(names.ALERTS_TABLE)
        bucket = names.data_bucket(HERE.account())
        boto3.client("s3").create_bucket(Bucket=bucket)
        enabled: Any = {"Status": "Enabled"}
        boto3.client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration=enabled)
        for topic in (names.ALERTS_TOPIC, names.OPERATIONS_TOPIC):
            boto3.client("sns").create_topic(Name=topic)
        yield HERE


def steps_of(patch: pytest.MonkeyPatch, *steps: Callable[[run.VerifyContext], str]) -> None:
    patch.setattr(run, "EVENT_SECONDS", 0)  # no event is on its way: nothing runs beside the test
    kinds = (judgement.STREAM, judgement.TABLE, judgement.ALARM)
    patch.setattr(run, "_STEPS", tuple(zip(kinds, steps, strict=True)))


def fill(context: run.VerifyContext) -> str:
    """What a whole proof leaves, and beside it what others did."""
    dynamodb, sent = boto3.client("dynamodb"), context.sent
    for source in (sent.source, "verify-another"):
        item: Any = {
            "ticker": TICKER,
            "timestamp": f"t@{source}",
            "source": source,
            "id": f"{TICKER}-1-gap@{source}",
        }
        dynamodb.put_item(
            TableName=names.ANOMALIES_TABLE, Item={key: {"S": value} for key, value in item.items()}
        )
    for pk in ("live#verify", "live#live"):
        dynamodb.put_item(TableName=names.CHARTS_TABLE, Item={"pk": {"S": pk}, "sk": {"S": "0"}})
    context.test_ms = 1_764_000_000_000
    incident = f"verify-{TICKER}-1764000000000"
    bodies = {
        (f"anomaly#{sent.anomaly}", "record"): json.dumps({"incident": incident}),
        (f"anomaly#{TICKER}-1-gap@{sent.source}", "record"): json.dumps({"incident": incident}),
        ("incidents#2025-11-24", f"1764000000000#{incident}"): "{}",
        ("due", f"1764000060000#{incident}"): "{}",
        ("due", "1764000060000#live-AAPL-1764000000000"): "{}",
        ("group#verify", TICKER): "{}",
        ("messages#2025-11-24", "1764000000000#test-1764000000000"): "{}",
        ("messages#2025-11-24", "1764000000000#test-1764000000000#>sns"): "{}",
        ("messages#2025-11-24", "1764000000000#another"): "{}",
    }
    DynamoTable(dynamodb, names.ALERTS_TABLE).write([Put(place, body, 0) for place, body in bodies.items()])
    bucket = names.data_bucket(context.account)
    boto3.client("s3").put_object(Bucket=bucket, Key=context.batch_key, Body=b"")
    return "filled"


def keys_left() -> set[str]:
    found = set()
    for table in (names.ANOMALIES_TABLE, names.CHARTS_TABLE, names.ALERTS_TABLE):
        for item in boto3.client("dynamodb").scan(TableName=table)["Items"]:
            kept = (item[name]["S"] for name in ("ticker", "timestamp", "pk", "sk") if name in item)
            found.add(" ".join(kept))
    return found


OTHERS = {
    f"{TICKER} t@verify-another",
    "live#live 0",
    "due 1764000060000#live-AAPL-1764000000000",
    "messages#2025-11-24 1764000000000#another",
}


def nothing_left(endpoints: Endpoints) -> bool:
    bucket = names.data_bucket(endpoints.account())
    return (
        keys_left() == OTHERS
        and "Versions" not in boto3.client("s3").list_object_versions(Bucket=bucket)
        and boto3.client("sqs").list_queues().get("QueueUrls", []) == []
        and boto3.client("sns").list_subscriptions()["Subscriptions"] == []
    )


def failing(_: run.VerifyContext) -> str:
    raise FailedError("it did not come")


def test_what_was_made_is_deleted_and_nothing_of_others(
    aws: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps_of(monkeypatch, fill, lambda _: "found", lambda _: "came")
    results = list(run.verify(aws, lambda: SOUND))
    assert [result.passed for result in results] == [True] * 5
    assert nothing_left(aws)


def test_a_step_that_fails_stops_what_goes_on_from_it_and_nothing_else(
    aws: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    def filled_and_failing(context: run.VerifyContext) -> str:
        fill(context)
        return failing(context)

    steps_of(monkeypatch, filled_and_failing, untouched, lambda _: "came")
    facts = iter([SOUND, replace(SOUND, mappings={names.DETECTOR: SourceMapping("u-1", "Disabled")})])
    results = {result.name: result for result in run.verify(aws, lambda: next(facts))}
    assert [name for name, result in results.items() if not result.passed] == ["stream"]
    assert "table" not in results
    assert results["alarm"].passed
    assert [cause.cause for cause in results["stream"].causes] == ["mapping-disabled"]
    assert nothing_left(aws)


@pytest.mark.parametrize("interrupted", [True, False])
def test_ctrl_c_deletes_what_was_made(
    aws: Endpoints, monkeypatch: pytest.MonkeyPatch, *, interrupted: bool
) -> None:
    """It comes while a step waits, or while a result is printed."""

    def interrupt(_: run.VerifyContext) -> str:
        if interrupted:
            raise KeyboardInterrupt
        return "goes on"

    steps_of(monkeypatch, fill, interrupt, failing)
    results = run.verify(aws, lambda: SOUND)
    assert [next(results).name for _ in range(2)] == ["parts", "stream"]
    if interrupted:
        with pytest.raises(KeyboardInterrupt):
            next(results)
    else:
        results.close()
    assert nothing_left(aws)


def test_queues_of_proofs_that_were_killed_go_and_younger_ones_stay(
    aws: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subscriber.subscribed(aws, "killed", aws.account()):
        subscriber.remove_abandoned(aws, aws.account())
        assert len(boto3.client("sqs").list_queues()["QueueUrls"]) == 1
        monkeypatch.setattr(subscriber, "ABANDONED_SECONDS", -1)
        subscriber.remove_abandoned(aws, aws.account())
        assert nothing_subscribed()


def nothing_subscribed() -> bool:
    queues = boto3.client("sqs").list_queues().get("QueueUrls", [])
    return queues == [] and boto3.client("sns").list_subscriptions()["Subscriptions"] == []


def test_what_is_left_is_said(aws: Endpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    steps_of(monkeypatch, fill, lambda _: "", lambda _: "")
    monkeypatch.setattr(leftovers, "delete", lambda *_: None)
    *_, last = run.verify(aws, lambda: SOUND)
    assert not last.passed
    assert f"{names.ALERTS_TABLE} group#verify {TICKER}" in last.detail


@pytest.mark.parametrize("passed", [True, False])
def test_the_command_says_each_step_and_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, *, passed: bool
) -> None:
    facts, *_ = PLANTED["queue policy"]
    results = [StepResult("parts", passed=True, detail="all as deployed")]
    results += [] if passed else [judgement.judge_parts(facts)]
    monkeypatch.setattr(command, "resolve", lambda _: HERE)
    monkeypatch.setattr(run, "verify", lambda *_: (result for result in results))
    answer = CliRunner().invoke(app, ["verify", "--json"])
    said = json.loads(answer.stdout)
    assert (answer.exit_code, said["passed"]) == (0 if passed else 1, passed)
    person = CliRunner().invoke(app, ["verify"]).output
    assert "✓ all as deployed" in person
    if not passed:
        assert said["steps"][1]["causes"][0]["runbook"] == "docs/runbook.md#queue-policies"
        assert "queue-policy: EventBridge may not send to stock-notifier-queue" in person
        assert "remedy" in person
