"""What of a quarantined record can be used by now."""

from __future__ import annotations

import json
from dataclasses import replace

from consumers.redrive.requeue import entry_id, remaining, requeue
from consumers.stream.records import Quarantined
from producers.quote_batch import RejectedRow, decode

ARRIVAL_MS = 1_795_000_000_000


def entry(payload: bytes, rows: tuple[RejectedRow, ...] = (), **changes: int | str) -> Quarantined:
    made = Quarantined("shardId-000000000000", "1", 0, 0, ARRIVAL_MS, "of then", payload, rows)
    return replace(made, **changes)  # type: ignore[arg-type]


def document(**changes: object) -> bytes:
    columns = {"symbol": ["AAA", "BBB", "CCC"], "ts": [ARRIVAL_MS] * 3, "price": [1.0, 2.0, 3.0]}
    return json.dumps({"v": 1, "source": "alpaca", **columns, **changes}).encode()


def test_a_whole_record_is_read_again() -> None:
    assert requeue(entry(b"anything")).record is not None
    of = entry(b"anything")
    again = entry(b"anything", reason="not JSON")
    assert remaining(of, []) is None
    assert remaining(of, [again]) == again


def test_of_refused_rows_only_those_come_back_that_can_be_used_now() -> None:
    payload = document(price=[1.0, 2.0, None])
    rows = tuple(RejectedRow(i, s, "of then") for i, s in ((0, "AAA"), (2, "CCC")))
    record, stays = requeue(entry(payload, rows))
    assert record is not None
    assert record.data is not None
    assert decode(record.data)[0].symbol == ["AAA"]
    assert stays is not None
    assert [row.row for row in stays.rows] == [2]
    assert "price is null" in stays.reason


def test_a_row_of_the_future_stays() -> None:
    payload = document(ts=[ARRIVAL_MS, ARRIVAL_MS + 60_000, ARRIVAL_MS])
    record, stays = requeue(entry(payload, (RejectedRow(1, "BBB", "ts is in the future"),)))
    assert record is None
    assert stays is not None
    assert [row.row for row in stays.rows] == [1]
    assert "must be at most 5000 ms beyond" in stays.reason


def test_every_entry_has_a_name_of_its_own() -> None:
    names = {
        entry_id(entry(b"", index=i, partition=p, sequence=s)) for i in (0, 1) for p in (0, 1) for s in "12"
    }
    assert len(names) == 8
