"""The sentence of each kind."""

from __future__ import annotations

import pytest

from consumers.contracts.kinds import KINDS, spec_of
from consumers.contracts.sentences import explain
from tests.json_types import Json

RETURNS = {"unit": "return", "ticks": 240}
WINDOWS: dict[str, Json] = {
    "price_spike": RETURNS,
    "level_shift": {**RETURNS, "overnight": False},
    "bad_tick": {"unit": "price", "ticks": 240, "bid": 189.11, "ask": 189.13},
    "volume_burst": {"unit": "shares", "ticks": 250, "over_ticks": 3},
    "spread_blowout": {"unit": "spread", "ticks": 400, "over_ticks": 3},
    "frozen_feed": {"unit": "ticks", "ticks": 200, "seconds": 45.0},
    "gap": {"unit": "seconds", "ticks": 50},
    "vol_shift": {"unit": "return", "moves": 100, "over_moves": 12},
    "slow_drift": {"unit": "return", "ticks": 240, "over_ticks": 61},
}


def sentence(
    kind: str, value: float, expected: float, beyond: float, **others: str | float | Json | None
) -> str:
    facts: Json = {
        "ticker": "AAPL", "kind": kind, "change": "opened", "severity": "medium", "score": 4.25, "threshold": 2.5,
        "value": value, "expected": expected, "tolerance": beyond, "direction": "up",
        "window": WINDOWS[kind], "note": "",
    }  # fmt: skip
    return explain(**{**facts, **others})


@pytest.mark.parametrize(
    ("kind", "value", "expected", "beyond", "told"),
    [
        ("price_spike", -0.012, 0.0, 0.0006, "fell 1.20% in one tick, 20.0 times its usual move of 0.06%"),
        ("level_shift", 0.012, 0.0, 0.0006, "rose 1.20% and stayed there, 20.0 times its usual move of 0.06%"),
        ("bad_tick", 0.0, 189.12, 2.0, "came at 0.00: moves of prices of zero and below are not judged; the last good"),
        ("bad_tick", 0.0, 0.0, 2.0, "came at 0.00: moves of prices of zero and below are not judged; there was no"),
        ("bad_tick", -37.63, 0.0, 2.0, "came at -37.63: moves of prices of zero and below are not judged; there was"),
        ("bad_tick", 2e12, 0.0, 2.0, "came at 2,000,000,000,000.00: only prices from 1e-15 to 1e+12 are judged; there"),
        ("bad_tick", 1234.5, 189.12, 2.0, "came at 1,234.50, outside its own quotes of 189.11 and 189.13"),
        ("volume_burst", 12400.0, 500.0, 9000.0, "traded a volume of 12,400 a tick over 3 ticks, 24.8 times"),
        ("spread_blowout", 0.004, 0.0005, 0.0025, "spread of 0.4% or more for 3 ticks, 8.00 times the usual 0.05%"),
        ("frozen_feed", 45.0, 0.5, 11.5, "same price, quotes and volume for 45 ticks (45 s); 12 or more is too many"),
        ("gap", 320.0, 1.0, 14.0, "sent no tick for 5 min 20 s, where one every 1 s is usual and up to 15 s"),
        ("vol_shift", 0.0012, 0.0003, 0.0002, "moves 4.00 times as much as usual: 0.12% a move over 12 moves"),
        ("slow_drift", -0.008, 0.0, 0.0002, "has drifted 0.8% down over 61 ticks"),
    ],
)  # fmt: skip
def test_it_says_what_was_found_what_was_expected_and_by_how_much(
    kind: str, value: float, expected: float, beyond: float, told: str
) -> None:
    said = sentence(kind, value, expected, beyond)
    assert told in said
    assert said.startswith("AAPL ")
    assert said.endswith("severity medium, score 4.25 where alerts begin at 2.5.")


@pytest.mark.parametrize(
    ("kind", "value", "expected", "told"),
    [
        ("volume_burst", 0.35, 0.012, "traded a volume of 0.35 a tick over 3 ticks"),  # of a coin
        ("bad_tick", 0.00001234, 0.0000101, "came at 0.00001234"),
        (
            "bad_tick",
            1_612_345_678.0,
            161_234_567.5,
            "the last good price was 161,234,567.50",
        ),  # a pair with the rupiah
    ],
)
def test_small_and_large_numbers_keep_their_digits(
    kind: str, value: float, expected: float, told: str
) -> None:
    assert told in sentence(kind, value, expected, 2.0)


def test_crossed_quotes_are_named() -> None:
    said = sentence("bad_tick", 189.12, 189.12, 2.0, window={**WINDOWS["bad_tick"], "bid": 189.3})
    assert "came with a bid of 189.30 above the ask of 189.13" in said


def test_without_quotes_it_names_the_price() -> None:
    assert "came at 200.00, too far off to believe" in sentence(
        "bad_tick", 200.0, 189.12, 2.0, window={"ticks": 60}
    )


def test_a_split_is_named() -> None:
    window = {**WINDOWS["level_shift"], "overnight": True}
    said = sentence("level_shift", -0.857, 0.0, 0.02, window=window, note="7:1 split")
    assert "opened 85.7% below the last session's close (7:1 split)" in said


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_of_each_kind_has_a_sentence(kind: str) -> None:
    said = sentence(kind, 0.0, 0.0, 0.0, change="ended")
    assert said.startswith(f"AAPL: the {spec_of(kind).label.lower()} is over, ")
