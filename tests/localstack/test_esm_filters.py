"""Filter criteria: the comparison operators of the Lambda guide, "Filter rule syntax"."""

import json
from typing import Any

import pytest

from localstack.event_source_mapping.filters import Filters, matches
from localstack.event_source_mapping.records import EventSource, make_record

SOURCE = EventSource(
    "arn:aws:kinesis:us-east-1:000000000000:stream/s", "shardId-000000000000", "us-east-1", "r"
)
DATA = {"symbol": "AAPL", "price": 189.5, "flag": True, "nothing": None, "empty": "", "tags": ["hot", "us"]}


def admits(filters: Filters, data: bytes) -> bool:
    return filters.admits(data, make_record(SOURCE, "1", "key-7", data, 0.0).event_json)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"symbol": ["AAPL", "MSFT"]}, True),
        ({"symbol": ["MSFT"]}, False),
        ({"symbol": ["AAPL"], "price": [1]}, False),
        ({"price": [189.5]}, True),
        ({"flag": [True]}, True),
        ({"flag": [1]}, False),
        ({"nothing": [None]}, True),
        ({"empty": [""]}, True),
        ({"tags": ["us"]}, True),
        ({"absent": ["x"]}, False),
        ({"absent": [{"exists": False}]}, True),
        ({"symbol": [{"exists": True}]}, True),
        ({"symbol": [{"exists": False}]}, False),
        ({"symbol": [{"prefix": "AA"}]}, True),
        ({"symbol": [{"suffix": "PL"}]}, True),
        ({"symbol": [{"prefix": {"equals-ignore-case": "aa"}}]}, True),
        ({"symbol": [{"equals-ignore-case": "aapl"}]}, True),
        ({"symbol": [{"anything-but": ["MSFT"]}]}, True),
        ({"symbol": [{"anything-but": "AAPL"}]}, False),
        ({"symbol": [{"anything-but": {"prefix": "A"}}]}, False),
        ({"price": [{"numeric": [">", 100, "<=", 189.5]}]}, True),
        ({"price": [{"numeric": ["<", 100]}]}, False),
        ({"symbol": [{"numeric": ["=", 1]}]}, False),
        ({"$or": [{"symbol": ["MSFT"]}, {"price": [{"numeric": [">", 1]}]}]}, True),
    ],
)
def test_operators(pattern: dict[str, Any], expected: bool) -> None:
    assert matches(pattern, DATA) is expected
    assert admits(Filters(({"data": pattern},)), json.dumps(DATA).encode()) is expected


def test_filters_are_joined_by_or() -> None:
    filters = Filters(({"data": {"symbol": ["MSFT"]}}, {"data": {"symbol": ["AAPL"]}}))
    assert admits(filters, json.dumps(DATA).encode())


def test_a_payload_that_is_no_json_matches_no_pattern_for_data() -> None:
    assert not admits(Filters(({"data": {"symbol": ["AAPL"]}},)), b"plain text")
    assert admits(Filters(), b"plain text")


def test_the_partition_key_can_be_filtered_on() -> None:
    assert admits(Filters(({"partitionKey": ["key-7"]},)), b"plain text")
    assert not admits(Filters(({"kinesis": {"partitionKey": ["key-8"]}},)), b"plain text")
