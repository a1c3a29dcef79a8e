"""A person's own rules: the parameter ``/stock-tracker/rules``, a JSON array, versioned as the threshold is."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, Literal, get_args

import msgspec

from consumers.contracts.wording import price
from producers.errors import MonitorError, named_twice
from producers.symbols import SYMBOL_RULE, in_capitals, is_symbol

PARAMETER: Final = "/stock-tracker/rules"
MAX_CHARACTERS: Final = 4096
"""Of a standard parameter: https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html."""
MAX_RULES: Final = 50
MAX_MINUTES: Final = 240

When = Literal["above", "below", "moves", "spread", "volume"]
Repeat = Literal["once", "daily", "always"]
_SEVERITIES = ("low", "medium", "high", "critical")
VALUES: Final[dict[str, tuple[float, float, str]]] = {
    "above": (-1e12, 1e12, "a price"),
    "below": (-1e12, 1e12, "a price"),
    "moves": (0.01, 90.0, "a percentage from 0.01 to 90"),
    "spread": (0.1, 10_000.0, "basis points from 0.1 to 10,000"),
    "volume": (1.5, 10_000.0, "times the usual, from 1.5 to 10,000"),
}


class RuleError(MonitorError):
    """A rule, or the parameter that holds rules, cannot be used; says which rule, what, and what is allowed."""


class PriceRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One rule.

    Attributes
    ----------
    when
        The price is ``above`` or ``below`` `value`; it ``moves`` by `value` percent within `minutes`; the ``spread``
        is `value` basis points or wider; a tick trades `value` times the usual ``volume`` of a tick.
    ticker
        The ticker; "" for every one.
    repeat
        Whether a rule is met once, once a UTC day, or every time, in each ticker.
    hysteresis
        It can be met again after the price, spread or volume went back by so many percent of the limit.
    """

    id: str
    when: When
    value: float
    ticker: str = ""
    minutes: float = 0.0
    repeat: Repeat = "always"
    hysteresis: float = 0.1
    severity: Literal["low", "medium", "high", "critical"] = "high"

    @property
    def text(self) -> str:
        """The rule as it is remembered by: one that is changed is another."""
        return msgspec.json.encode(self, order="sorted").decode()

    @property
    def words(self) -> str:
        """The rule, for people."""
        limit = {
            "above": f"the price rises above {price(self.value)}",
            "below": f"the price falls below {price(self.value)}",
            "moves": f"the price moves {self.value:g}% within {self.minutes:g} min",
            "spread": f"the spread is {self.value:g} bp or wider",
            "volume": f"a tick trades {self.value:g} times its usual volume",
        }[self.when]
        often = {"once": "once", "daily": "once a day", "always": "every time"}[self.repeat]
        return f"{self.ticker or 'any ticker'}: {limit}, {often}, {self.severity}"


def check(rule: PriceRule) -> PriceRule:
    """Return a rule with its ticker in capitals.

    Raises
    ------
    RuleError
        Something in it is not allowed.
    """
    lowest, highest, allowed = VALUES[rule.when]
    ticker = in_capitals(rule.ticker.strip())
    is_id = 0 < len(rule.id) <= 32 and all(c.isascii() and (c.isalnum() or c == "-") for c in rule.id)
    level = rule.when in {"above", "below"}
    for name, value, right, rule_of in (
        ("id", rule.id, is_id, "1 to 32 of A-Z a-z 0-9 -"),
        ("ticker", rule.ticker, not ticker or is_symbol(ticker), f"{SYMBOL_RULE}, or left out for all"),
        ("ticker", rule.ticker, bool(ticker) or not level, "named, where a price is the limit"),
        ("value", rule.value, math.isfinite(rule.value) and lowest <= rule.value <= highest, allowed),
        (
            "minutes",
            rule.minutes,
            1.0 <= rule.minutes <= MAX_MINUTES if rule.when == "moves" else rule.minutes == 0.0,
            f"1 to {MAX_MINUTES} for moves, and left out for the others",
        ),
        ("hysteresis", rule.hysteresis, 0.0 <= rule.hysteresis <= 50.0, "0 to 50 percent"),
    ):
        if not right:
            raise RuleError(f"{name} is {value!r}", where=f"rule {rule.id[:40]!r}", allowed=rule_of)
    return msgspec.structs.replace(rule, ticker=ticker)


def of_object(found: Any, where: str = "rule") -> PriceRule:
    """Return the rule in a JSON object.

    Raises
    ------
    RuleError
        It is none.
    """
    choices = {"when": get_args(When), "repeat": get_args(Repeat), "severity": _SEVERITIES}
    for name, known in choices.items():
        if isinstance(found, dict) and name in found and found[name] not in known:
            raise RuleError(f"{name} is {found[name]!r}", where=where, allowed=f"one of {', '.join(known)}")
    try:
        return check(msgspec.convert(found, PriceRule))
    except (msgspec.ValidationError, UnicodeError) as error:  # UnicodeError: half of a pair, as in "\ud800"
        allowed = f"an object such as {PriceRule(id='aapl-200', when='above', value=200, ticker='AAPL').text}"
        allowed += f" (when: {', '.join(get_args(When))}; repeat: {', '.join(get_args(Repeat))})"
        raise RuleError(str(error), where=where, allowed=allowed) from error


@lru_cache(maxsize=64)
def parse(text: str) -> tuple[PriceRule, ...]:
    """Return the rules in the parameter's text; none in an empty one.

    Raises
    ------
    RuleError
        It holds no array of rules, a rule that is not allowed, or two of one id.

    Examples
    --------
    >>> parse('[{"id": "a", "when": "moves", "value": 2, "minutes": 5}]')[0].words
    'any ticker: the price moves 2% within 5 min, every time, high'
    """
    text = text.removeprefix("\ufeff")
    try:
        found = json.loads(text) if text.strip() else []
    except (ValueError, RecursionError) as error:
        raise RuleError("the rules are no JSON", where=PARAMETER, allowed="an array of rules") from error
    if (twice := named_twice(text)) is not None:
        raise RuleError(f"{twice!r} stands twice", where=PARAMETER, allowed="a name that is there once")
    if not isinstance(found, list):
        raise RuleError("the rules are no array", where=PARAMETER, allowed="an array of rules")
    rules = tuple(of_object(one, f"rule {number}") for number, one in enumerate(found))
    ids = [rule.id for rule in rules]
    if doubled := next((id_ for id_ in ids if ids.count(id_) > 1), None):
        raise RuleError(f"two rules have the id {doubled!r}", where=PARAMETER, allowed="different ids")
    if len(rules) > MAX_RULES:
        raise RuleError(f"{len(rules)} rules", where=PARAMETER, allowed=f"at most {MAX_RULES}")
    return rules


def write(rules: Sequence[PriceRule]) -> str:
    """Return the parameter's text.

    Raises
    ------
    RuleError
        They cannot stand there together.
    """
    text = f"[{','.join(rule.text for rule in rules)}]"
    parse(text)
    if len(text) > MAX_CHARACTERS:
        allowed = f"at most {MAX_CHARACTERS}, some 40 rules"
        raise RuleError(f"the rules have {len(text)} characters", where=PARAMETER, allowed=allowed)
    return text
