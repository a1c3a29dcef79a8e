"""What recovery compares, and what it refuses; the drills are in tests/e2e/test_recovery.py."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_infra.operations.errors import InputError
from stream_infra.operations.recovery import objects, parameters, tables
from tests.aws import aws_in_memory

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ITEMS = st.lists(
    st.fixed_dictionaries({"ticker": st.text(max_size=3), "n": st.integers(), "b": st.binary(max_size=3)}),
    max_size=8,
)


@given(ITEMS, st.randoms())
def test_a_fingerprint_does_not_depend_on_the_order(items: list[dict[str, int]], rng: random.Random) -> None:
    shuffled = rng.sample(items, len(items))
    assert tables.fingerprint(shuffled) == tables.fingerprint(items)


@given(ITEMS.filter(bool), st.data())
def test_a_fingerprint_tells_of_any_change(items: list[dict[str, int]], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(items) - 1))
    changed = [*items[:index], {**items[index], "n": items[index]["n"] + 1}, *items[index + 1 :]]
    assert tables.fingerprint(changed) != tables.fingerprint(items)
    assert tables.fingerprint(items[:index] + items[index + 1 :]) != tables.fingerprint(items)


@pytest.fixture
def aws() -> Iterator[None]:
    with aws_in_memory():
        yield


@pytest.fixture
def two_tables(aws: None) -> DynamoDBClient:  # noqa: ARG001  in its account
    dynamodb = boto3.client("dynamodb")
    for name in ("old", "new"):
        dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    for key in map(str, range(60)):
        dynamodb.put_item(TableName="old", Item={"k": {"S": key}, "v": {"N": "1"}})
    dynamodb.put_item(TableName="new", Item={"k": {"S": "7"}, "v": {"N": "2"}})
    dynamodb.put_item(TableName="new", Item={"k": {"S": "later"}, "v": {"N": "3"}})
    return dynamodb


def test_what_is_missing_comes_back_and_what_is_newer_stays(two_tables: DynamoDBClient) -> None:
    before = tables.compare(two_tables, "old", "new")
    assert (before.missing, before.different, before.extra, before.equal) == (59, 1, 1, False)
    assert tables.merge(two_tables, "old", "new", overwrite=False) == 59
    assert tables.compare(two_tables, "old", "new").different == 1, "nothing was overwritten"
    assert tables.merge(two_tables, "old", "new", overwrite=True) == 1
    after = tables.compare(two_tables, "old", "new")
    assert (after.missing, after.different, after.extra) == (0, 0, 1)
    assert tables.merge(two_tables, "old", "new", overwrite=True) == 0, "again changes nothing"


def test_a_table_is_not_restored_over_another(two_tables: DynamoDBClient) -> None:
    arn = tables.back_up(two_tables, "old", "old-1", sleep=lambda _: None)
    with pytest.raises(InputError, match="new exists already"):
        tables.restore(two_tables, "old", "new", backup=arn, sleep=lambda _: None)
    tables.restore(two_tables, "old", "third", backup=arn, sleep=lambda _: None)
    assert tables.compare(two_tables, "old", "third").equal


def test_a_restored_table_gets_its_recovery_as_soon_as_dynamodb_takes_it(two_tables: DynamoDBClient) -> None:
    """API reference, UpdateContinuousBackups: ContinuousBackupsUnavailableException soon after a table is made.

    "Backups are being enabled for the table: …. Please retry later".
    """
    unavailable = two_tables.exceptions.ContinuousBackupsUnavailableException
    rejected, waits = [unavailable({}, "UpdateContinuousBackups") for _ in range(2)], list[float]()

    def too_soon(**_: object) -> None:
        if rejected:
            raise rejected.pop()

    two_tables.meta.events.register("before-call.dynamodb.UpdateContinuousBackups", too_soon)
    arn = tables.back_up(two_tables, "old", "old-1", sleep=lambda _: None)
    tables.restore(two_tables, "old", "third", backup=arn, sleep=waits.append)
    found = two_tables.describe_continuous_backups(TableName="third")["ContinuousBackupsDescription"]
    assert found["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    assert len(waits) == 2


@pytest.mark.usefixtures("aws")
def test_an_object_that_never_was_is_refused() -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="data")
    s3.put_object(Bucket="data", Key="once", Body=b"1")
    for key, version in (("never", None), ("once", None), ("once", "v9")):
        with pytest.raises(InputError, match=f"s3://data/{key}: no earlier version"):
            objects.restore(s3, "data", key, version)


@pytest.mark.usefixtures("aws")
def test_a_parameter_without_an_earlier_good_value_is_refused() -> None:
    ssm, name = boto3.client("ssm"), "/stock-tracker/ticker"
    with pytest.raises(InputError, match="there is no parameter"):
        parameters.restore(ssm, name, None)
    ssm.put_parameter(Name=name, Value=",", Type="String")
    ssm.put_parameter(Name=name, Value="AAPL", Overwrite=True)
    with pytest.raises(InputError, match="no earlier version that can be used"):
        parameters.restore(ssm, name, None)
    with pytest.raises(InputError, match="version 1 of /stock-tracker/ticker cannot be used"):
        parameters.restore(ssm, name, 1)
