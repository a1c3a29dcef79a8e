"""What is requested of the API and what is made of it, without I/O: generators that yield requests and pauses. Pure."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from api.client.errors import ApiError, ApiUnavailableError
from api.incident_models import IncidentList, IncidentModel
from api.models import AnomalyModel, AnomalyPage, BarList, BarModel, Health, Safety, TickerList

PAGE = 200
"""Anomalies of one response."""
OVERLAP = timedelta(minutes=2)
"""How long after its time an anomaly may be written and is still followed."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request of the API: its path below the address, query and JSON body."""

    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    method: Literal["GET", "POST"] = "GET"
    body: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before the next request, in seconds."""

    seconds: float


# A dialogue yields requests and pauses, is sent the body of each request's response, and returns what came of them.
Dialogue = Generator[ApiRequest | Pause, Any, T]


@dataclass(frozen=True, slots=True)
class FoundOnTheWay:
    """What a dialogue found on its way, for the caller."""

    item: Any


Stream = Generator[ApiRequest | Pause | FoundOnTheWay, Any, None]


def parameters(**given: object) -> dict[str, str]:
    """Return the parameters that are given, as the API takes them."""
    found = {}
    for name, value in given.items():
        if isinstance(value, datetime):
            found[name] = instant(value)
        elif value is not None:
            found[name] = str(value)
    return found


def instant(at: datetime) -> str:
    """Return an aware time as the API takes it; a naive one would mean another time elsewhere."""
    if at.tzinfo is None:
        raise ApiError(f"time {at.isoformat()} has no zone", allowed="aware, such as datetime.now(UTC)")
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def segment(text: str) -> str:
    """Return a value in a path; a slash in it has a second layer (docs/api.md)."""
    return quote(quote(text, safe="@!=^") if "/" in text else text, safe="")


def _page(query: Mapping[str, str], size: int, cursor: str | None) -> Dialogue[AnomalyPage]:
    body = yield ApiRequest("/anomalies", {**query, "limit": str(size), **parameters(cursor=cursor)})
    return AnomalyPage.model_validate(body)


def anomalies(query: Mapping[str, str], limit: int | None) -> Stream:
    """Find anomalies, the newest first, at most `limit`, page by page."""
    left, cursor = limit, None
    while left is None or left > 0:
        page = yield from _page(query, PAGE if left is None else min(PAGE, left), cursor)
        yield from map(FoundOnTheWay, page.anomalies)
        left, cursor = None if left is None else left - page.count, page.next
        if cursor is None:
            return


def _all_anomalies(query: Mapping[str, str]) -> Dialogue[list[AnomalyModel]]:
    page = yield from _page(query, PAGE, None)
    found = page.anomalies
    while page.next is not None:
        page = yield from _page(query, PAGE, page.next)
        found += page.anomalies
    return found


def follow_anomalies(query: Mapping[str, str], since: datetime, poll_seconds: float) -> Stream:
    """Find anomalies as they are written, of one poll the oldest first, each once."""
    newest, seen = since, dict[str, datetime]()
    while True:
        found = yield from _all_anomalies({**query, "since": instant(max(since, newest - OVERLAP))})
        for anomaly in reversed(found):
            at = datetime.fromisoformat(anomaly.timestamp.partition("#")[0])
            newest = max(newest, at)
            if anomaly.id not in seen:
                seen[anomaly.id] = at
                yield FoundOnTheWay(anomaly)
        seen = {id_: at for id_, at in seen.items() if at >= newest - OVERLAP}
        yield Pause(poll_seconds)


def incidents(since: datetime | None) -> Dialogue[list[IncidentModel]]:
    """Return incidents, the newest first."""
    body = yield ApiRequest("/incidents", parameters(since=since))
    return IncidentList.model_validate(body).incidents


def follow_incidents(poll_seconds: float) -> Stream:
    """Find the incidents that go on, then each that begins or changes, the oldest first."""
    known: dict[str, IncidentModel] | None = None
    while True:
        body = yield ApiRequest("/incidents")
        listed = IncidentList.model_validate(body).incidents
        for incident in reversed(listed):
            is_news = incident.state != "resolved" if known is None else known.get(incident.id) != incident
            if is_news:
                yield FoundOnTheWay(incident)
        known = {incident.id: incident for incident in listed}
        yield Pause(poll_seconds)


def safety(ticker: str, max_age_seconds: int | None) -> Dialogue[Safety]:
    """Return whether a ticker is safe to trade."""
    path = f"/safety/{segment(ticker)}"
    return Safety.model_validate((yield ApiRequest(path, parameters(max_age_seconds=max_age_seconds))))


def incident(id_: str) -> Dialogue[IncidentModel]:
    """Return an incident."""
    return IncidentModel.model_validate((yield ApiRequest(f"/incidents/{segment(id_)}")))


def acknowledge(id_: str, until: datetime, reason: str) -> Dialogue[IncidentModel]:
    """Acknowledge an incident until a time (aware)."""
    path, wanted = f"/incidents/{segment(id_)}/acknowledge", {"until": instant(until), "reason": reason}
    return IncidentModel.model_validate((yield ApiRequest(path, method="POST", body=wanted)))


def anomaly(ticker: str, id_: str) -> Dialogue[AnomalyModel]:
    """Return an anomaly."""
    path = f"/anomalies/{segment(ticker)}/{segment(id_)}"
    return AnomalyModel.model_validate((yield ApiRequest(path)))


def health() -> Dialogue[Health]:
    """Return the health in depth."""
    return Health.model_validate((yield ApiRequest("/health", {"depth": "full"})))


def tickers() -> Dialogue[TickerList]:
    """Return the watch list, page by page to its end."""
    whole = page = TickerList.model_validate((yield ApiRequest("/tickers")))
    rows = [*page.tickers]
    while page.next is not None:
        page = TickerList.model_validate((yield ApiRequest("/tickers", {"offset": str(page.next)})))
        rows += page.tickers
    return whole.model_copy(update={"tickers": rows, "count": len(rows), "next": None})


def bars(ticker: str, query: Mapping[str, str]) -> Dialogue[list[BarModel]]:
    """Return minute bars, the oldest first."""
    body = yield ApiRequest(f"/quotes/{segment(ticker)}", query)
    return BarList.model_validate(body).bars


def unreachable(ticker: str, error: ApiUnavailableError) -> Safety:
    """Return that it is not safe, because nobody says that it is."""
    absent = dict.fromkeys(
        ("ts", "age_seconds", "price", "bid", "ask", "day_volume", "reference", "reference_kind", "change")
    )
    return Safety.model_validate(
        {
            "ticker": ticker,
            "safe": False,
            "reasons": [{"code": "monitor_unreachable", "detail": str(error), "incident_id": None}],
            "source": "",
            "origin": "live",
            "as_of": instant(datetime.now(UTC)),
            "quote": {
                "ticker": ticker,
                "state": "missing",
                "market": "",
                "open": False,
                **absent,
                "change_percent": None,
            },
        }
    )
