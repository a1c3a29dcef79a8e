"""Odd bytes, texts and JSON, drawn from a seed: what a stranger, a bug or a bad disk makes of a good input."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import TypeVar

NUMBERS = (
    "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "-0.0", "0", "-1", "1.5", "1763996400",
    "1763996400000", "1763996400000000", "253402300799999", "253402300800000", "9" * 400, "9" * 5000, "1e308",
)  # fmt: skip
TEXTS = (
    "", " ", "\x00", "\x1b[2J\x1b]0;owned\x07", "\r\nBcc: all@example.com", "<script>alert(1)</script>", "\u202eLPAA",
    "\ud800", "\ufeffAAPL", "AAPL", "aapl", "s3://bucket/key", "s3://../..", "../../etc/passwd", "a" * 70_000,
    "é" * 300,
    "9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00+23:59", "2026-11-24T14:30:00.000Z#price_spike", "{}", "[]", "%00",
    "AAPL-1-gap", "live", "replay-", "replay-x/AAPL", "simulated", "#", "null", "true", "=cmd|' /C calc'!A0",
)  # fmt: skip
NESTED = tuple(opening * 1500 + "1" + closing * 1500 for opening, closing in (("[", "]"), ('{"a":', "}")))
_RAW = "\ue000"
T = TypeVar("T")


def _odd(rng: random.Random) -> str:
    """Return an odd value as JSON text."""
    sort = rng.random()
    if sort < 0.35:
        return rng.choice(NUMBERS)
    if sort < 0.75:
        return json.dumps(rng.choice(TEXTS))
    if sort < 0.8:
        return rng.choice(NESTED)
    return rng.choice(
        ("null", "true", "false", "[]", "{}", "[null]", '{"S":"x"}', '[["a"]]', "[" + "1," * 3000 + "1]")
    )


def odd_json(rng: random.Random, good: object) -> str:
    """Return JSON like `good`, with values replaced, left out, doubled or added."""
    values: list[str] = []

    def changed(value: object, depth: int) -> object:
        if rng.random() < (0.02 if depth == 0 else 0.12):
            values.append(_odd(rng))
            return f"{_RAW}{len(values) - 1}{_RAW}"
        if isinstance(value, dict):
            made = {name: changed(of, depth + 1) for name, of in value.items() if rng.random() > 0.04}
            if rng.random() < 0.08:
                made[rng.choice(TEXTS[:-1])[:80]] = changed(1, depth + 1)
            return made
        if isinstance(value, list):
            made_list = [changed(of, depth + 1) for of in value if rng.random() > 0.04]
            return made_list * rng.choice((1, 1, 1, 1, 2, 40)) if made_list else made_list
        return value

    text = json.dumps(changed(good, 0))
    for number, value in enumerate(values):
        text = text.replace(json.dumps(f"{_RAW}{number}{_RAW}"), value)
    return text


def odd_bytes(rng: random.Random, good: bytes) -> bytes:
    """Return bytes like `good`, with some flipped, cut out, doubled or put in."""
    data = bytearray(good)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        sort = rng.random()
        if sort < 0.4 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        elif sort < 0.6:
            del data[at : at + rng.randint(1, 20)]
        elif sort < 0.8:
            data[at:at] = rng.randbytes(rng.randint(1, 20))
        else:
            data[at:at] = data[at : at + rng.randint(1, 200)]
    return bytes(data)


def any_of(rng: random.Random, *made: Callable[[random.Random], T]) -> T:
    """Return what one of the functions makes."""
    return rng.choice(made)(rng)
