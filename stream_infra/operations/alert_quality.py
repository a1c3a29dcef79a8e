"""What people said of incidents: says it for them, and sums it up with the scores of the anomalies.

Nothing that was said is changed: of one anomaly of an incident the newest counts, whoever said it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from consumers.alerts.feedback import Feedback, feedback_of
from consumers.alerts.market import moves_after
from consumers.alerts.model import is_incident_id
from consumers.alerts.store import AlertStore
from consumers.alerts.table import DynamoTable
from consumers.contracts.anomaly import iso_ms
from consumers.stores.charts import ChartTable
from stream_infra import names
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.errors import InputError
from stream_infra.operations.export import tables

PRICED = 200
"""Of how many judged incidents, the newest, it is read what the price did since: a read each."""
ENOUGH = 5
"""Statements about a kind from which a threshold is proposed."""
_STEPS = 10
"""Thresholds are proposed in tenths."""


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


@dataclass(frozen=True, slots=True)
class After:
    """The median size of moves (a share of the price) so long after incidents of a kind, and of how many."""

    kind: str
    useful: bool
    minutes: int
    move: float
    of: int


@dataclass(frozen=True, slots=True)
class Quality:
    """What was said of incidents since a moment (ISO 8601), and what follows of it."""

    since: str
    precision: list[Precision]
    proposals: list[Proposal]
    after: list[After]


def record_feedback(endpoints: Endpoints, id_: str, *, useful: bool, by: str, now: datetime) -> Feedback:
    """Remember what a person says of an incident, or of an anomaly of one.

    Raises
    ------
    InputError
        No incident is known of that, or it does not list that anomaly.
    """
    store = _store(endpoints)
    anomaly = id_.partition("#")[0]
    incident = store.incident_of(anomaly)
    if incident is None and is_incident_id(id_):
        anomaly, incident = "", store.incident(id_)
    said = None
    if incident is not None:
        said = feedback_of(incident, useful=useful, by=by, at_ms=_ms(now), anomaly=anomaly)
    if said is None:
        known = "the id of an incident, or of one of the anomalies that it lists"
        raise InputError(f"{id_}: no incident is known of that", allowed=known)
    store.put_feedback(said)
    return said


def quality(endpoints: Endpoints, since: datetime, now: datetime) -> Quality:
    """Return what was said of incidents that began since a moment, and what follows of it."""
    store, dynamodb = _store(endpoints), endpoints.client("dynamodb")
    said = list(store.feedback(_ms(since), _ms(now)))
    kinds = {one.kind for one in said}
    found: dict[str, list[tuple[str, float, float]]] = {kind: [] for kind in kinds}
    span = tables.ExportSpan(_ms(since), _ms(now) + 1)
    for part in tables.anomalies(dynamodb, names.ANOMALIES_TABLE, span) if said else ():
        for row in part.rows():
            if row["kind"] in found:
                found[row["kind"]].append((row["id"], row["score"], row["threshold"]))
    charts = ChartTable(dynamodb, names.CHARTS_TABLE)
    return Quality(iso_ms(_ms(since)), precision(said), proposals(said, found), _after(store, charts, said))


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


def _after(store: AlertStore, charts: ChartTable, said: list[Feedback]) -> list[After]:
    moves: dict[tuple[str, bool, int], list[float]] = {}
    for one in sorted(newest(said), key=lambda one: -one.at_ms)[:PRICED]:
        incident = store.incident(one.incident)
        for minutes, move in [] if incident is None else moves_after(charts, incident):
            if move is not None:
                moves.setdefault((one.kind, one.useful, minutes), []).append(abs(move))
    return [After(*key, median(sizes), len(sizes)) for key, sizes in sorted(moves.items())]


def _store(endpoints: Endpoints) -> AlertStore:
    return AlertStore(DynamoTable(endpoints.client("dynamodb"), names.ALERTS_TABLE))


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
