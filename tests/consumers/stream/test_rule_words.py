"""A person's own rules in words: levels with all their digits, whatever the instrument."""

from __future__ import annotations

import pytest

from consumers.stream.rules import of_object


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (112_345.67, "112,345.67"),
        (1_612_345_678.0, "1,612,345,678.00"),
        (0.00001234, "0.00001234"),
        (-37.63, "-37.63"),
    ],
)
def test_a_level_is_said_with_its_digits(value: float, told: str) -> None:
    rule = of_object({"id": "a", "when": "above", "value": value, "ticker": "BTC-USD"})
    assert rule.words == f"BTC-USD: the price rises above {told}, every time, high"
