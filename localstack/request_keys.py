"""The condition keys of a request that MiniStack's evaluator does not know: DynamoDB's keys, EventBridge's types.

DynamoDB guide, "Using IAM policy conditions for fine-grained access control": `dynamodb:LeadingKeys` holds the
partition keys that a request names. EventBridge guide, "Using IAM policy conditions": `events:detail-type` and
`events:source` are those of the entries of PutEvents.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

Json = Any
KeyNames = Mapping[str, str]
"""Name of the partition key by table."""
_TEXT_OF_KEY = {"S", "N", "B"}


def tables_of(body: bytes) -> set[str]:
    """Return the tables that a request to DynamoDB names.

    >>> sorted(tables_of(b'{"RequestItems": {"a": {}, "b": {}}}'))
    ['a', 'b']
    """
    return {table for table, _ in _parts(json.loads(body))}


def leading_keys(body: bytes, key_names: KeyNames) -> list[str]:
    """Return the partition keys that a request to DynamoDB names; empty for one that names none, as Scan.

    >>> leading_keys(b'{"TableName": "t", "Key": {"pk": {"S": "a"}}}', {"t": "pk"})
    ['a']
    """
    found = []
    for table, part in _parts(json.loads(body)):
        name = key_names[table]
        for item in _items(part):
            if name in item:
                found += [text for kind, text in item[name].items() if kind in _TEXT_OF_KEY]
        if expression := part.get("KeyConditionExpression"):
            found += _queried(expression, name, part)
    return found


def event_keys(body: bytes) -> dict[str, list[str]]:
    """Return the condition keys of PutEvents.

    >>> event_keys(b'{"Entries": [{"DetailType": "A", "Source": "s"}, {"DetailType": "B", "Source": "s"}]}')
    {'events:detail-type': ['A', 'B'], 'events:source': ['s']}
    """
    entries = json.loads(body).get("Entries", [])
    return {
        "events:detail-type": sorted({entry.get("DetailType", "") for entry in entries}),
        "events:source": sorted({entry.get("Source", "") for entry in entries}),
    }


def _parts(request: Json) -> Iterator[tuple[str, Json]]:
    """Yield (table, what is asked of it)."""
    if "TableName" in request:
        yield _name(request["TableName"]), request
    for table, asked in request.get("RequestItems", {}).items():
        for part in asked if isinstance(asked, list) else [asked]:
            yield _name(table), part
    for item in request.get("TransactItems", []):
        for part in item.values():
            yield _name(part["TableName"]), part


def _name(table: str) -> str:
    return table.rsplit("/", 1)[-1]  # an ARN will do for a name


def _items(part: Json) -> Iterator[Json]:
    yield from (part[name] for name in ("Key", "Item") if name in part)
    yield from part.get("Keys", [])
    yield from (part[name]["Item"] for name in ("PutRequest",) if name in part)
    yield from (part[name]["Key"] for name in ("DeleteRequest",) if name in part)


def _queried(expression: str, name: str, part: Json) -> list[str]:
    names = part.get("ExpressionAttributeNames", {})
    values = part.get("ExpressionAttributeValues", {})
    equals = re.findall(r"([#\w]+)\s*=\s*(:\w+)", expression)
    return [
        text
        for key, value in equals
        if names.get(key, key) == name and value in values
        for kind, text in values[value].items()
        if kind in _TEXT_OF_KEY
    ]
