"""Say in one sentence what was not normal, for a person: numpy-free, so that the API can say it too."""

from __future__ import annotations

from typing import Any

from consumers.contracts.detector import Facts
from consumers.contracts.kinds import RULE, name_of, spec_of
from consumers.contracts.wording import number


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
    tolerance: float,
    direction: str,
    window: dict[str, Any],
    note: str,
) -> str:
    """Return one sentence: what happened to `ticker`, what was expected, by how much, compared with what window.

    `change` is opened, escalated or ended; the other arguments are the fields of the same name of a
    `consumers.detectors.engine.engine.Transition`.
    """
    del direction
    if kind == RULE:
        return f"{ticker} {window['said']}."
    spec = spec_of(kind)
    if change == "ended":
        return f"{ticker}: the {name_of(kind)} is over, {spec.over}."
    aside = f" ({note})" if note else ""
    happened = (
        f"{ticker} {spec.sentence(Facts(value, expected, tolerance, window))}{aside}; severity {severity}"
    )
    return f"{happened}, score {number(score)} where alerts begin at {threshold:g}."
