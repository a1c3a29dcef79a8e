"""The threshold parameter: what its value may be, and which version was in force when a record arrived.

A new version takes effect for records that arrive `EFFECTIVE_AFTER_MS` or more after it was set. Whoever
reads the parameter's history at most that long before it scores a record therefore knows every version
that can matter, and all who score the record agree.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from consumers.contracts.kinds import KINDS
from consumers.stream import rules
from consumers.stream.rules import PriceRule, RuleError
from producers.errors import MonitorError, named_twice, shown
from producers.symbols import SYMBOL_RULE, in_capitals, is_symbol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PARAMETER = "/stock-tracker/threshold"
DEFAULT = "2.5"
EFFECTIVE_AFTER_MS = 30_000
LOWEST, HIGHEST = 0.1, 1000.0


class ThresholdError(MonitorError):
    """A threshold parameter's value cannot be used."""


class ThresholdVersion(NamedTuple):
    """A version of the parameter: its number, when it was set (epoch ms) and its value."""

    number: int
    set_ms: int
    value: str


class RejectedVersion(NamedTuple):
    """A version that cannot be used, and why."""

    version: ThresholdVersion
    reason: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """Scores at or above it are anomalies.

    `text` is the parameter's value. Per ticker beats per kind beats default. `rules` are in force with it.
    """

    text: str
    default: float
    kinds: Mapping[str, float] = field(default_factory=dict)
    tickers: Mapping[str, float | Mapping[str, float]] = field(default_factory=dict)
    rules: tuple[PriceRule, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Return the threshold that `text` spells: a number, or a JSON object.

        Raises
        ------
        ThresholdError
            If it is neither.

        Examples
        --------
        >>> Threshold.parse('{"default": 2.5, "kinds": {"gap": 3}, "tickers": {"tsla": {"gap": 4}}}').tickers
        {'TSLA': {'gap': 4.0}}
        """
        text = text.removeprefix("\ufeff")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ThresholdError(f"the threshold is {shown(text)}", allowed=_ALLOWED) from error
        if (twice := named_twice(text)) is not None:
            raise ThresholdError(f"{shown(twice)} stands twice", allowed="a name that is there once")
        if not isinstance(value, dict):
            return cls(text, _number("the threshold", value))
        if unknown := sorted(set(value) - {"default", "kinds", "tickers"}):
            raise ThresholdError(f"unknown field {shown(unknown[0])}", allowed=_ALLOWED)
        default = _number("default", value.get("default", float(DEFAULT)))
        kinds = _by_kind("kinds", value.get("kinds", {}))
        return cls(text, default, kinds, _by_ticker(value.get("tickers", {})))

    def changed(self, value: float | None, ticker: str = "", kind: str = "") -> Threshold:
        """Return it with one threshold set, or left to the wider one (`value` None): of a ticker, a kind, or both.

        Without either it is the default, which None sets to `DEFAULT`.

        Raises
        ------
        ThresholdError
            If the result is not allowed.

        Examples
        --------
        >>> Threshold.parse("2.5").changed(4.0, "TSLA", "gap").text
        '{"default":2.5,"tickers":{"TSLA":{"gap":4.0}}}'
        >>> Threshold.parse('{"kinds": {"gap": 3}}').changed(None, kind="gap").text
        '2.5'
        """
        if kind and kind not in KINDS:
            raise ThresholdError(f"the kind is {shown(kind)}", allowed=f"one of {', '.join(KINDS)}")
        if value is not None:
            _number("the threshold", value, _SCORE)
        default, kinds, tickers = self.default, dict(self.kinds), dict(self.tickers)
        if ticker := in_capitals(ticker.strip()):
            of = tickers.pop(ticker, {})
            if kind:
                own = dict.fromkeys(KINDS, of) if isinstance(of, float) else dict(of)
                _set(own, kind, value)
                of = own
            else:
                of = {} if value is None else value
            if of != {}:
                tickers[ticker] = of
        elif kind:
            _set(kinds, kind, value)
        else:
            default = float(DEFAULT) if value is None else value
        written: dict[str, Any] = {"default": default}
        written |= {name: of for name, of in (("kinds", kinds), ("tickers", tickers)) if of}
        return Threshold.parse(json.dumps(default if len(written) == 1 else written, separators=(",", ":")))


class ThresholdHistory:
    """All versions of the parameter and of the rules, those that cannot be used set aside in `rejected`."""

    def __init__(
        self, versions: Sequence[ThresholdVersion], of_rules: Sequence[ThresholdVersion] = ()
    ) -> None:
        self._rules: list[tuple[int, tuple[PriceRule, ...]]] = []
        self._usable: list[tuple[int, Threshold]] = []
        self.rejected: list[RejectedVersion] = []
        for version in sorted(versions, key=lambda version: (version.set_ms, version.number)):
            try:
                self._usable.append((version.set_ms, Threshold.parse(version.value)))
            except ThresholdError as error:
                self.rejected.append(RejectedVersion(version, str(error)))
        for version in sorted(of_rules, key=lambda version: (version.set_ms, version.number)):
            try:
                self._rules.append((version.set_ms, rules.parse(version.value)))
            except RuleError as error:
                self.rejected.append(RejectedVersion(version, str(error)))
        self._first = self._usable[0][1] if self._usable else Threshold.parse(DEFAULT)

    def in_force(self, arrival_ms: int) -> Threshold:
        """Return the threshold for records that arrived at `arrival_ms`: the last usable one in effect by then.

        Before the first version took effect, that one; without any usable version, `DEFAULT`. Rules are in force from
        their first version on.
        """
        latest = arrival_ms - EFFECTIVE_AFTER_MS
        found = next((threshold for at, threshold in reversed(self._usable) if at <= latest), self._first)
        own = next((of for at, of in reversed(self._rules) if at <= latest), ())
        return replace(found, rules=own) if own else found


_SCORE = f"a number from {LOWEST:g} to {HIGHEST:g}"
_ALLOWED = f'{_SCORE}, or a JSON object {{"default": 2.5, "kinds": {{"gap": 3}}, "tickers": {{"TSLA": 4}}}}'


def _object(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ThresholdError(f"{where} is {shown(value)}", allowed="a JSON object of numbers")
    return value


def _by_ticker(value: Any) -> dict[str, float | dict[str, float]]:
    found: dict[str, float | dict[str, float]] = {}
    for name, of in _object("tickers", value).items():
        ticker = in_capitals(name.strip())
        if not is_symbol(ticker):
            raise ThresholdError(f"tickers names {shown(name)}", allowed=SYMBOL_RULE)
        if ticker in found:
            raise ThresholdError(f"tickers names {ticker} twice", allowed="one threshold for a ticker")
        found[ticker] = _by_kind(f"tickers.{ticker}", of) if isinstance(of, dict) else _number(ticker, of)
    return found


def _by_kind(where: str, value: Any) -> dict[str, float]:
    by_kind = _object(where, value)
    if unknown := sorted(set(by_kind) - set(KINDS)):
        raise ThresholdError(f"{where} names {shown(unknown[0])}", allowed=f"one of {', '.join(KINDS)}")
    return {kind: _number(f"{where}.{kind}", number) for kind, number in by_kind.items()}


def _number(where: str, value: Any, allowed: str = "") -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not LOWEST <= value <= HIGHEST:  # neither NaN nor a number too long for a float is
        raise ThresholdError(f"{where} is {shown(value)}", allowed=allowed or _ALLOWED)
    return float(value)


def _set(of: dict[str, float], kind: str, value: float | None) -> None:
    if value is None:
        of.pop(kind, None)
    else:
        of[kind] = value
