"""docs/streams.md is true: its examples run, and its schema is the contract."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import boto3
import pytest
from jsonschema import Draft202012Validator

from producers.quote_batch import QuoteBatch, QuoteBatchError, decode, encode
from tests.producers.fakes import Aws

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "streams.md").read_text()
SCHEMA = Draft202012Validator(json.loads((DOCS / "quote-batch.schema.json").read_text()))


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_python_examples_put_and_read_ticks(aws: Aws) -> None:  # noqa: ARG001 - moto is on
    boto3.client("kinesis").create_stream(StreamName="stock-quotes", ShardCount=2)
    names: dict[str, list[tuple[str, int, float]]] = {}
    for block in blocks("python"):
        exec(block, names)  # noqa: S102 - our own document
    assert sorted((symbol, price) for symbol, _, price in names["ticks"]) == [
        ("AAPL", 189.12),
        ("MSFT", 411.5),
    ]


def test_the_tick_of_the_command_line_is_one() -> None:
    (command,) = blocks("bash")
    words = shlex.split(command.replace("$(date +%s)", "1763996400"))
    assert words[:3] == ["aws", "kinesis", "put-record"]
    batch, rejected = decode(words[words.index("--data") + 1].encode())
    assert (batch.symbol, batch.ts, batch.price, rejected) == (["AAPL"], [1763996400000], [189.12], [])


GOOD: dict[str, object] = {"v": 1, "source": "acme", "symbol": ["A", "B"], "ts": [1, 1], "price": [1.5, 2]}
ONE: dict[str, object] = {"v": 1, "source": "acme", "symbol": "A", "ts": 1, "price": 1.5}


@pytest.mark.parametrize(
    ("batch", "is_one"),
    [
        (GOOD, True),
        (ONE, True),
        ({**GOOD, "bid": [None, 1.0], "ask": None, "missing": ["C"], "extra": 1}, True),
        ({**ONE, "bid": 1.0, "quote_ts": None, "day_volume": 5}, True),
        ({**ONE, "ts": 1763996400000.0, "quote_ts": 5.0}, True),  # JSON Schema: 5.0 is an integer
        ({**ONE, "ts": 1763996400000.5}, False),
        ({**ONE, "symbol": "BINANCE:M&M1!"}, True),
        ({**ONE, "symbol": "A" * 33}, False),
        ({**ONE, "symbol": "A!B"}, False),
        ({**GOOD, "v": 2}, False),
        ({**GOOD, "v": True}, False),
        ({**GOOD, "source": "a b"}, False),
        ({**GOOD, "symbol": ["A", "b"]}, False),
        ({**GOOD, "ts": [1, 1.5]}, False),
        ({**GOOD, "ts": [1, -1]}, False),
        ({**GOOD, "price": [1, None]}, False),
        ({**GOOD, "price": [1, "2"]}, False),
        ({**GOOD, "price": [1, 1e16]}, False),
        ({**GOOD, "day_volume": [1, -1]}, False),
        ({**GOOD, "bid": [True, None]}, False),
        ({**ONE, "price": [1.5]}, False),
        ({**ONE, "missing": "C"}, False),
        ({name: value for name, value in GOOD.items() if name != "price"}, False),
        ([GOOD], False),
    ],
)
def test_the_schema_and_the_decoder_agree(batch: object, is_one: bool) -> None:
    try:
        _, rejected = decode(json.dumps(batch).encode())
    except QuoteBatchError:
        rejected = [...]  # type: ignore[list-item]
    assert (rejected == []) == is_one
    assert SCHEMA.is_valid(batch) == is_one


def test_what_is_encoded_fits_the_schema() -> None:
    batch = QuoteBatch(
        "acme", ["A", "B"], [1, 2], [0.0, -1.0], [None, 1.0], [None, None], [5.0, None], [1, None], ["C"]
    )
    assert SCHEMA.is_valid(json.loads(encode(batch)))
