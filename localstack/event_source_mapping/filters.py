"""Filter criteria of a mapping: the event patterns of the Lambda guide, "Filter rule syntax"."""

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Pattern = Mapping[str, Any]
_MISSING = object()
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(frozen=True)
class Filters:
    """Patterns joined by "or"; none at all lets everything through."""

    patterns: tuple[Pattern, ...] = ()

    def admits(self, data: bytes, event_json: str) -> bool:
        """Whether a record reaches the function.

        `data` is the record's payload, which a pattern for `data` needs as JSON (another payload matches no
        such pattern and is dropped, as on AWS); `event_json` the record as the function would get it.
        """
        if not self.patterns:
            return True
        event = json.loads(event_json)
        subject = {**event, **event["kinesis"], "data": _json_or_missing(data)}
        return any(matches(pattern, subject) for pattern in self.patterns)


def _json_or_missing(data: bytes) -> object:
    try:
        return json.loads(data)
    except ValueError:
        return _MISSING


def matches(pattern: Pattern, value: object) -> bool:
    """Whether every key of the pattern is satisfied by the value (an object)."""
    if not isinstance(value, Mapping):
        return False
    return all(_key_matches(key, rule, value) for key, rule in pattern.items())


def _key_matches(key: str, rule: object, value: Mapping[str, Any]) -> bool:
    if key == "$or" and isinstance(rule, Sequence):
        return any(matches(alternative, value) for alternative in rule if isinstance(alternative, Mapping))
    found = value.get(key, _MISSING)
    if isinstance(rule, Mapping):
        candidates = found if isinstance(found, list) else [found]
        return any(matches(rule, candidate) for candidate in candidates)
    return isinstance(rule, list) and any(_rule_matches(entry, found) for entry in rule)


def _rule_matches(rule: object, found: object) -> bool:
    if isinstance(rule, Mapping) and "exists" in rule:
        return bool(rule["exists"]) is (found is not _MISSING)
    if isinstance(found, list):
        return any(_rule_matches(rule, element) for element in found)
    if found is _MISSING:
        return False
    if isinstance(rule, Mapping):
        return all(_operator_matches(name, argument, found) for name, argument in rule.items())
    return _equal(rule, found)


def _equal(rule: object, found: object) -> bool:
    comparable = type(rule) is type(found) or (_is_number(rule) and _is_number(found))
    return comparable and rule == found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _operator_matches(name: str, argument: Any, found: object) -> bool:
    if name == "anything-but":
        return not _any_of(argument, found)
    if name == "numeric":
        return _numeric(argument, found)
    return isinstance(found, str) and _text_matches(name, argument, found)


def _text_matches(name: str, argument: Any, found: str) -> bool:
    ignore_case = name == "equals-ignore-case"
    if isinstance(argument, Mapping):
        ignore_case, argument = True, argument.get("equals-ignore-case")
    text = str(argument)
    if ignore_case:
        text, found = text.lower(), found.lower()
    if name == "prefix":
        return found.startswith(text)
    if name == "suffix":
        return found.endswith(text)
    return name == "equals-ignore-case" and found == text


def _any_of(argument: object, found: object) -> bool:
    rules = argument if isinstance(argument, list) else [argument]
    return any(_rule_matches(rule, found) for rule in rules)


def _numeric(argument: Sequence[Any], found: object) -> bool:
    if not isinstance(found, int | float) or isinstance(found, bool):
        return False
    pairs = zip(argument[::2], argument[1::2], strict=False)
    return all(sign in _COMPARE and _COMPARE[sign](found, limit) for sign, limit in pairs)
