"""Thresholds that are set one by one: the one that is set is in force, and no other changes."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from consumers.contracts.kinds import KINDS
from consumers.stream.threshold_table import table
from consumers.stream.thresholds import Threshold

SCORES = st.floats(0.1, 1000.0)
TICKERS = ("KO", "TSLA")
BEFORE = st.fixed_dictionaries(
    {"default": SCORES},
    optional={
        "kinds": st.dictionaries(st.sampled_from(KINDS), SCORES),
        "tickers": st.dictionaries(
            st.sampled_from(TICKERS), st.one_of(SCORES, st.dictionaries(st.sampled_from(KINDS), SCORES))
        ),
    },
)


def in_force(threshold: Threshold) -> dict[tuple[str, str], float]:
    """The threshold of each ticker and kind; PLAIN is a ticker that is not named."""
    tickers = (*TICKERS, "PLAIN")
    found = table(threshold, tickers)
    return {
        (ticker, kind): float(found[row, slot])
        for slot, ticker in enumerate(tickers)
        for row, kind in enumerate(KINDS)
    }


@given(before=BEFORE, value=SCORES, ticker=st.sampled_from(TICKERS), kind=st.sampled_from(KINDS))
def test_of_a_ticker_and_a_kind(before: dict[str, object], value: float, ticker: str, kind: str) -> None:
    threshold = Threshold.parse(json.dumps(before))
    after = in_force(threshold.changed(value, ticker.lower(), kind))
    assert after == {**in_force(threshold), (ticker, kind): value}


@given(before=BEFORE, value=SCORES, ticker=st.sampled_from(TICKERS))
def test_of_a_ticker(before: dict[str, object], value: float, ticker: str) -> None:
    threshold = Threshold.parse(json.dumps(before))
    after = in_force(threshold.changed(value, ticker))
    assert after == {**in_force(threshold), **dict.fromkeys(((ticker, kind) for kind in KINDS), value)}
    unset = threshold.changed(value, ticker).changed(None, ticker)
    plain = in_force(threshold)
    assert {kind: in_force(unset)[ticker, kind] for kind in KINDS} == {k: plain["PLAIN", k] for k in KINDS}


@given(before=BEFORE, value=SCORES, kind=st.sampled_from(KINDS))
def test_of_a_kind_and_the_default(before: dict[str, object], value: float, kind: str) -> None:
    threshold = Threshold.parse(json.dumps(before))
    assert in_force(threshold.changed(value, kind=kind))["PLAIN", kind] == value
    assert in_force(threshold.changed(None, kind=kind))["PLAIN", kind] == threshold.default
    assert threshold.changed(value).default == value
    assert threshold.changed(None).default == 2.5
    assert dict(threshold.changed(value).kinds) == dict(threshold.kinds)
