"""An outage that outlasts the record age: to S3, to the queue, and back by `stock-monitor dlq redrive`."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from consumers.contracts.anomaly import Anomaly, from_item
from consumers.contracts.counts import TickCounts
from consumers.stores.charts import ChartTable
from consumers.stores.windows import Ledger
from producers.publisher import Publisher
from producers.quote_batch import QuoteBatch
from stream_infra import names
from stream_infra.cli.main import app
from stream_infra.operations.endpoints import Endpoints
from tests.consumers import kit
from tests.consumers.faults.conftest import Lab
from tests.consumers.faults.proxy import Proxy
from tests.json_types import Json

pytestmark = pytest.mark.e2e
PARTITIONS = 4
SYMBOLS = [f"S{i}" for i in range(12)]
BEFORE, GAP, AFTER = 240, 10, 30
RECORD_AGE_SECONDS = 60


def polls(start_ms: int) -> list[QuoteBatch]:
    rng = random.Random(4)
    price = {symbol: rng.uniform(20, 200) for symbol in SYMBOLS}
    batches = []
    for second in range(BEFORE + GAP + AFTER):
        shown = []
        for symbol in SYMBOLS:
            price[symbol] *= 1 + rng.gauss(0, 2e-4)
            jump = 1.05 if BEFORE <= second < BEFORE + GAP and rng.random() < 0.2 else 1.0
            shown.append(round(price[symbol] * jump, 2))
        ts = start_ms + second * 1000
        rows = [
            (symbol, ts, p, round(p - 0.01, 2), round(p + 0.01, 2))
            for symbol, p in zip(SYMBOLS, shown, strict=True)
        ]
        batches.append(kit.quote_batch(rows, "faults"))
    return batches


def one_pass(batches: list[QuoteBatch]) -> dict[tuple[str, str], Anomaly]:
    memory = kit.Memory()
    sent = [
        kit.Sent(
            kit.payload(list(zip(b.symbol, b.ts, b.price, b.bid, b.ask, strict=True)), b.source),
            str(1000 + i),
            b.ts[0],
        )
        for i, b in enumerate(batches)
    ]
    kit.consumer(memory, partitions=PARTITIONS).consume(kit.event(sent), 1 << 62)
    return memory.anomalies


def scan(lab: Lab, table: str) -> list[Json]:
    pages = lab.aws.client("dynamodb").get_paginator("scan").paginate(TableName=table)
    return [item for page in pages for item in page["Items"]]


def test_what_is_discarded_comes_back_late_and_once(
    lab: Lab, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.deploy(proxy, RECORD_AGE_SECONDS)
    lab.announce_failed_batches()
    lab.run()
    publisher = Publisher(lab.aws.client("kinesis"), names.STREAM, PARTITIONS)
    ledger = Ledger(lab.aws.client("dynamodb"), names.WINDOWS_TABLE, PARTITIONS)
    batches = polls(time.time_ns() // 1_000_000 - 3_600_000)
    count = len(SYMBOLS)

    def applied() -> int:
        return ledger.counts_since({}, "faults").in_windows

    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(app, [*arguments, "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    here = Endpoints(None, None, lab.url, None)
    monkeypatch.setattr("stream_infra.cli.commands.dlq.resolve", lambda _aws: here)

    publisher.publish(batches[:BEFORE])
    lab.eventually(lambda: applied() == count * BEFORE, 120)
    # A block is there before its effects; last quotes are the last of them.
    charts = ChartTable(lab.aws.client("dynamodb"), names.CHARTS_TABLE)
    newest = batches[BEFORE - 1].ts[0]
    lab.eventually(lambda: [quote.ts for quote in charts.last_quotes("live")] == [newest] * count, 60)
    proxy.is_down = True
    sent = publisher.publish(batches[BEFORE : BEFORE + GAP])
    lab.eventually(
        lambda: sum(of["records"] for of in run("dlq", "list")) == sent.aggregates, RECORD_AGE_SECONDS + 120
    )
    proxy.is_down = False
    publisher.publish(batches[BEFORE + GAP :])
    lab.eventually(lambda: applied() == count * (BEFORE + AFTER), 180)

    counts = ledger.counts_since({}, "faults")
    assert counts.balance()
    assert counts.in_windows == count * (BEFORE + AFTER)  # the rest is discarded
    live = [item for item in scan(lab, names.WINDOWS_TABLE) if item["sk"]["S"].startswith("block#")]
    listed = run("dlq", "list")
    assert all(of["reason"].startswith("RecordAgeExceeded") for of in listed)

    results = run("dlq", "redrive", "--all")
    assert all(of["redriven"] for of in results)
    assert sum(of["in_windows"] for of in results) == count * GAP
    assert run("dlq", "list") == []
    found = [from_item(item) for item in scan(lab, names.ANOMALIES_TABLE)]
    late = {(a.ticker, a.timestamp): replace(a, late=False) for a in found if a.late}
    until_then = one_pass(batches[: BEFORE + GAP])
    missing = {key: of for key, of in until_then.items() if of not in one_pass(batches[:BEFORE]).values()}
    assert late == missing
    assert missing
    assert [item for item in scan(lab, names.WINDOWS_TABLE) if item["sk"]["S"].startswith("block#")] == live
    blocks = [item for item in scan(lab, names.WINDOWS_TABLE) if item["sk"]["S"].startswith("backfill#")]
    back = sum((TickCounts(**json.loads(item["sources"]["S"])["faults"]) for item in blocks), TickCounts())
    assert counts.ticks_in - counts.duplicate + back.ticks_in == count * len(batches)
