"""Say in one sentence what was not normal, for a person: numpy-free, so that the API can say it too."""

from __future__ import annotations

from typing import Any


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
    """One sentence: what happened to `ticker`, what was expected, by how much, compared with what window."""
    size = abs(value - expected) / spread_of_expected if spread_of_expected > 0 else 0.0
    verb = {"up": "rose", "down": "fell"}.get(direction, "moved")
    sentence = (
        f"{ticker} {verb} {abs(value):.2%} in one tick, {size:.0f} times its usual move "
        f"of {spread_of_expected:.3%} over the last {window.get('ticks', 0)} ticks"
    )
    tail = f" ({note})" if note else ""
    return f"{sentence}{tail}; {kind} {change}, {severity}, score {score:.1f} against a threshold of {threshold:g}."
