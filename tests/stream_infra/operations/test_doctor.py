"""The doctor's judgement, on facts as AWS gives them where no emulator can be broken that way."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from consumers.contracts.counts import TickCounts
from stream_infra import names
from stream_infra.operations.doctor import causes, examine
from stream_infra.operations.doctor.diagnosis import SECTIONS, Diagnosis, diagnose, healthy
from stream_infra.operations.facts import (
    Alarm,
    Bucket,
    Denied,
    EventRule,
    FeedFacts,
    Function,
    LogErrors,
    MonitorFacts,
    QuoteSource,
    SourceMapping,
    Stream,
    TableFacts,
    Windows,
)
from stream_infra.operations.health import Finding

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
DATA = "stock-scan-data-123456789012"
TABLES = (names.ANOMALIES_TABLE, names.WINDOWS_TABLE, names.CHARTS_TABLE, names.ALERTS_TABLE)
RULES = (names.SCHEDULE_RULE, names.DIGEST_RULE, names.ANOMALY_RULE, names.FAILED_BATCH_RULE)
SOUND = MonitorFacts(
    now=NOW,
    local=False,
    stacks=dict.fromkeys(names.STACKS, "UPDATE_COMPLETE"),
    functions=dict.fromkeys(names.FUNCTIONS, Function()),
    rules=dict.fromkeys(RULES, EventRule()),
    mappings={names.DETECTOR: SourceMapping("u-1"), names.NOTIFIER: SourceMapping("u-2")},
    parameters={names.TICKER_PARAMETER: "AAPL,MSFT", names.THRESHOLD_PARAMETER: "2.5"},
    queues={names.DEAD_LETTER_QUEUE: 0, names.NOTIFIER_DEAD_LETTER_QUEUE: 0, names.NOTIFIER_QUEUE: 40},
    tables=dict.fromkeys(TABLES, TableFacts()),
    buckets={DATA: Bucket(has_index=False), "stock-dashboard-123456789012": Bucket(versioned=False)},
    feed=FeedFacts("alpaca", NOW),
    subscribers={names.ALERTS_TOPIC: 2, names.OPERATIONS_TOPIC: 1},
)
STALE = (Finding("stream", "failed", "newest record 9 min ago"), Finding("windows", "failed", "9 min ago"))


def test_a_sound_monitor_has_nothing() -> None:
    assert causes.find(SOUND) == []
    windows = Windows({0: NOW}, TickCounts(1, 1), {"AAPL": NOW + timedelta(seconds=3)})
    assert causes.find(replace(SOUND, windows=windows, last_poll=NOW + timedelta(seconds=4))) == []
    assert healthy(diagnose([], (), (), local=False))


BROKEN: dict[str, tuple[MonitorFacts, str, str]] = {
    "function is missing": (
        replace(SOUND, functions={**SOUND.functions, names.DETECTOR: None}), "missing-resource", "stock-detector",
    ),
    "function failed to update": (
        replace(SOUND, functions={
            **SOUND.functions,
            names.DETECTOR: Function("Active", "Failed", "The provided execution role does not have permissions"),
        }),
        "function-failed", "does not have permissions",
    ),
    "function is throttled": (
        replace(SOUND, functions={**SOUND.functions, names.DETECTOR: Function(throttles=7)}),
        "function-throttled", "throttled 7 times",
    ),
    "detector's mapping is disabled": (
        replace(SOUND, mappings={**SOUND.mappings, names.DETECTOR: SourceMapping("u-1", "Disabled", "USER_INITIATED")}),
        "mapping-disabled", "USER_INITIATED",
    ),
    "detector's mapping is missing": (
        replace(SOUND, mappings={**SOUND.mappings, names.DETECTOR: None}), "missing-resource", "event source mapping",
    ),
    "stream is missing": (replace(SOUND, stream=None), "missing-resource", "the stream stock-quotes"),
    "stream is throttled": (replace(SOUND, stream=Stream(throttles=3)), "stream-throttled", "throttled 3 records"),
    "data bucket is missing": (
        replace(SOUND, buckets={**SOUND.buckets, DATA: None}), "missing-resource", DATA,
    ),
    "windows table is missing": (
        replace(SOUND, tables={**SOUND.tables, names.WINDOWS_TABLE: None}), "missing-resource", "stock-windows",
    ),
    "feed is silent": (
        replace(SOUND, feed=FeedFacts("alpaca", NOW, "closed", "2026-11-24T14:50:00.000Z")),
        "feed-dead", "since 2026-11-24T14:50",
    ),
    "breaker is open": (
        replace(SOUND, feed=FeedFacts("alpaca", NOW, "open", "", "status 503")), "feed-dead", "status 503",
    ),
    "last poll failed": (
        replace(SOUND, feed=FeedFacts("alpaca", NOW, failing="alpaca rejects the key")),
        "feed-dead", "alpaca rejects the key",
    ),
    "scanner may not write": (
        replace(SOUND, denied=(Denied(names.SCANNER, "kinesis:PutRecords", "arn:stream"),)),
        "missing-permission", "kinesis:PutRecords on arn:stream",
    ),
    "log tells of a refusal": (
        replace(SOUND, errors={names.SCANNER: LogErrors(1, "[ERROR] ClientError: An error occurred (AccessDenied"
                                                        "Exception) when calling the PutRecords operation", NOW)}),
        "missing-permission", "PutRecords",
    ),
    "scanner's clock is ahead": (
        replace(SOUND, last_poll=NOW + timedelta(days=1)), "clock-ahead", "last poll is 86,400 s in the future",
    ),
    "windows are ahead": (
        replace(SOUND, windows=Windows({0: NOW}, TickCounts(1, 1), {"AAPL": NOW + timedelta(hours=1)})),
        "clock-ahead", "newest tick in the windows is 3,600 s in the future",
    ),
    "producer's clock is behind": (
        replace(SOUND, windows=Windows({0: NOW}, TickCounts(1, 1), {"AAPL": NOW - timedelta(hours=1)})),
        "clock-behind", "ticks arrive 3,600 s after their time",
    ),
    "handler is another": (
        replace(SOUND, functions={**SOUND.functions, names.DETECTOR: Function("Pending", wrong_handler="a.b")}),
        "wrong-handler", "stock-detector calls a.b",
    ),
    "queue takes nothing of its rule": (
        replace(SOUND, queue_policies={names.NOTIFIER_QUEUE: "it has no policy"}),
        "queue-policy", "stock-notifier-queue",
    ),
    "key of a topic is disabled": (
        replace(SOUND, topic_keys={names.OPERATIONS_TOPIC: "the key k is Disabled"}),
        "topic-key", "the key k is Disabled",
    ),
    "alarm notifies nobody": (
        replace(SOUND, silent_alarms=("api-latency",)), "alarm-without-action", "api-latency",
    ),
    "bucket tells nobody": (
        replace(SOUND, buckets={**SOUND.buckets, DATA: Bucket(has_index=False, announces=False)}),
        "bucket-is-silent", DATA,
    ),
    "stack failed": (
        replace(SOUND, stacks={**SOUND.stacks, "LambdaStack": "UPDATE_ROLLBACK_FAILED"}),
        "deployment-failed", "UPDATE_ROLLBACK_FAILED",
    ),
}  # fmt: skip


EXPLAIN_NO_TICKS = {
    "stack failed", "queue takes nothing of its rule", "key of a topic is disabled", "alarm notifies nobody",
    "bucket tells nobody",
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_the_cause_is_found_and_explains_what_follows(what: str) -> None:
    facts, cause, words = BROKEN[what]
    found = diagnose(causes.find(facts), STALE[1:], (), local=False)
    assert found[0].cause == cause
    assert words in f"{found[0].finding} {found[0].because}"
    assert found[0].remedy
    assert not healthy(found)
    if what not in EXPLAIN_NO_TICKS:
        assert [item.follows_from for item in found[1:]] == [(cause,)] * (len(found) - 1)


@pytest.mark.parametrize(
    ("deployed", "remedy"),
    [
        (
            20,
            "put-function-concurrency --reserved-concurrent-executions 20 --function-name stock-api-handler",
        ),
        (None, "delete-function-concurrency --function-name stock-api-handler"),
    ],
)
def test_a_stopped_function_gets_back_the_concurrency_with_which_it_was_deployed(
    deployed: int | None, remedy: str
) -> None:
    """To delete it would let one function take the places of all others."""
    stopped = Function(reserved=0, deployed_reserved=deployed)
    (found,) = causes.find(replace(SOUND, functions={**SOUND.functions, names.API_HANDLER: stopped}))
    assert (found.cause, found.remedy) == ("function-stopped", f"aws lambda {remedy}")


def test_what_nothing_explains_is_said_for_itself() -> None:
    found = diagnose([], STALE, (), local=False)
    assert [(item.part, item.follows_from) for item in found] == [("stream", ()), ("windows", ())]


def test_a_silent_feed_is_no_finding_while_the_market_is_closed() -> None:
    closed = replace(
        SOUND, market_open=False, feed=FeedFacts("alpaca", NOW, "closed", "2026-11-24T02:00:00.000Z")
    )
    assert causes.find(closed) == []


def test_an_error_before_the_last_good_scan_is_history() -> None:
    error = LogErrors(1, "SourceError: source alpaca needs a key", NOW - timedelta(minutes=5))
    assert causes.find(replace(SOUND, errors={names.SCANNER: error})) == []
    later = replace(error, at=NOW + timedelta(seconds=1))
    (found,) = causes.find(replace(SOUND, errors={names.SCANNER: later}))
    assert (found.cause, found.because) == ("feed-dead", "source alpaca needs a key")


def test_a_source_that_fails_is_said_once_and_its_remedy_asks_for_a_watched_ticker() -> None:
    source = QuoteSource("bitstamp", "poll", ("24/7 open",))
    feed = FeedFacts("bitstamp", NOW, failing="bitstamp does not answer: host name not found (bitstamp.net)")
    windows = Windows({0: NOW}, TickCounts(1, 1), tickers={1: ("M&M/USD",), 0: ("NANO/USD",)})
    found = examine(replace(SOUND, source=source, feed=feed, windows=windows))
    (of_it,) = [one for one in found if "host name not found" in f"{one.finding} {one.because}"]
    assert (of_it.cause, of_it.part) == ("feed-dead", "source")
    assert of_it.remedy == "stock-monitor quote 'M&M/USD' --source bitstamp"


ALARM = Alarm("stock-scanner-stopped", "No scan was started. Runbook: docs/runbook.md#scanner-stopped")


def test_an_alarm_fails_unless_a_cause_of_its_section_explains_it() -> None:
    (alone,) = diagnose([], (), (ALARM,), local=False)
    assert (alone.severity, alone.as_dict()["runbook"]) == ("failed", "docs/runbook.md#scanner-stopped")
    stopped = replace(SOUND, rules={**SOUND.rules, names.SCHEDULE_RULE: EventRule("DISABLED")})
    cause, alarm = diagnose(causes.find(stopped), (), (ALARM,), local=False)
    assert (cause.cause, alarm.follows_from) == ("schedule-stopped", ("schedule-stopped",))


def test_dead_letters_of_failing_scans_are_no_second_cause() -> None:
    facts = replace(
        SOUND,
        queues={**SOUND.queues, names.DEAD_LETTER_QUEUE: 3},
        parameters={**SOUND.parameters, names.TICKER_PARAMETER: ","},
    )
    cause, letters = diagnose(causes.find(facts), (), (), local=False)
    assert (cause.cause, letters.follows_from) == ("parameter-unusable", ("parameter-unusable",))


def diagnoses() -> list[Diagnosis]:
    return [item for facts, _, _ in BROKEN.values() for item in causes.find(facts)]


def test_every_section_named_by_the_doctor_and_by_the_alarms_is_in_the_runbook() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text()
    titles = re.findall(r"(?m)^#+ (.+)$", text)
    anchors = {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}
    sources = [
        *(ROOT / "stream_infra" / "operations" / "doctor").glob("*.py"),
        ROOT / "stream_infra" / "cdk" / "stacks" / "observability.py",
    ]
    named = {found for path in sources for found in re.findall(r'section="([\w-]+)"', path.read_text())}
    named |= {item.section for item in diagnoses()} | set(SECTIONS.values())
    assert named
    assert named - anchors == set()
