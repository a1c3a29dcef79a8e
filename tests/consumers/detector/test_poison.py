"""Whatever lies on the stream: it holds nothing up, and what cannot be used is in quarantine with its reason."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from aws_kinesis_agg import MAGIC, deaggregator  # noqa: F401  messages_pb2 needs its path
from aws_kinesis_agg.messages_pb2 import AggregatedRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.detector.commit import InvocationReport
from consumers.stream.rows import split_key
from consumers.windows import restore
from consumers.windows.partition import PartitionState
from tests.consumers import kit

START_MS = 1_795_000_000_000
DEFAULTS: dict[str, object] = {
    "v": 1,
    "source": "alpaca",
    "symbol": ["AAA", "BBB"],
    "ts": [START_MS + 1000, START_MS + 1000],
    "price": [50.0, 20.0],
}


def document(**changes: object) -> bytes:
    return json.dumps({**DEFAULTS, **changes}).encode()


WHOLE = {
    "not JSON": (b"hello", "not JSON"),
    "empty": (b"", "not JSON"),
    "zeros": (b"\0" * 900_000, "not JSON"),
    "not UTF-8": (b'{"v":1,"source":"\xff"}', "utf-8"),
    "nested too deep": (b"[" * 200_000, ""),
    "an array": (b"[1,2]", "object"),
    "unknown version": (document(v=9), "v is 9"),
    "no version": (b'{"source":"alpaca"}', "v"),
    "other lengths": (document(ts=[1]), "ts"),
    "no prices": (document(price=None), "price"),
    "a source that is none": (document(source="a b"), "source"),
    "two roots": (document() + document(), ""),
}
ROWS = {
    "NaN": document(price=[50.0, 1.0]).replace(b"50.0", b"NaN"),
    "infinite": document(price=[50.0, 1.0]).replace(b"50.0", b"1e999"),
    "text for a price": document(price=["50", 20.0]),
    "true for a price": document(price=[True, 20.0]),
    "no price": document(price=[None, 20.0]),
    "a symbol that is none": document(symbol=["a b", "BBB"]),
    "ts of text": document(ts=["now", START_MS + 1000]),
    "ts of a fraction": document(ts=[1.5, START_MS + 1000]),
    "ts beyond all clocks": document(ts=[1 << 80, START_MS + 1000]),
    "ts before all clocks": document(ts=[-(1 << 80), START_MS + 1000]),
    "ts of the future": document(ts=[START_MS + 7100, START_MS + 1000]),
}


def broken_digest() -> bytes:
    whole = bytearray(kit.aggregate([document(), document()]))
    whole[30] ^= 1
    return bytes(whole)


def consume(*records: bytes, plan: dict[int, str] | None = None) -> tuple[kit.Memory, InvocationReport]:
    """What is outside, and the report, after good ticks, the records, and good ticks again."""
    memory = kit.Memory()
    good = [kit.payload([("AAA", START_MS + i, 50.0), ("CCC", START_MS + i, 10.0)]) for i in (0, 5000)]
    sent = [
        kit.Sent(data, f"{10_000 + i}", START_MS + 2000 + i)
        for i, data in enumerate((good[0], *records, good[1]))
    ]
    faults = kit.Faults(plan)
    return memory, kit.consumer(memory, faults, partitions=1).consume(kit.event(sent), 1 << 62)


def newest(memory: kit.Memory) -> PartitionState:
    return restore.newest(memory.ports().blocks, memory.ports().snapshots, 0)


def assert_went_on(memory: kit.Memory, report: InvocationReport) -> None:
    assert report.failed_sequence is None
    assert report.counts.balance()
    state = newest(memory)
    assert int(state.last_ts[state.slots["CCC"]]) == START_MS + 5000


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("form", ["plain", "aggregated"])
def test_a_record_that_cannot_be_read_is_quarantined(name: str, form: str) -> None:
    data, reason = WHOLE[name]
    memory, report = consume(data if form == "plain" else kit.aggregate([document(), data, document()]))
    assert_went_on(memory, report)
    (entry,) = memory.quarantine.values()
    assert entry.payload == data
    assert reason in entry.reason
    assert len(entry.reason) < 500
    assert (entry.sequence, entry.index, entry.rows) == ("10001", 0 if form == "plain" else 1, ())
    assert report.counts.quarantined == 1
    if form == "aggregated":  # its neighbours in the aggregate were used, the second of them once
        assert newest(memory).slots.keys() == {"AAA", "BBB", "CCC"}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_that_cannot_be_used_is_quarantined_and_the_others_are_used(name: str) -> None:
    memory, report = consume(ROWS[name])
    assert_went_on(memory, report)
    (entry,) = memory.quarantine.values()
    assert entry.payload == ROWS[name]
    assert [row.row for row in entry.rows] == [0]
    assert entry.reason.startswith("row 0 (")
    assert report.counts.quarantined == 1
    assert "BBB" in newest(memory).slots


def test_refused_rows_are_named_by_their_place_in_the_record() -> None:
    symbols, ts = ["bad symbol", "AAA", "BBB", "CCC"], [START_MS + 1000] * 4
    ts[2] = START_MS + 60_000
    memory, _ = consume(document(symbol=symbols, ts=ts, price=[1.0, 50.0, 20.0, 10.0]))
    (entry,) = memory.quarantine.values()
    assert [row.row for row in entry.rows] == [0, 2]
    assert [row.symbol for row in entry.rows] == ["bad symbol", "BBB"]


def test_an_aggregate_with_a_broken_digest_is_quarantined_as_one() -> None:
    data = broken_digest()
    memory, report = consume(data)
    assert_went_on(memory, report)
    (entry,) = memory.quarantine.values()
    assert entry.payload == data
    assert "digest does not fit" in entry.reason


@pytest.mark.parametrize(
    "message", [b"\xff" * 40, b"\x1a\x7f{}", AggregatedRecord().SerializeToString() or b"\x20\x01"]
)
def test_an_aggregate_that_is_none_is_quarantined(message: bytes) -> None:
    data = kit.aggregate_of_message(message)
    memory, report = consume(data, MAGIC, MAGIC + b"short")
    assert_went_on(memory, report)
    entries = list(memory.quarantine.values())
    assert [entry.payload for entry in entries] == [data, MAGIC, MAGIC + b"short"]
    assert "looks like a KPL aggregate" in entries[0].reason


def test_the_largest_record_that_a_stream_takes_is_quarantined() -> None:
    memory, report = consume(b"\0" * 1_048_576)
    assert_went_on(memory, report)
    assert [len(entry.payload) for entry in memory.quarantine.values()] == [1_048_576]


def test_data_that_is_not_base64_is_quarantined() -> None:
    memory = kit.Memory()
    event = kit.event([kit.Sent(b"x", "1", START_MS), kit.Sent(document(), "2", START_MS + 2000)])
    event["Records"][0]["kinesis"]["data"] = "abc"
    report = kit.consumer(memory, partitions=1).consume(event, 1 << 62)
    assert report.failed_sequence is None
    assert report.counts.in_windows == 2
    assert [entry.reason for entry in memory.quarantine.values()] == ["the event's data is not base64"]


def test_two_kinds_on_one_tick_are_two_anomalies() -> None:
    memory = kit.Memory()
    rows = [("AAA", START_MS + i * 1000, 50.0 + 0.01 * (i % 2), 49.99, 50.02, 1000 * i) for i in range(400)]
    rows.append(("AAA", START_MS + 400_000, 60.0, 59.0, 61.0, 5_000_000))
    sent = [kit.Sent(kit.payload([row]), str(row[1]), row[1] + 40) for row in rows]
    assert kit.consumer(memory, partitions=1).consume(kit.event(sent), 1 << 62).failed_sequence is None
    of_tick = [key for key in memory.anomalies if key[1].startswith("2026-11-18T11:13:20.000Z")]
    assert len(of_tick) >= 2
    assert len({sort_key for _, sort_key in of_tick}) == len(of_tick)


def test_more_than_a_block_holds_takes_several() -> None:
    rng = np.random.default_rng(1)
    memory = kit.Memory()
    symbols = [f"S{i}" for i in range(300)]
    sent = []
    for i in range(200):  # prices and volumes of many random digits hardly shrink
        rows: list[kit.Row] = [
            (
                symbol,
                START_MS + i * 1000 + int(rng.integers(900)),
                *map(float, rng.random(3) + 1),
                float(rng.random()),
            )
            for symbol in symbols
        ]
        sent.append(kit.Sent(kit.payload(rows), str(1000 + i), START_MS + i * 1000 + 1000))
    report = kit.consumer(memory, partitions=1).consume(kit.event(sent), 1 << 62)
    assert report.failed_sequence is None
    assert report.counts.in_windows == 60_000
    assert report.blocks > 3
    assert max(len(block.packed) for block in memory.blocks[0]) <= 300 * 1024


LARGEST = 1e15  # that the quote batch allows
EXTREME = st.one_of(
    st.floats(-LARGEST, LARGEST),
    st.sampled_from((0.0, -0.0, 5e-324, -5e-324, LARGEST, -LARGEST, 1e-300, 2.0**49 + 0.5)),
)
VOLUME = st.floats(0, LARGEST)


@settings(max_examples=150)
@given(
    st.lists(st.tuples(EXTREME, st.none() | EXTREME, st.none() | EXTREME, st.none() | VOLUME), max_size=40)
)
def test_any_numbers_leave_a_finite_state_that_blocks_give_back(
    values: list[tuple[float | None, ...]],
) -> None:
    memory = kit.Memory()
    ordinary = [(50.0 + 0.01 * (i % 3), 49.99, 50.03, 100.0 * i) for i in range(40)]
    mixed = [*ordinary, *values, *ordinary]
    sent = [
        kit.Sent(kit.payload([("AAA", START_MS + i * 1000, *row)]), str(i), START_MS + i * 1000 + 40)
        for i, row in enumerate(mixed)
    ]
    consumer = kit.consumer(memory, partitions=1)
    for i in range(0, len(sent), 16):
        assert consumer.consume(kit.event(sent[i : i + 16]), 1 << 62).failed_sequence is None
    memory.snapshots.clear()
    for i, block in enumerate(memory.blocks[0]):
        memory.blocks[0][i] = replace(block, snapshot=0)
    state = newest(memory)
    assert np.isfinite(state.detection).all()
    assert np.isfinite(state.minutes).all()
    warm = consumer._partitions._states[0]
    assert state.detection.tobytes() == warm.detection.tobytes()
    assert state.minutes.tobytes() == warm.minutes.tobytes()
    json.dumps([anomaly.window for anomaly in memory.anomalies.values()], allow_nan=False)


def test_names_of_windows_and_symbols_with_a_slash() -> None:
    assert split_key("BRK/B") == ("live", "BRK/B")
    assert split_key("simulated/BRK/B") == ("simulated", "BRK/B")
    assert split_key("replay-a/BRK/B") == ("replay", "BRK/B")


def test_a_partition_key_that_is_no_text_costs_nothing() -> None:
    """JSON may hold half of a character; a fuzzer found that it crashed the function."""
    memory = kit.Memory()
    sent = kit.Sent(kit.payload([("AAPL", START_MS, 50.0)]), "1", START_MS, "\ud800")
    assert kit.consumer(memory).consume(kit.event([sent]), 1 << 62).counts.in_windows == 1


@pytest.mark.parametrize(
    ("ts", "unit"),
    [
        (START_MS // 1000, "seconds"),
        (START_MS // 1000 - 86_400 * 300, "seconds"),
        (START_MS * 1000, "microseconds"),
        (START_MS * 1_000_000, "nanoseconds"),
    ],
)
def test_a_time_in_another_unit_is_quarantined_with_the_unit(ts: int, unit: str) -> None:
    memory = kit.Memory()
    batch = {
        "v": 1, "source": "by-hand", "symbol": ["SECS", "AAPL", "OLD"], "ts": [ts, START_MS, 31_536_000_000],
        "price": [10.0, 50.0, 10.0],
    }  # fmt: skip
    sent = kit.Sent(json.dumps(batch).encode(), "1", START_MS)
    report = kit.consumer(memory, partitions=1).consume(kit.event([sent]), 1 << 62)
    assert (report.counts.quarantined, report.counts.in_windows) == (1, 2)  # 1971 is a time like any other
    (entry,) = memory.quarantine.values()
    assert (
        entry.reason == f"row 0 (SECS): ts is {ts}, which looks like {unit}; must be milliseconds since 1970"
    )
