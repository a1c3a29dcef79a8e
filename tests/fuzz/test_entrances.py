"""Every entrance takes whatever comes: no crash, no stall, nothing lost.

Each entrance is tried for FUZZ_SECONDS (2 unless set, an hour by hand: FUZZ_SECONDS=3600) with inputs that are drawn
from FUZZ_SEED (1 unless set; of the clock with EXPLORE). An input that fails is named by its seed, which alone makes it
again: FUZZ_SEED=<seed> FUZZ_SECONDS=0.
"""

from __future__ import annotations

import base64
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from consumers.alerts import event as alert_events
from consumers.alerts import settings as alert_settings
from consumers.alerts.channels.sns import subject
from consumers.alerts.event import AlertEvent
from consumers.alerts.rendering.texts import content
from consumers.contracts.events import detected, ended, escalated
from consumers.redrive import dead_letters
from consumers.redrive.requeue import requeue
from consumers.stream.thresholds import Threshold
from producers import watch_list
from producers.errors import MonitorError
from stream_infra.cli.text import printable
from stream_infra.operations.dead_letters import shown
from tests.consumers import kit
from tests.consumers.alerts.bench import MINUTE_MS, T0_MS, URL, Bench, envelope, make_anomaly
from tests.fuzz.mutations import NESTED, NUMBERS, TEXTS, any_of, odd_bytes, odd_json
from tests.json_types import Json

SECONDS = float(os.environ.get("FUZZ_SECONDS", "2"))
SEED = int(os.environ.get("FUZZ_SEED", time.time_ns() if "EXPLORE" in os.environ else 1))
STALL_SECONDS = 5.0
MOST_BYTES = 200_000
"""Of a payload: five of them are a record of 1 MiB."""
START_MS = 1_795_000_000_000


def tries(what: str) -> Iterator[tuple[int, random.Random]]:
    """Yield seeds, each with its own source of chance, until the time is up; say how many there were."""
    until, seed, slowest = time.monotonic() + SECONDS, SEED, 0.0
    while True:
        began = time.process_time()
        yield seed, random.Random(seed)
        slowest = max(slowest, time.process_time() - began)
        assert slowest < STALL_SECONDS, f"{what} stalls: FUZZ_SEED={seed}"
        seed += 1
        if time.monotonic() >= until:
            break
    print(f"{what}: {seed - SEED} inputs from seed {SEED}, slowest {slowest:.2f} s of CPU")  # noqa: T201


BATCH: Json = {
    "v": 1, "source": "by-hand", "symbol": ["AAPL", "MSFT"], "ts": [START_MS, START_MS], "price": [189.1, 411.5],
    "bid": [189.0, None], "ask": [189.2, 411.6], "day_volume": [100, None], "quote_ts": [START_MS, None],
    "missing": ["NVDA"],
}  # fmt: skip


def payload(rng: random.Random) -> bytes:
    made: bytes = any_of(
        rng,
        lambda r: odd_json(r, BATCH).encode("utf-8", "surrogatepass"),
        lambda r: odd_bytes(r, json.dumps(BATCH).encode()),
        lambda r: r.randbytes(r.randint(0, 300)),
    )
    return made[:MOST_BYTES]


def record(rng: random.Random, sequence: int) -> kit.Sent:
    sort = rng.random()
    if sort < 0.4:
        data = payload(rng)
    elif sort < 0.8:
        data = kit.aggregate([payload(rng) or b"x" for _ in range(rng.randint(1, 5))])
    elif sort < 0.9:
        data = odd_bytes(rng, kit.aggregate([json.dumps(BATCH).encode()] * 3))
    else:
        whole = kit.aggregate([json.dumps(BATCH).encode()] * 3)[4:-16]
        data = kit.aggregate_of_message(odd_bytes(rng, whole))
    key = rng.choice(("0", "1", "AAPL", "é" * 100, "x" * 256, "\x1b[0m"))
    return kit.Sent(data, str(sequence), START_MS + rng.randint(-10, 100_000), key)


def test_the_stream_takes_any_records() -> None:
    memory, sequence, sent = kit.Memory(), 10**9, 0
    consumer, good = kit.consumer(memory), START_MS
    for seed, rng in tries("stream"):
        where = f"FUZZ_SEED={seed}"
        if rng.random() < 0.02:
            memory = kit.Memory()
            consumer, sent, good = kit.consumer(memory), 0, START_MS
        sequence, good = sequence + 10, good + 1000
        odd = [record(rng, sequence + i) for i in range(rng.randint(1, 4))]
        row = ("GOOD", good, 50.0 + rng.random())
        event = kit.event([*odd, kit.Sent(kit.payload([row]), str(sequence + 9), START_MS + 90_000)])
        if rng.random() < 0.1:
            event["Records"][0]["kinesis"]["data"] = rng.choice(("!", "====", "é", "QUFB" * 1000 + "Q"))
        try:
            report = consumer.consume(event, 1 << 62)
        except Exception as error:
            raise AssertionError(where) from error
        assert report.failed_sequence is None, where
        assert report.counts.balance(), where
        assert report.counts.ticks_in >= len(odd) + 1 - sum(not of.data for of in odd), where
        sent += report.counts.ticks_in
        blocks = [block for of in memory.blocks.values() for block in of]
        if rng.random() < 0.05:
            counted = kit.counts(blocks)
            assert counted.ticks_in == sent, where
            for entry in list(memory.quarantine.values())[-20:]:
                again, _ = requeue(entry)
                if again is not None:
                    memory.redrive().requeued(again)
                printable(entry.reason)
        assert memory.contradictions == [], where


def event_body(rng: random.Random) -> str:
    anomaly = make_anomaly(
        rng.choice(("AAPL", "MSFT", "BRK.B")), ts_ms=T0_MS + rng.randrange(0, 600_000, 1000),
        severity=rng.choice(("low", "medium", "high", "critical")),
    )  # fmt: skip
    at_ms = T0_MS + 700_000
    event = rng.choice((detected(anomaly), escalated(anomaly, at_ms), ended(anomaly, at_ms)))
    good = envelope(event)
    sort = rng.random()
    if sort < 0.2:
        return good
    if sort < 0.8:
        return odd_json(rng, json.loads(good))
    if sort < 0.9:
        return odd_bytes(rng, good.encode()).decode(errors="replace")
    return rng.choice((*TEXTS, *NESTED, *NUMBERS))


def test_the_bus_and_the_notifiers_queue_take_any_events() -> None:
    bench = Bench()
    for seed, rng in tries("bus and notifier queue"):
        where = f"FUZZ_SEED={seed}"
        if rng.random() < 0.02:
            bench = Bench()
        good = make_anomaly("GOOD", ts_ms=T0_MS - seed % 600_000, severity="critical")
        parsed = []
        for body in [*(event_body(rng) for _ in range(rng.randint(1, 9))), envelope(detected(good))]:
            with suppress(alert_events.AlertEventError):
                parsed.append(alert_events.parse(body, bench.now_ms))
        events = [of for of in parsed if isinstance(of, AlertEvent)]
        try:
            taken = bench.notifier.handle(events, bench.settings)
        except Exception as error:
            raise AssertionError(where) from error
        assert [str(of.error) for of in taken if of.error is not None] == [], where
        bench.now_ms += rng.choice((1000, MINUTE_MS))
        if rng.random() < 0.1:
            done = bench.notifier.sweep(bench.settings)
            assert done.errors == (), where
        for message in bench.sent()[-3:]:
            text = content(message, URL, bench.settings.time_zone)
            assert "\n" not in subject(text), where
            assert "\r" not in subject(text), where
        assert bench.store.incident_of(good.id) is not None, where


LETTER: Json = {
    "requestContext": {
        "requestId": "c4c0a0a0", "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:stock-detector",
        "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 3,
    },
    "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
    "version": "1.0",
    "timestamp": "2026-11-24T14:30:00.000Z",
    "KinesisBatchInfo": {
        "shardId": "shardId-000000000000", "startSequenceNumber": "1", "endSequenceNumber": "2",
        "approximateArrivalOfFirstRecord": "2026-11-24T14:29:00.000Z",
        "approximateArrivalOfLastRecord": "2026-11-24T14:29:01.000Z", "batchSize": 2,
        "streamArn": "arn:aws:kinesis:us-east-1:000000000000:stream/stock-quotes",
    },
}  # fmt: skip
SCAN: Json = {
    "version": "1.0", "timestamp": "2026-11-24T14:30:00.000Z",
    "requestContext": {"requestId": "c4c0", "condition": "EventAgeExceeded", "approximateInvokeCount": 1},
    "requestPayload": {}, "responsePayload": {"errorMessage": "no", "errorType": "E"},
}  # fmt: skip
IN_S3: Json = {
    "Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}}]
}


def test_the_dead_letter_queue_takes_any_messages() -> None:
    for seed, rng in tries("dead letters"):
        where = f"FUZZ_SEED={seed}"
        records = kit.event([record(rng, i) for i in range(rng.randint(1, 3))])
        with_payload = {**LETTER, "payload": rng.choice((records, json.dumps(records)))}
        good = rng.choice((LETTER, SCAN, IN_S3, with_payload, with_payload))
        body = json.dumps(good) if rng.random() < 0.25 else parameter(rng, good)
        try:
            found = dead_letters.letter(body)
        except Exception as error:
            raise AssertionError(where) from error
        printable(str(getattr(found, "reason", "")))
        if isinstance(found, dead_letters.FailedBatch) and found.records:
            for of in shown(found.records):
                printable(str(of))
            done = kit.Memory().redrive().batch(found.records)
            assert done.counts.balance(), where


def parameter(rng: random.Random, good: object) -> str:
    made: str = any_of(
        rng,
        lambda r: odd_json(r, good),
        lambda r: odd_bytes(r, json.dumps(good).encode()).decode(errors="replace"),
        lambda r: r.choice((*TEXTS, *NESTED, *NUMBERS)),
    )
    return made


THRESHOLD = {"default": 2.5, "kinds": {"gap": 3}, "tickers": {"TSLA": 4, "AAPL": {"gap": 2}}}
ALERTS = {
    "time_zone": "America/New_York",
    "channels": {"desk": {"type": "slack"}},
    "routes": [{"channels": ["desk"], "severity": ["high"], "ticker": ["AAPL"]}],
    "mute_timings": [{"from": "22:00", "until": "07:00"}],
}
PARAMETERS: dict[str, tuple[object, Callable[[str], object]]] = {
    "threshold": (THRESHOLD, Threshold.parse),
    "watch list": ("AAPL,MSFT,BRK.B", lambda text: watch_list.parse(text, "/stock-tracker/ticker")),
    "alerts": (ALERTS, alert_settings.parse),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_take_any_values(name: str) -> None:
    good, parse = PARAMETERS[name]
    parse(good if isinstance(good, str) else json.dumps(good))
    for seed, rng in tries(f"parameter {name}"):
        text = parameter(rng, good)
        try:
            parse(text)
        except MonitorError:
            continue
        except Exception as error:
            raise AssertionError(f"FUZZ_SEED={seed}") from error


def test_the_event_of_lambda_takes_any_records() -> None:
    """What Lambda delivers has its own shape; what lies in it is anybody's."""
    for seed, rng in tries("event of Lambda"):
        event = kit.event([record(rng, 1)])
        event["Records"][0]["kinesis"]["data"] = base64.b64encode(payload(rng)).decode()
        event["Records"][0]["kinesis"]["partitionKey"] = rng.choice(TEXTS)
        try:
            report = kit.consumer(kit.Memory()).consume(event, 1 << 62)
        except Exception as error:
            raise AssertionError(f"FUZZ_SEED={seed}") from error
        assert report.failed_sequence is None, f"FUZZ_SEED={seed}"
