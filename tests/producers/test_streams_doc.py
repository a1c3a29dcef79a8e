"""docs/streams.md is true: its examples run, and its schema is the contract."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import boto3
import pytest

from producers.quote_batch import QuoteBatch, QuoteBatchError, decode, encode

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "streams.md").read_text()
SCHEMA = json.loads((DOCS / "quote-batch.schema.json").read_text())


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_python_examples_put_and_read_ticks(aws: Any) -> None:  # noqa: ARG001 - moto is on
    boto3.client("kinesis").create_stream(StreamName="stock-quotes", ShardCount=2)
    names: dict[str, Any] = {}
    for block in blocks("python"):
        exec(block, names)  # noqa: S102 - our own document
    assert sorted((symbol, price) for symbol, _, price in names["ticks"]) == [
        ("AAPL", 189.12),
        ("MSFT", 411.5),
    ]
    assert names["AcmeSource"]({"ACME_KEY": "k3y"}).quotes(["IBM"], 1).missing == ["IBM"]


def test_the_tick_of_the_command_line_is_one() -> None:
    (command,) = blocks("bash")
    words = shlex.split(command.replace("$(date +%s%3N)", "1763996400123"))
    assert words[:3] == ["aws", "kinesis", "put-record"]
    batch, refused = decode(words[words.index("--data") + 1].encode())
    assert (batch.symbol, batch.ts, batch.price, refused) == (["AAPL"], [1763996400123], [189.12], [])


GOOD: dict[str, Any] = {"v": 1, "source": "acme", "symbol": ["A", "B"], "ts": [1, 1], "price": [1.5, 2]}
ONE: dict[str, Any] = {"v": 1, "source": "acme", "symbol": "A", "ts": 1, "price": 1.5}


@pytest.mark.parametrize(
    ("batch", "is_one"),
    [
        (GOOD, True),
        (ONE, True),
        ({**GOOD, "bid": [None, 1.0], "ask": None, "missing": ["C"], "extra": 1}, True),
        ({**ONE, "bid": 1.0, "quote_ts": None, "day_volume": 5}, True),
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
def test_the_schema_and_the_decoder_agree(batch: Any, is_one: bool) -> None:
    try:
        _, refused = decode(json.dumps(batch).encode())
    except QuoteBatchError:
        refused = [...]  # type: ignore[list-item]
    assert (refused == []) == is_one
    assert fits(batch, SCHEMA) == is_one


def test_what_is_encoded_fits_the_schema() -> None:
    batch = QuoteBatch(
        "acme", ["A", "B"], [1, 2], [0.0, -1.0], [None, 1.0], [None, None], [5.0, None], [1, None], ["C"]
    )
    assert fits(json.loads(encode(batch)), SCHEMA)


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value fits a schema, for the words of JSON Schema 2020-12 that ours uses."""
    if "$ref" in schema:
        return fits(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]])
    return (
        ("const" not in schema or (value == schema["const"] and type(value) is type(schema["const"])))
        and ("type" not in schema or any(is_a(value, name) for name in listed(schema["type"])))
        and ("anyOf" not in schema or any(fits(value, option) for option in schema["anyOf"]))
        and (not isinstance(value, str) or re.search(schema.get("pattern", ""), value) is not None)
        and (
            not is_a(value, "number") or schema.get("minimum", value) <= value <= schema.get("maximum", value)
        )
        and (not isinstance(value, list) or all(fits(item, schema.get("items", {})) for item in value))
        and (not isinstance(value, dict) or set(schema.get("required", ())) <= value.keys())
        and all(
            fits(value[name], of)
            for name, of in schema.get("properties", {}).items()
            if isinstance(value, dict) and name in value
        )
    )


def listed(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def is_a(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    types = {"string": str, "array": list, "object": dict, "null": type(None), "integer": int}
    return isinstance(value, int | float) if name == "number" else isinstance(value, types[name])
