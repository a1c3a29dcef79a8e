"""One record costs a bounded amount of work and memory, and is quarantined once."""

from __future__ import annotations

import hashlib
import json

import pytest
from aws_kinesis_agg import MAGIC

from consumers.redrive.requeue import requeue
from consumers.stream.decode import MAX_ENTRIES, MAX_RECORD_ROWS, Decoder
from consumers.stream.kpl import MAX_USER_RECORDS
from consumers.stream.records import KinesisRecord
from producers.quote_batch import MAX_BRACKETS, MAX_ROWS
from tests.consumers import kit

START_MS = 1_795_000_000_000
BATCH = {"v": 1, "source": "by-hand", "symbol": ["AAPL"], "ts": [START_MS], "price": [189.1]}


def document(text: str, where: str) -> bytes:
    fields = {**BATCH, where: "HERE"}
    return json.dumps(fields).replace('"HERE"', text).encode()


def bad_rows(count: int) -> bytes:
    column = b"[" + b"1," * (count - 1) + b"1]"
    return b'{"v":1,"source":"a","symbol":%s,"ts":%s,"price":%s}' % (column, column, column)


def empty_user_records(count: int) -> bytes:
    message = b"\x0a\x010" + b"\x1a\x04\x08\x00\x1a\x00" * count
    return bytes(MAGIC) + message + hashlib.md5(message).digest()  # noqa: S324


def decoded(data: bytes) -> tuple[int, list[tuple[str, int]]]:
    """The rows, and what of the record is quarantined: reason and number of named rows."""
    found = Decoder(4).decode([KinesisRecord(kit.SHARD, "1", "0", START_MS, data)])
    assert sum(len(entry.payload) for entry in found.quarantined) <= len(data)
    rows = sum(len(rows) for rows in found.rows.values())
    return rows, [(entry.reason, len(entry.rows)) for entry in found.quarantined]


@pytest.mark.parametrize("depth", [MAX_BRACKETS, 900, 1500, 100_000])
@pytest.mark.parametrize("where", ["x", "v", "source", "symbol", "ts", "price", "missing"])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nested_json_is_quarantined_and_crashes_nothing(
    depth: int, where: str, opening: str, closing: str
) -> None:
    data = document(opening * depth + "1" + closing * depth, where)
    rows, ((reason, _),) = decoded(data)
    assert rows == 1
    assert f"must be one JSON object of columns, at most {MAX_BRACKETS}" in reason
    memory = kit.Memory()
    good = kit.Sent(kit.payload([("AAPL", START_MS, 189.1)]), "2", START_MS)
    report = kit.consumer(memory, partitions=1).consume(
        kit.event([kit.Sent(data, "1", START_MS), good]), 1 << 62
    )
    assert (report.counts.quarantined, report.counts.in_windows) == (1, 1)
    (entry,) = memory.quarantine.values()
    record, _ = requeue(entry)
    assert record is not None
    done = memory.redrive(partitions=1).requeued(record)
    assert [again.reason for again in done.rejected] == [reason]


def test_a_record_of_the_cheapest_bad_rows_is_one_entry() -> None:
    rows, ((reason, named),) = decoded(bad_rows(170_000))
    assert (rows, named) == (1, 0)
    assert f"must be at most {MAX_ROWS} rows" in reason
    rows, ((reason, named),) = decoded(bad_rows(MAX_ROWS + 1))
    assert (rows, named, reason) == (1, 0, f"{MAX_ROWS + 1} rows; must be at most {MAX_ROWS}")
    rows, ((reason, named),) = decoded(bad_rows(MAX_ROWS))
    assert (rows, named) == (MAX_ROWS, 0)
    assert f"({MAX_ROWS} rows are rejected)" in reason


def test_a_record_of_empty_user_records_is_one_entry() -> None:
    rows, ((reason, _),) = decoded(empty_user_records(170_000))
    assert rows == 1
    assert reason.startswith(f"an aggregate of 170000 user records; must be at most {MAX_USER_RECORDS}")


def test_many_bad_user_records_are_one_entry_and_the_good_ones_go_on() -> None:
    good = kit.payload([("AAPL", START_MS, 50.0)])
    rows, ((reason, _),) = decoded(kit.aggregate([good] + [b"not json"] * (MAX_ENTRIES + 1)))
    assert rows == MAX_ENTRIES + 2
    assert reason.startswith(f"{MAX_ENTRIES + 1} of its user records, the first: not JSON")


def test_the_rows_of_a_record_are_bounded_over_all_its_user_records() -> None:
    data = kit.aggregate([bad_rows(MAX_ROWS)] * 4)
    rows, entries = decoded(data)
    assert rows == 3 * MAX_ROWS + 1
    assert f"rows before it in the record; must be at most {MAX_RECORD_ROWS}" in entries[-1][0]
