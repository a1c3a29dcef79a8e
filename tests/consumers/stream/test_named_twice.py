"""A name that stands twice in a parameter would be a setting that is taken and has no effect."""

from __future__ import annotations

import pytest

from consumers.stream import rules
from consumers.stream.rules import RuleError
from consumers.stream.thresholds import Threshold, ThresholdError


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"default": 2, "default": 3}', "default"),
        ('{"tickers": {"AAPL": 2, "KO": 3, "AAPL": 4}}', "AAPL"),
        ('{"tickers": {"AAPL": {"gap": 2, "gap": 4}}}', "gap"),
    ],
)
def test_a_threshold_that_stands_twice_is_rejected(text: str, name: str) -> None:
    with pytest.raises(ThresholdError, match=f'"{name}" stands twice; must be a name that is there once'):
        Threshold.parse(text)


def test_a_part_of_a_rule_that_stands_twice_is_rejected() -> None:
    with pytest.raises(RuleError, match="'value' stands twice"):
        rules.parse('[{"id": "a", "when": "moves", "value": 2, "value": 3, "minutes": 5}]')
