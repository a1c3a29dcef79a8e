"""The shipped detector on a local AWS that fails in every way: nothing is lost, and nothing is found twice.

20,000 ticks; `make test-faults` sends 1,000,000 (FAULT_TICKS).
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from consumers.contracts.anomaly import Anomaly, from_item
from consumers.contracts.counts import TickCounts
from consumers.stores.snapshots import SnapshotBucket
from consumers.stores.windows import BlockTable, Ledger
from consumers.windows import restore
from producers.partitions import partition_of
from producers.publisher import Publisher
from producers.quote_batch import QuoteBatch, encode, select
from stream_infra import names
from tests.consumers import kit
from tests.consumers.faults.conftest import Lab
from tests.consumers.faults.proxy import FAULTS, Proxy

pytestmark = pytest.mark.e2e
TICKS = int(os.environ.get("FAULT_TICKS", "20000"))
SYMBOLS = [f"S{i}" for i in range(50 if TICKS < 100_000 else 500)]
PARTITIONS = 4
SOURCE = "faults"
POLLS_A_CALL = 20
SPLIT_AT, MERGE_AT = 0.25, 0.7
"""Of the ticks: when a shard is split, and when its halves are merged again."""


def market(start_ms: int) -> Iterator[QuoteBatch]:
    """A poll of all symbols a second; now and then a price jumps."""
    rng = random.Random(1)
    price = {symbol: rng.uniform(5, 500) for symbol in SYMBOLS}
    for second in range(TICKS // len(SYMBOLS)):
        ts = start_ms + second * 1000
        shown = []
        for symbol in SYMBOLS:
            price[symbol] *= 1 + rng.gauss(0, 2e-4)
            shown.append(round(price[symbol] * (rng.choice((0.9, 1.1)) if rng.random() < 2e-3 else 1.0), 2))
        volume = 100 * second
        rows = [
            (symbol, ts, p, round(p - 0.01, 2), round(p + 0.01, 2), volume)
            for symbol, p in zip(SYMBOLS, shown, strict=True)
        ]
        yield kit.quote_batch(rows, SOURCE)


def one_pass(start_ms: int) -> kit.Memory:
    """What is outside after one pass over the ticks, without a fault."""
    memory = kit.Memory()
    consumer = kit.consumer(memory, partitions=PARTITIONS)
    of = {
        p: [i for i, s in enumerate(SYMBOLS) if partition_of(s, PARTITIONS) == p] for p in range(PARTITIONS)
    }
    records: list[kit.Sent] = []
    for batch in market(start_ms):
        for partition, rows in of.items():
            data = encode(select(batch, rows, []))
            records.append(kit.Sent(data, str(10**9 + len(records)), batch.ts[0] + 40, str(partition)))
        if len(records) % 200 == 0:
            consumer.consume(kit.event(records[-200:]), 1 << 62)
    consumer.consume(kit.event(records[len(records) // 200 * 200 :]), 1 << 62)
    return memory


if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import DeleteMessageBatchRequestEntryTypeDef


def told(lab: Lab) -> Counter[str]:
    """How often each anomaly was announced."""
    sqs, ids = lab.aws.client("sqs"), Counter[str]()
    url = sqs.get_queue_url(QueueName="told")["QueueUrl"]
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        entries: list[DeleteMessageBatchRequestEntryTypeDef] = [
            {"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)
        ]
        ids.update(json.loads(message["Body"])["detail"]["data"]["id"] for message in messages)
        sqs.delete_message_batch(QueueUrl=url, Entries=entries)
    return ids


def test_nothing_is_lost_and_nothing_is_found_twice(
    lab: Lab, proxy: Proxy, record_property: Callable[[str, object], None]
) -> None:
    began = time.monotonic()
    lab.deploy(proxy)
    lab.run()
    start_ms = time.time_ns() // 1_000_000 - 4 * 3_600_000
    ledger = Ledger(lab.aws.client("dynamodb"), names.WINDOWS_TABLE, PARTITIONS)

    def applied() -> TickCounts:
        return ledger.counts_since({}, SOURCE)

    sent, polls, was_down, reshardings = 0, [], False, [SPLIT_AT, MERGE_AT]
    proxy.share = 0.1
    publisher = Publisher(lab.aws.client("kinesis"), names.STREAM, PARTITIONS)
    for batch in market(start_ms):
        polls.append(batch)
        if len(polls) < POLLS_A_CALL and sent + len(polls) * len(SYMBOLS) < TICKS:
            continue
        sent += publisher.publish(polls).ticks.total()
        polls = []
        if reshardings and sent >= reshardings[0] * TICKS:
            lab.reshard(split=reshardings.pop(0) == SPLIT_AT)
        if proxy.is_down:
            time.sleep(5)  # all that the detector depends on is away for a while
            proxy.is_down = False
        elif sent >= TICKS // 2 and not was_down:
            proxy.is_down = was_down = True
    assert sent == TICKS
    lab.stop()  # everything is started anew, in the middle of the work
    before = proxy.injected.total()
    lab.start()
    lab.run()
    lab.eventually(lambda: applied().in_windows >= TICKS, 240 + TICKS // 500)
    proxy.share = 0.0
    time.sleep(5)

    lineage = lab.aws.client("kinesis").list_shards(StreamName=names.STREAM)["Shards"]
    assert len(lineage) == 5  # two, the halves of the first, and the two together again
    assert {"ParentShardId", "AdjacentParentShardId"} <= lineage[-1].keys()

    counts = applied()
    assert counts.balance()
    assert (counts.in_windows, counts.out_of_order, counts.quarantined) == (TICKS, 0, 0)
    assert counts.ticks_in == TICKS + counts.duplicate

    expected = one_pass(start_ms)

    def written() -> dict[tuple[str, str], Anomaly]:
        pages = lab.aws.client("dynamodb").get_paginator("scan").paginate(TableName=names.ANOMALIES_TABLE)
        return {(a.ticker, a.timestamp): a for page in pages for a in map(from_item, page["Items"])}

    # A block is put before its effects (decision 0012): those of the last one may have to be tried again.
    lab.eventually(lambda: written().keys() >= expected.anomalies.keys(), 120)
    found = written()
    assert found == expected.anomalies
    announced = told(lab)
    assert announced.keys() == {anomaly.id for anomaly in found.values()}

    blocks = BlockTable(lab.aws.client("dynamodb"), names.WINDOWS_TABLE)
    snapshots = SnapshotBucket(lab.aws.client("s3"), names.data_bucket("000000000000"))
    read_from: set[str] = set()
    for partition in range(PARTITIONS):
        state = restore.newest(blocks, snapshots, partition)
        once = restore.newest(expected.ports().blocks, expected.ports().snapshots, partition)
        assert state.keys == once.keys
        assert state.detection.tobytes() == once.detection.tobytes()
        assert state.minutes.tobytes() == once.minutes.tobytes()
        read_from |= {lane.partition("/")[0] for lane in state.checkpoints}
    assert read_from == {shard["ShardId"] for shard in lineage}

    kills = sum(count for what, count in proxy.injected.items() if what.startswith("kill"))
    figures = {
        "ticks": TICKS,
        "seconds": round(time.monotonic() - began),
        "kills": kills,
        "faults after the restart": proxy.injected.total() - before,
        "faults": proxy.injected.total(),
        "anomalies": len(found),
        "announced again, with the same id": announced.total() - len(announced),
        "duplicate deliveries": counts.duplicate,
    }
    for name, value in figures.items():
        record_property(name, value)
    print(json.dumps({**figures, "by kind": dict(proxy.injected.most_common())}))  # noqa: T201
    assert {what.partition(" ")[0] for what in proxy.injected} == {*FAULTS}
