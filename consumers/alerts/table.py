"""A table of versioned items, in DynamoDB or in memory: all that the store of alerts asks of one."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from producers.errors import MonitorError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Place = tuple[str, str]
"""Partition key and sort key."""
READS = WRITES = 100
"""Items that one BatchGetItem and one TransactWriteItems take."""
LAST = "~"
"""Sorts after every sort key."""
_T = TypeVar("_T")


class ConflictError(MonitorError):
    """Someone else changed the same item in between: read again and decide anew."""


class TooManyWritesError(MonitorError):
    """What was decided at once does not fit into one transaction."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item: its body (JSON), and a version that grows with every write."""

    place: Place
    body: str
    version: int


@dataclass(frozen=True, slots=True)
class Put:
    """The write of an item.

    Attributes
    ----------
    expires_at
        When it may be forgotten, epoch seconds UTC.
    expected
        The version that the table has to hold, 0 for no item; None for whatever is there.
    """

    place: Place
    body: str
    expires_at: int
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """The removal of an item, of the `expected` version unless that is None."""

    place: Place
    expected: int | None = None


class AlertTable(Protocol):
    """Items by their place."""

    def read(self, places: Iterable[Place]) -> dict[Place, Item]:
        """Return those of the items that there are, strongly consistent."""

    def query(
        self, pk: str, *, after: str = "", until: str = LAST, newest: int | None = None
    ) -> Iterator[Item]:
        """Yield items of a partition in the order of their sort keys, or the `newest` ones from the end on."""

    def write(self, writes: Sequence[Put | Delete]) -> None:
        """Write all or nothing.

        Raises
        ------
        ConflictError
            An item is not of the expected version.
        TooManyWritesError
            More than `WRITES`.
        """


class MemoryTable:
    """A table in memory, for a dry run."""

    def __init__(self) -> None:
        self._items: dict[Place, Item] = {}
        self._keys: dict[str, list[str]] = {}

    def read(self, places: Iterable[Place]) -> dict[Place, Item]:
        """See `AlertTable.read`."""
        return {place: self._items[place] for place in places if place in self._items}

    def query(
        self, pk: str, *, after: str = "", until: str = LAST, newest: int | None = None
    ) -> Iterator[Item]:
        """See `AlertTable.query`."""
        keys = self._keys.get(pk, [])
        found = keys[bisect_left(keys, after) : bisect_left(keys, until)]
        if newest is not None:
            found = found[::-1][:newest]
        yield from [self._items[pk, sk] for sk in found]  # as it is now, whatever is written meanwhile

    def write(self, writes: Sequence[Put | Delete]) -> None:
        """See `AlertTable.write`."""
        _check_number(writes)
        for one in writes:
            held = self._items.get(one.place)
            if one.expected is not None and one.expected != (held.version if held else 0):
                raise ConflictError(f"item {one.place} is not of version {one.expected}")
        for one in writes:
            pk, sk = one.place
            held = self._items.pop(one.place, None)
            if held is not None:
                del self._keys[pk][bisect_left(self._keys[pk], sk)]
            if isinstance(one, Put):
                self._items[one.place] = Item(one.place, one.body, (held.version if held else 0) + 1)
                insort(self._keys.setdefault(pk, []), sk)


class DynamoTable:
    """A DynamoDB table with the keys ``pk`` and ``sk``. Every method raises botocore's `ClientError` as it comes."""

    def __init__(self, client: DynamoDBClient, name: str) -> None:
        self._client = client
        self._name = name

    def read(self, places: Iterable[Place]) -> dict[Place, Item]:
        """See `AlertTable.read`."""
        found: dict[Place, Item] = {}
        rest: list[Any] = [_key(place) for place in dict.fromkeys(places)]
        while rest:
            wanted: Any = {self._name: {"Keys": rest[:READS], "ConsistentRead": True}}
            answer = self._client.batch_get_item(RequestItems=wanted)
            for item in map(_item, answer["Responses"].get(self._name, [])):
                found[item.place] = item
            unread: Any = answer.get("UnprocessedKeys") or {}
            rest = [*unread.get(self._name, {}).get("Keys", []), *rest[READS:]]
        return found

    def query(
        self, pk: str, *, after: str = "", until: str = LAST, newest: int | None = None
    ) -> Iterator[Item]:
        """See `AlertTable.query`."""
        if after > until:  # of two clocks; DynamoDB rejects a BETWEEN whose bounds are crossed
            return
        values = {":pk": {"S": pk}, ":after": {"S": after or "!"}, ":until": {"S": until}}
        pages = self._client.get_paginator("query").paginate(
            TableName=self._name,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :after AND :until",
            ExpressionAttributeValues=values,
            ScanIndexForward=newest is None,
            ConsistentRead=True,
            PaginationConfig={} if newest is None else {"MaxItems": newest, "PageSize": newest},
        )
        for page in pages:
            yield from map(_item, page["Items"])

    def write(self, writes: Sequence[Put | Delete]) -> None:
        """See `AlertTable.write`; one write is no transaction, for that costs half."""
        _check_number(writes)
        requests = [_request(self._name, one) for one in writes]
        try:
            if len(requests) > 1:
                self._client.transact_write_items(TransactItems=requests)
            elif "Put" in requests[0]:
                self._client.put_item(**requests[0]["Put"])
            else:
                self._client.delete_item(**requests[0]["Delete"])
        except self._client.exceptions.ConditionalCheckFailedException as error:
            raise ConflictError(str(error)) from error
        except self._client.exceptions.TransactionCanceledException as error:
            codes = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
            if codes & {"ConditionalCheckFailed", "TransactionConflict"}:
                raise ConflictError(str(error)) from error
            raise


def encode(value: object) -> str:
    """Return the body of an item."""
    return msgspec.json.encode(value).decode()


def decode(text: str, type_: type[_T]) -> _T:
    """Return what the body of an item holds."""
    return msgspec.json.decode(text, type=type_)


def _check_number(writes: Sequence[Put | Delete]) -> None:
    if len(writes) > WRITES:
        raise TooManyWritesError(f"{len(writes)} writes", allowed=f"at most {WRITES} in a transaction")


def _key(place: Place) -> dict[str, Any]:
    return {"pk": {"S": place[0]}, "sk": {"S": place[1]}}


def _item(item: Any) -> Item:
    return Item((item["pk"]["S"], item["sk"]["S"]), item["body"]["S"], int(item["version"]["N"]))


def _request(table: str, one: Put | Delete) -> Any:
    request: dict[str, Any] = {"TableName": table}
    if one.expected == 0:
        request["ConditionExpression"] = "attribute_not_exists(pk)"
    elif one.expected is not None:
        request["ConditionExpression"] = "version = :expected"
        request["ExpressionAttributeValues"] = {":expected": {"N": str(one.expected)}}
    if isinstance(one, Delete):
        return {"Delete": {**request, "Key": _key(one.place)}}
    version = {"N": str((one.expected or 0) + 1)}
    body = {"body": {"S": one.body}, "version": version, "expires_at": {"N": str(one.expires_at)}}
    return {"Put": {**request, "Item": {**_key(one.place), **body}}}
