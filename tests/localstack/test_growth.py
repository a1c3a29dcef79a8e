"""Less to walk, and the same answers: a Query against the emulator's own, and iterators across what expired."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ministack.services import dynamodb, kinesis

from localstack.growth import keep_calls_small

KEYS = st.text("012", min_size=1, max_size=3)
VALUES = {":pk": {"S": "p"}, ":low": {"S": "0"}, ":high": {"S": "2"}}


@pytest.fixture(autouse=True, scope="module")
def emulator() -> Iterator[Any]:
    """MiniStack's own query; what was changed is put back."""
    own, monkeypatch = dynamodb._query, pytest.MonkeyPatch()
    for module, name in (
        (dynamodb, "_query"),
        (dynamodb, "_set_item"),
        (kinesis, "_expire_iterators"),
        (kinesis, "_expire_records"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))
    keep_calls_small()
    yield own
    monkeypatch.undo()


def table(name: str) -> dict[str, Any]:
    dynamodb._tables.pop(name, None)
    schema = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
    kinds = [{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")]
    made = {
        "TableName": name,
        "KeySchema": schema,
        "AttributeDefinitions": kinds,
        "BillingMode": "PAY_PER_REQUEST",
    }
    assert dynamodb._create_table(made)[0] == 200
    return dict(dynamodb._tables[name])


def answer(query: Any, data: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    status, _, body = query(copy.deepcopy(data))
    return status, json.loads(body)


@given(
    keys=st.lists(KEYS, max_size=12),
    removed=st.lists(KEYS, max_size=4),
    ends=st.lists(KEYS, min_size=2, max_size=2).map(sorted),
    options=st.fixed_dictionaries(
        {},
        optional={
            "Limit": st.integers(1, 4),
            "ScanIndexForward": st.booleans(),
            "start": KEYS,
            "filter": KEYS,
        },
    ),
    in_order=st.booleans(),
)
def test_a_query_answers_as_the_emulators_own(
    emulator: Any,
    keys: list[str],
    removed: list[str],
    ends: list[str],
    options: dict[str, Any],
    *,
    in_order: bool,
) -> None:
    name = "growth"
    table(name)
    query = {
        "TableName": name, "KeyConditionExpression": "pk = :pk AND sk BETWEEN :low AND :high",
        "ExpressionAttributeValues": {**VALUES, ":low": {"S": ends[0]}, ":high": {"S": ends[1]}},
        **{key: value for key, value in options.items() if key[0].isupper()},
    }  # fmt: skip
    if "start" in options:
        query["ExclusiveStartKey"] = {"pk": {"S": "p"}, "sk": {"S": options["start"]}}
    if "filter" in options:
        query["FilterExpression"] = "size_of < :f"
        query["ExpressionAttributeValues"][":f"] = {"S": options["filter"]}
    for sk in sorted(keys) if in_order else keys:
        dynamodb._set_item(
            dynamodb._tables[name], "p", sk, {"pk": {"S": "p"}, "sk": {"S": sk}, "size_of": {"S": sk}}
        )
        assert answer(dynamodb._query, query) == answer(emulator, query)
    for sk in removed:
        dynamodb._remove_item(dynamodb._tables[name], "p", sk)
        assert answer(dynamodb._query, query) == answer(emulator, query)


def test_what_is_read_next_is_what_came_next_also_when_old_records_went() -> None:
    now = time.time()

    def record(number: int, at: float) -> dict[str, Any]:
        return {
            "SequenceNumber": str(number),
            "ApproximateArrivalTimestamp": at,
            "Data": "",
            "PartitionKey": "0",
        }

    day = 86_400
    records = [record(number, now - 2 * day + number) for number in range(5)]
    records += [record(number, now) for number in range(5, 8)]
    shard = {"records": records}
    stream = {"StreamName": "s", "StreamARN": "arn", "RetentionPeriodHours": 24, "shards": {"0": shard}}
    held = kinesis._shard_iterators
    held["read"] = {"stream": "s", "shard_id": "0", "position": 6, "created_at": now}
    held["other"] = {"stream": "s", "shard_id": "1", "position": 6, "created_at": now}
    kinesis._expire_records(stream)
    assert [of["SequenceNumber"] for of in shard["records"]] == ["5", "6", "7"]
    assert (held["read"]["position"], held["other"]["position"]) == (1, 6)


def test_iterators_go_after_five_minutes_and_no_sooner() -> None:
    held = kinesis._shard_iterators
    held._data.clear()
    for name, age in (("old", 400), ("older than none", 301), ("young", 200)):
        held[name] = {"stream": "s", "shard_id": "0", "position": 0, "created_at": time.time() - age}
    kinesis._expire_iterators()
    assert held.keys() == ["young"]
