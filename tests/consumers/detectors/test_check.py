"""A detector of a package that fails on some tick is named before the first one, or when that tick comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from consumers.contracts.detector import DetectorSpec, DetectorSpecError, Facts
from consumers.contracts.kinds import REGISTRY, Registered
from consumers.detectors.engine import engine
from consumers.detectors.engine.check import check, score_of
from consumers.detectors.engine.compiled import Loop
from consumers.detectors.engine.signals import Signals
from consumers.detectors.engine.state import State
from consumers.stream.library import LIBRARY
from producers.simulation.distortion import Distortion
from tests.consumers.detectors.test_laws import market_ticks, run

Reading = tuple[float, float, float, float]
USUAL = (0.0, 1.0, 1.0, 1.0)
GAP = REGISTRY["gap"].spec


def spec_of(score: Callable[[Any, Any], Any], **parts: object) -> DetectorSpec:
    given: dict[str, Any] = {"fields": {"repeats_excess": "what it remembers"}, **parts}
    return replace(
        GAP,
        kind="acme",
        distortion=Distortion(kind="acme", seconds=150.0, is_silent=True),
        score=score,
        **given,
    )


def checked_with_ours(spec: DetectorSpec) -> None:
    check([*REGISTRY.values(), Registered("package acme", spec)])


def by_price(_s: State, x: Signals) -> Reading:
    return 1.0 / x.price, 1.0, 1.0, 1.0


def by_spread(_s: State, x: Signals) -> Reading:
    return x.volume_root / x.spread, 1.0, 1.0, 1.0


def short_at_a_session(_s: State, x: Signals) -> tuple[float, ...]:
    return USUAL[:3] if x.new_session else USUAL


def none_when_traded(_s: State, x: Signals) -> Reading | None:
    return None if x.traded and x.warm else USUAL


def endless(_s: State, x: Signals) -> Reading:
    return (x.size * 1e300 * 1e300 if x.warm else 0.0, 1.0, 1.0, 1.0)


def negative(_s: State, x: Signals) -> Reading:
    return x.change, 1.0, 1.0, 1.0


def texts(_s: State, x: Signals) -> tuple[Any, ...]:
    return ("1", "1", "1", "1") if x.unchanged else USUAL


def undeclared(s: State, x: Signals) -> Reading:
    if x.new_session:
        s.acme_price = x.price
    return USUAL


def lasting(s: State, x: Signals) -> Reading:
    s.repeats_excess = x.price * 1e300 if x.price > 1e11 else s.repeats_excess
    return USUAL


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (by_price, "score fails: ZeroDivisionError: .*with price 0, bid"),
        (by_spread, "score fails: ZeroDivisionError"),
        (short_at_a_session, "score returns 3 numbers; must be four"),
        (none_when_traded, "score fails: TypeError: 'NoneType'"),
        (endless, r"score returns \[inf, 1.0, 1.0, 1.0\]"),
        (negative, r"score returns \[-.* the score is at least 0"),
        (texts, "score fails: TypeError: .*'str'"),
        (undeclared, "score fails: AttributeError: .*'acme_price'"),
        (lasting, "score leaves inf in the field repeats_excess; must be a finite number"),
    ],
)
def test_what_fails_on_some_kind_of_tick_is_named_before_the_first(
    score: Callable[[Any, Any], Any], said: str
) -> None:
    with pytest.raises(DetectorSpecError, match=f"^package acme: {said}"):
        checked_with_ours(spec_of(score))


def found_at_a_session(_s: State, x: Signals) -> Reading:
    return (3.0 if x.new_session else 0.0), 1.0, 1.0, 0.0


def test_a_sentence_that_fails_on_what_is_found_is_named() -> None:
    def sentence(facts: Facts) -> str:
        return f"is {facts.value / facts.tolerance:g} times off"

    said = r"^package acme: window, sentence or note fails: ZeroDivisionError"
    with pytest.raises(DetectorSpecError, match=said):
        checked_with_ours(spec_of(found_at_a_session, sentence=sentence))


def whole(_s: State, _x: Signals) -> tuple[Any, ...]:
    return 1, 2, True, 4


def test_whole_numbers_are_numbers() -> None:
    checked_with_ours(spec_of(whole))


def uncompiled(score: Callable[[Any, Any], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the compiled loop call a package's detector in the place of `gap`."""
    assert LIBRARY is not None
    monkeypatch.setitem(REGISTRY, "gap", Registered("package acme", replace(GAP, score=score)))
    monkeypatch.setattr(engine, "LOOP", Loop(LIBRARY._replace(kinds=LIBRARY.kinds - {"gap"})))


def seldom(_s: State, x: Signals) -> Reading:
    return (1.0 / (x.age - 150.0), 1.0, 1.0, 1.0) if x.age >= 150.0 else USUAL


@pytest.mark.parametrize("is_compiled", [True, False])
def test_what_fails_later_names_the_package_and_the_tick(
    is_compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    uncompiled(seldom, monkeypatch)
    if not is_compiled:
        monkeypatch.setattr(engine, "LOOP", None)
        monkeypatch.setattr(engine, "SCORES", tuple(map(score_of, REGISTRY.values())))
    said = r"^package acme: score fails: ZeroDivisionError: .*\(tick 150 of a symbol"
    with pytest.raises(DetectorSpecError, match=said):
        run(market_ticks(1, 1, 200))


def undeclared_of_state(s: State, _x: Signals) -> Reading:
    s.acme = 1.0
    return USUAL


def undeclared_of_signals(_s: State, x: Any) -> Reading:
    x.acme = 1.0
    return USUAL


@pytest.mark.parametrize("score", [undeclared_of_state, undeclared_of_signals])
def test_beside_compiled_ones_a_field_that_nobody_declared_is_an_error_too(
    score: Callable[[Any, Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be forgotten with the tick."""
    uncompiled(score, monkeypatch)
    with pytest.raises(DetectorSpecError, match="score fails: AttributeError"):
        run(market_ticks(1, 1, 5))
