"""The raw archive lies where the runbook looks for it, and can be replayed."""

from __future__ import annotations

from pathlib import Path

import pytest

from producers.archive import MAX_TICKERS_APART, Archive, ArchiveReader
from producers.recorded_rows import RecordedTick
from producers.recordings import RejectedTick, read_ticks
from tests.producers.fakes import Aws, make_batch

STARTED = 1_763_996_400_123  # 2025-11-24T15:00:00.123Z


def replayed(aws: Aws, key: str, folder: Path) -> list[RecordedTick]:
    path = folder / key.rsplit("/", 1)[1]
    path.write_bytes(aws.body(key))
    rejected: list[RejectedTick] = []
    ticks = list(read_ticks(path, rejected.append))
    assert rejected == []
    return ticks


def test_a_small_watch_list_has_an_object_per_ticker_and_scan(aws: Aws, tmp_path: Path) -> None:
    archive = Archive(aws.s3, aws.bucket)
    for ts in (STARTED, STARTED + 5_000):
        archive.add(make_batch(["AAPL", "BRK.B"], ts))
    assert archive.write(STARTED) == [
        "raw-data/AAPL/2025/11/24/150000Z.jsonl.gz",
        "raw-data/BRK.B/2025/11/24/150000Z.jsonl.gz",
    ]
    ticks = replayed(aws, "raw-data/AAPL/2025/11/24/150000Z.jsonl.gz", tmp_path)
    assert [(tick.symbol, tick.ts, tick.price, tick.bid) for tick in ticks] == [
        ("AAPL", STARTED, 100.0, 99.99),
        ("AAPL", STARTED + 5_000, 100.0, 99.99),
    ]
    assert [tick.day_volume for tick in ticks] == [1000.0 + STARTED, 1000.0 + STARTED + 5_000]


def test_a_large_watch_list_has_one_object_per_scan(aws: Aws, tmp_path: Path) -> None:
    archive = Archive(aws.s3, aws.bucket)
    symbols = [f"S{i}" for i in range(MAX_TICKERS_APART + 1)]
    archive.add(make_batch(symbols, STARTED))
    archive.add(make_batch(symbols, STARTED + 1))
    assert archive.write(STARTED) == ["raw-data/_all/2025/11/24/150000Z.jsonl.gz"]
    ticks = replayed(aws, "raw-data/_all/2025/11/24/150000Z.jsonl.gz", tmp_path)
    assert sorted((tick.symbol, tick.ts) for tick in ticks) == sorted(
        (s, STARTED + i) for s in symbols for i in (0, 1)
    )


def test_a_ticker_is_read_back_from_objects_of_its_own_and_of_all(aws: Aws) -> None:
    few, many = Archive(aws.s3, aws.bucket), Archive(aws.s3, aws.bucket)
    few.add(make_batch(["A", "AA"], STARTED))
    few.write(STARTED)
    many.add(make_batch(["AA", "A", *(f"S{i}" for i in range(MAX_TICKERS_APART))], STARTED + 60_000))
    many.write(STARTED + 60_000)
    reader = ArchiveReader(aws.s3, aws.bucket)
    for _ in range(2):  # read, and remembered
        ticks = reader.ticks("A", STARTED, STARTED + 60_001)
        assert [(tick.symbol, tick.ts, tick.price) for tick in ticks] == [
            ("A", STARTED, 100.0),
            ("A", STARTED + 60_000, 100.0),
        ]
    assert [tick.ts for tick in reader.ticks("AA", STARTED + 1, STARTED + 60_001)] == [STARTED + 60_000]
    assert reader.ticks("A", STARTED + 1, STARTED + 60_000) == []


def test_a_second_scan_in_the_same_second_overwrites_nothing(aws: Aws) -> None:
    for offset in (0, 1):
        archive = Archive(aws.s3, aws.bucket)
        archive.add(make_batch(["AAPL"], STARTED + offset))
        archive.write(STARTED)
    assert len(aws.keys("raw-data/AAPL/2025/11/24/")) == 2


@pytest.mark.parametrize(
    ("symbol", "folder"),
    [("BRK/B", "BRK%2FB"), ("..", "%2E%2E"), ("^GSPC", "^GSPC"), ("EURUSD=X", "EURUSD=X")],
)
def test_any_ticker_makes_one_folder(aws: Aws, symbol: str, folder: str) -> None:
    archive = Archive(aws.s3, aws.bucket)
    archive.add(make_batch([symbol], STARTED))
    assert archive.write(STARTED) == [f"raw-data/{folder}/2025/11/24/150000Z.jsonl.gz"]


def test_a_scan_without_ticks_writes_nothing(aws: Aws) -> None:
    assert Archive(aws.s3, aws.bucket).write(STARTED) == []
