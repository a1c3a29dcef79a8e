"""The parameter of a person's own rules in SSM: read and changed by the command line and the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.stream import rules
from consumers.stream.rules import PriceRule, RuleError
from producers.parameter import TypedParameter

if TYPE_CHECKING:
    from mypy_boto3_ssm.client import SSMClient


class UnknownRuleError(RuleError):
    """There is no rule of that id."""


class RuleParameter(TypedParameter[tuple[PriceRule, ...]]):
    """The rules; none where there is no parameter."""

    def __init__(self, ssm: SSMClient, name: str = rules.PARAMETER) -> None:
        super().__init__(ssm, name, rules.parse, ())

    def add(self, rule: PriceRule, by: str) -> PriceRule:
        """Add a rule, and return it as it is written; `by` stands with it in the parameter's history.

        Raises
        ------
        RuleError
            It is not allowed, by itself or beside the others.
        """
        rule = rules.check(rule)
        self._put((*self.read(), rule), f"{by} added {rule.id}")
        return rule

    def remove(self, id_: str, by: str) -> PriceRule:
        """Remove a rule, and return it.

        Raises
        ------
        UnknownRuleError
            There is none of that id.
        """
        known = self.read()
        found = next((rule for rule in known if rule.id == id_), None)
        if found is None:
            ids = ", ".join(rule.id for rule in known)
            raise UnknownRuleError(f"no rule is called {id_[:40]!r}", allowed=ids and f"one of {ids}")
        self._put(tuple(rule for rule in known if rule is not found), f"{by} removed {id_}")
        return found

    def _put(self, wanted: tuple[PriceRule, ...], note: str) -> None:
        self.write(rules.write(wanted), note)
