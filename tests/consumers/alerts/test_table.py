"""The table in memory behaves as the one in DynamoDB: what a dry run shows is what would happen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import boto3
import pytest

from consumers.alerts.table import (
    AlertTable,
    ConflictError,
    Delete,
    DynamoTable,
    MemoryTable,
    Put,
    TooManyWritesError,
)
from tests.aws import aws_in_memory, create_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture(params=["memory", "dynamodb"])
def table(request: pytest.FixtureRequest) -> Iterator[AlertTable]:
    if request.param == "memory":
        yield MemoryTable()
        return
    with aws_in_memory():
        client = boto3.client("dynamodb")
        create_table("stock-alerts", client=client)
        yield DynamoTable(client, "stock-alerts")


def test_what_is_written_is_read_with_its_version(table: AlertTable) -> None:
    table.write([Put(("a", "1"), "one", 1, 0)])
    table.write([Put(("a", "1"), "two", 1, 1), Put(("a", "2"), "other", 1)])
    found = table.read([("a", "1"), ("a", "2"), ("a", "3")])
    assert {place: (item.body, item.version) for place, item in found.items()} == {
        ("a", "1"): ("two", 2),
        ("a", "2"): ("other", 1),
    }


@pytest.mark.parametrize("expected", [0, 2])
def test_all_or_nothing_is_written_where_a_version_is_another(table: AlertTable, expected: int) -> None:
    table.write([Put(("a", "1"), "one", 1, 0)])
    with pytest.raises(ConflictError):
        table.write([Put(("a", "1"), "two", 1, expected)])
    with pytest.raises(ConflictError):
        table.write([Put(("b", "1"), "new", 1, 0), Delete(("a", "1"), expected)])
    with pytest.raises(ConflictError):
        table.write([Delete(("a", "1"), expected)])
    assert [item.body for item in table.read([("a", "1"), ("b", "1")]).values()] == ["one"]


def test_what_is_deleted_may_be_written_anew(table: AlertTable) -> None:
    table.write([Put(("a", "1"), "one", 1, 0)])
    table.write([Delete(("a", "1"), 1)])
    table.write([Delete(("a", "1"))])
    table.write([Put(("a", "1"), "two", 1, 0)])
    assert table.read([("a", "1")])[("a", "1")].version == 1


def test_a_partition_is_queried_in_order_from_either_end(table: AlertTable) -> None:
    for n in (3, 1, 2, 9):
        table.write([Put(("a", f"{n}#x"), str(n), 1)])
    assert [item.body for item in table.query("a")] == ["1", "2", "3", "9"]
    assert [item.body for item in table.query("a", after="2", until="3~")] == ["2", "3"]
    assert [item.body for item in table.query("a", newest=2)] == ["9", "3"]
    assert list(table.query("none")) == []


def test_bounds_that_are_crossed_hold_nothing_and_are_not_asked_for() -> None:
    """DynamoDB: "The BETWEEN operator requires upper bound to be greater than or equal to lower bound".

    They are so where a message was made by a clock that is ahead of the reader's.
    """
    nobody = cast("DynamoDBClient", None)
    assert list(DynamoTable(nobody, "stock-alerts").query("a", after="3", until="2~")) == []
    memory = MemoryTable()
    memory.write([Put(("a", "2#x"), "2", 1)])
    assert list(memory.query("a", after="3", until="2~")) == []


def test_more_than_a_transaction_takes_is_an_error_of_its_own(table: AlertTable) -> None:
    with pytest.raises(TooManyWritesError, match="101 writes; must be at most 100"):
        table.write([Put(("a", str(n)), "", 1) for n in range(101)])
    assert list(table.query("a")) == []
