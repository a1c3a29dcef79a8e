"""Whether an incident was useful to people: data of its own, and what follows of it for thresholds. Pure.

Nothing that was said is changed: of one anomaly of an incident the newest counts, whoever said it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from consumers.alerts.model import Incident

AFTER_MINUTES = (5, 30)
"""When it is looked what the price did since."""
ENOUGH = 5
"""Statements about a kind from which a threshold is proposed."""
_STEPS = 10
"""Thresholds are proposed in tenths."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person said of an anomaly of an incident, when (epoch ms UTC).

    Attributes
    ----------
    severity
        What the anomaly had reached.
    """

    incident: str
    anomaly: str
    ticker: str
    kind: str
    severity: str
    useful: bool
    by: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Precision:
    """How much of what people judged was useful; `ticker` is "" for all tickers of a kind."""

    kind: str
    ticker: str
    useful: int
    noise: int

    @property
    def share(self) -> float:
        """The useful ones as a share of those that were judged."""
        return self.useful / (self.useful + self.noise)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A threshold for a kind, and what it would have changed of what was found.

    Attributes
    ----------
    now
        The highest threshold by which one of them was found.
    noise_gone
        Of `noise` anomalies that were called so, how many it would not have found when it was found; of the useful
        ones none.
    anomalies_gone
        The same of all `anomalies` of the kind, judged or not.
    """

    kind: str
    now: float
    threshold: float
    noise: int
    noise_gone: int
    useful: int
    anomalies: int
    anomalies_gone: int


def feedback_of(
    incident: Incident, *, useful: bool, by: str, at_ms: int, anomaly: str = ""
) -> Feedback | None:
    """Return what a person says of an incident's worst anomaly, or of the one named; None if it lists none such."""
    found = next((one for one in incident.samples if anomaly in {"", one.id}), None)
    if found is None:
        return None
    return Feedback(incident.id, found.id, found.ticker, found.kind, found.severity, useful, by, at_ms)


def newest(said: Iterable[Feedback]) -> list[Feedback]:
    """Return what counts: the newest of each anomaly of an incident."""
    in_order = sorted(said, key=lambda one: (one.at_ms, one.by))
    return list({(one.incident, one.anomaly): one for one in in_order}.values())


def precision(said: Iterable[Feedback]) -> list[Precision]:
    """Return the precision of each kind, and of each ticker of it, the kinds with most noise first."""
    counts = Counter((one.kind, ticker, one.useful) for one in newest(said) for ticker in ("", one.ticker))
    found = [
        Precision(kind, ticker, counts[kind, ticker, True], counts[kind, ticker, False])
        for kind, ticker in {group[:2] for group in counts}
    ]
    return sorted(found, key=lambda one: (-counts[one.kind, "", False], one.kind, one.ticker))


def proposals(
    said: Iterable[Feedback], found: Mapping[str, Sequence[tuple[str, float, float]]]
) -> list[Proposal]:
    """Return thresholds that would have kept every useful anomaly and found less noise.

    Parameters
    ----------
    found
        The anomalies of the time, by kind: id, score with which it was found, and threshold of then.
    """
    by_kind: dict[str, list[Feedback]] = {}
    for one in newest(said):
        by_kind.setdefault(one.kind, []).append(one)
    made = (_proposal(kind, of, found.get(kind, ())) for kind, of in sorted(by_kind.items()))
    return [one for one in made if one is not None]


def _proposal(
    kind: str, said: Sequence[Feedback], found: Sequence[tuple[str, float, float]]
) -> Proposal | None:
    scores = {id_: score for id_, score, _ in found}
    noise = [scores[one.anomaly] for one in said if not one.useful and one.anomaly in scores]
    useful = [scores[one.anomaly] for one in said if one.useful and one.anomaly in scores]
    if len(noise) + len(useful) < ENOUGH or not noise:
        return None
    now = max(threshold for *_, threshold in found)
    threshold = _below(min(useful)) if useful else round(_below(max(noise)) + 1 / _STEPS, 1)
    gone = sum(score < threshold for score in noise)
    if threshold <= now or not gone:
        return None
    return Proposal(
        kind,
        now,
        threshold,
        len(noise),
        gone,
        len(useful),
        len(found),
        sum(score < threshold for _, score, _ in found),
    )


def _below(score: float) -> float:
    """Return the highest threshold in tenths that a score reaches."""
    steps = math.floor(score * _STEPS)
    return (steps if steps / _STEPS <= score else steps - 1) / _STEPS
