"""What people said of incidents: says it for them, and sums it up with the scores of the anomalies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from statistics import median

from consumers.alerts.feedback import Feedback, Precision, Proposal, feedback_of, newest, precision, proposals
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
