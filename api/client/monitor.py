"""The client for programs that wait for each response."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import httpx

from api.client import dialogues
from api.client.attempts import LOCAL, Attempts, body_of, http_options
from api.client.dialogues import ApiRequest, Dialogue, FoundOnTheWay, Pause, Stream, T
from api.client.errors import ApiUnavailableError
from api.incident_models import IncidentModel
from api.models import AnomalyModel, BarModel, Health, Safety, TickerList
from api.parameters import Length


class Monitor:
    """The API of a monitor.

    Parameters
    ----------
    url
        Address of the API, as `stock-monitor endpoints` prints it.
    token
        Id token of the user, where the API needs a sign-in.
    timeout_seconds
        How long one request may take.
    retry_seconds
        How long a request that fails for the moment is sent again.

    Raises
    ------
    ApiError
        By every method, if the API returns an error; `ApiUnavailableError` if it does not respond in time.
    """

    def __init__(
        self,
        url: str = LOCAL,
        *,
        token: str | None = None,
        timeout_seconds: float = 10,
        retry_seconds: float = 30,
    ) -> None:
        self._http = httpx.Client(**http_options(url, token, timeout_seconds))
        self._retry_seconds = retry_seconds
        self.anomalies = Anomalies(self)
        self.incidents = Incidents(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def safe_to_trade(self, ticker: str, *, max_age_seconds: int | None = None) -> Safety:
        """Return whether a ticker is safe to trade, and if not why; it is true or false as its `safe` is.

        Where the monitor does not respond it is not safe (reason ``monitor_unreachable``).

        Parameters
        ----------
        max_age_seconds
            How old the last quote may be; 90 unless given.
        """
        try:
            return self._complete(dialogues.safety(ticker, max_age_seconds))
        except ApiUnavailableError as error:
            return dialogues.unreachable(ticker, error)

    def health(self) -> Health:
        """Return the health in depth."""
        return self._complete(dialogues.health())

    def tickers(self) -> TickerList:
        """Return the watch list with the last quotes."""
        return self._complete(dialogues.tickers())

    def bars(
        self,
        ticker: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        source: str | None = None,
        length: Length = "1m",
    ) -> list[BarModel]:
        """Return bars, the oldest first; of the last 7 hours unless `since` and `until` (aware) are given.

        Those below a minute are of an hour at most.
        """
        return self._complete(
            dialogues.bars(
                ticker, dialogues.parameters(since=since, until=until, source=source, length=length)
            )
        )

    def _complete(self, dialogue: Dialogue[T]) -> T:
        step = next(dialogue)
        while True:
            try:
                step = dialogue.send(self._do(step))
            except StopIteration as end:
                found: T = end.value
                return found

    def _stream(self, stream: Stream) -> Iterator[Any]:
        step = next(stream, None)
        while step is not None:
            if isinstance(step, FoundOnTheWay):
                yield step.item
                step = next(stream, None)
                continue
            try:
                step = stream.send(self._do(step))
            except StopIteration:
                return

    def _do(self, step: ApiRequest | Pause) -> Any:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        attempts = Attempts(self._retry_seconds, time.monotonic)
        while True:
            response, error = None, None
            try:
                response = self._http.request(step.method, step.path, params=dict(step.query), json=step.body)
            except httpx.TransportError as failed:
                error = failed
            seconds = attempts.pause(step, response, error)
            if seconds is None and response is not None:
                return body_of(step, response)
            time.sleep(seconds or 0)


class Anomalies:
    """The anomalies of a monitor: call it for those that there are."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def __call__(
        self,
        *,
        ticker: str | None = None,
        kind: str | None = None,
        severity: str | None = None,
        source: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[AnomalyModel]:
        """Yield anomalies, the newest first, page by page.

        Parameters
        ----------
        kind, severity
            One or more, separated by commas.
        since, until
            Aware; `since` inclusive, `until` exclusive.
        limit
            How many at most; all unless given.
        """
        query = dialogues.parameters(
            ticker=ticker, kind=kind, severity=severity, source=source, since=since, until=until
        )
        return self._monitor._stream(dialogues.anomalies(query, limit))

    def get(self, ticker: str, anomaly_id: str) -> AnomalyModel:
        """Return one anomaly."""
        return self._monitor._complete(dialogues.anomaly(ticker, anomaly_id))

    def follow(
        self,
        *,
        ticker: str | None = None,
        kind: str | None = None,
        severity: str | None = None,
        since: datetime | None = None,
        poll_seconds: float = 2,
    ) -> Iterator[AnomalyModel]:
        """Yield anomalies as they are found, from `since` (aware) or from now on, each once; it never ends."""
        query = dialogues.parameters(ticker=ticker, kind=kind, severity=severity)
        return self._monitor._stream(
            dialogues.follow_anomalies(query, since or datetime.now(UTC), poll_seconds)
        )


class Incidents:
    """The incidents of a monitor: call it for those that there are."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def __call__(self, *, since: datetime | None = None) -> list[IncidentModel]:
        """Return the incidents of the last 24 hours, or from `since` (aware, at most 7 days ago), the newest first."""
        return self._monitor._complete(dialogues.incidents(since))

    def get(self, incident_id: str) -> IncidentModel:
        """Return one incident as it is now."""
        return self._monitor._complete(dialogues.incident(incident_id))

    def follow(self, *, poll_seconds: float = 2) -> Iterator[IncidentModel]:
        """Yield the incidents that go on, then each that begins or changes, as it is then; it never ends."""
        return self._monitor._stream(dialogues.follow_incidents(poll_seconds))

    def acknowledge(self, incident_id: str, *, until: datetime, reason: str = "") -> IncidentModel:
        """Acknowledge an incident until a time (aware); return it as it is then."""
        return self._monitor._complete(dialogues.acknowledge(incident_id, until, reason))
