"""Say in one sentence what was not normal, for a person: numpy-free, so that the API can say it too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class _Facts(NamedTuple):
    """What a transition holds; `usual` and `beyond` are the expected value and how far from it is normal."""

    value: float
    usual: float
    beyond: float
    window: dict[str, Any]


def explain(
    *,
    ticker: str,
    kind: str,
    change: str,
    severity: str,
    score: float,
    threshold: float,
    value: float,
    expected: float,
    spread_of_expected: float,
    direction: str,
    window: dict[str, Any],
    note: str,
) -> str:
    """One sentence: what happened to `ticker`, what was expected, by how much, compared with what window.

    `change` is opened, escalated or ended; the other arguments are the fields of the same name of a
    `consumers.detectors.engine.Transition`.
    """
    del direction
    if change == "ended":
        return f"{ticker}: the {kind.replace('_', ' ')} is over, {_OVER[kind]}."
    facts = _Facts(value, expected, spread_of_expected, window)
    aside = f" ({note})" if note else ""
    told = f"{ticker} {_SAID[kind](facts)}{aside}; severity {severity}"
    return f"{told}, score {_number(score)} where alerts begin at {threshold:g}."


def _spike(facts: _Facts) -> str:
    return f"{_moved(facts.value)} in one tick, {_against_returns(facts)}"


def _shift(facts: _Facts) -> str:
    if facts.window.get("overnight"):
        return f"opened {_percent(facts.value)} {_side(facts.value)} the last session's close"
    return f"{_moved(facts.value)} and stayed there, {_against_returns(facts)}"


def _bad_tick(facts: _Facts) -> str:
    last = f"the last good price was {_price(facts.usual)}"
    bid, ask = facts.window.get("bid"), facts.window.get("ask")
    if facts.value <= 0.0:
        return f"came without a usable price; {last}"
    if bid is None or ask is None:
        return f"came at {_price(facts.value)}, too far off to believe; {last}"
    if bid > ask:
        return f"came with a bid of {_price(bid)} above the ask of {_price(ask)}; {last}"
    return f"came at {_price(facts.value)}, outside its own quotes of {_price(bid)} and {_price(ask)}; {last}"


def _burst(facts: _Facts) -> str:
    over, of = facts.window["over_ticks"], facts.window["ticks"]
    return (
        f"traded {facts.value:,.0f} shares a tick over {over} ticks, {_times(facts)} the usual"
        f" {_number(facts.usual)} of the last {of} ticks"
    )


def _blowout(facts: _Facts) -> str:
    over, of = facts.window["over_ticks"], facts.window["ticks"]
    return (
        f"has had a bid-ask spread of {_percent(facts.value)} or more for {over} ticks, {_times(facts)} the usual"
        f" {_percent(facts.usual)} of the last {of} ticks"
    )


def _frozen(facts: _Facts) -> str:
    return (
        f"has not changed for {facts.value:,.0f} ticks ({_duration(facts.window['seconds'])}): price, quotes and"
        f" volume repeat, where {facts.usual + facts.beyond:,.0f} or more are not chance"
    )


def _gap(facts: _Facts) -> str:
    return (
        f"sent no tick for {_duration(facts.value)}, where one every {_duration(facts.usual)} is usual"
        f" and up to {_duration(facts.usual + facts.beyond)} is normal"
    )


def _volatility(facts: _Facts) -> str:
    over, of = facts.window["over_moves"], facts.window["moves"]
    return (
        f"moves {_times(facts)} as much as usual: {_percent(facts.value)} a move over {over} moves,"
        f" against {_percent(facts.usual)} over {of}"
    )


def _drift(facts: _Facts) -> str:
    over, of = facts.window["over_ticks"], facts.window["ticks"]
    return (
        f"has drifted {_percent(facts.value)} {_way(facts.value)} over {over} ticks, in small steps that are too"
        f" often the same way for chance (a step of {_percent(facts.beyond)} is usual over {of} ticks)"
    )


_SAID: dict[str, Callable[[_Facts], str]] = {
    "price_spike": _spike,
    "level_shift": _shift,
    "bad_tick": _bad_tick,
    "volume_burst": _burst,
    "spread_blowout": _blowout,
    "frozen_feed": _frozen,
    "gap": _gap,
    "vol_shift": _volatility,
    "slow_drift": _drift,
}
_OVER = {
    "price_spike": "moves are of usual size again",
    "level_shift": "no further jump followed",
    "bad_tick": "prices can be believed again",
    "volume_burst": "volume is usual again",
    "spread_blowout": "the spread is usual again",
    "frozen_feed": "it changes again",
    "gap": "ticks come as usual again",
    "vol_shift": "moves are of usual size again",
    "slow_drift": "its steps go both ways again",
}


def _moved(value: float) -> str:
    return f"{'rose' if value > 0.0 else 'fell'} {_percent(value)}"


def _way(value: float) -> str:
    return "up" if value > 0.0 else "down"


def _side(value: float) -> str:
    return "above" if value > 0.0 else "below"


def _against_returns(facts: _Facts) -> str:
    times = abs(facts.value) / facts.beyond
    return (
        f"{_number(times)} times its usual move of {_percent(facts.beyond)} over the last"
        f" {facts.window['ticks']} ticks"
    )


def _times(facts: _Facts) -> str:
    if facts.usual <= 0.0:
        return "far beyond"
    return f"{_number(facts.value / facts.usual)} times"


def _percent(share: float) -> str:
    return f"{_number(abs(share) * 100.0)}%"


def _number(value: float) -> str:
    """Three significant digits, none lost of those before the point: 0.0123, 1.23, 1,234."""
    for bound, digits in ((100.0, 0), (10.0, 1), (1.0, 2)):
        if abs(value) >= bound:
            return f"{value:,.{digits}f}"
    return f"{value:.3g}"


def _price(value: float) -> str:
    return f"{value:,.8g}"


def _duration(seconds: float) -> str:
    if seconds < 90.0:
        return f"{_number(seconds)} s"
    minutes = round(seconds / 60.0)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
