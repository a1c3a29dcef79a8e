"""The client for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
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


class AsyncMonitor:
    """The same as `Monitor`, for asyncio: methods are awaited, iterators are asynchronous."""

    def __init__(
        self,
        url: str = LOCAL,
        *,
        token: str | None = None,
        timeout_seconds: float = 10,
        retry_seconds: float = 30,
    ) -> None:
        self._http = httpx.AsyncClient(**http_options(url, token, timeout_seconds))
        self._retry_seconds = retry_seconds
        self.anomalies = AsyncAnomalies(self)
        self.incidents = AsyncIncidents(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def safe_to_trade(self, ticker: str, *, max_age_seconds: int | None = None) -> Safety:
        """See `Monitor.safe_to_trade`."""
        try:
            return await self._complete(dialogues.safety(ticker, max_age_seconds))
        except ApiUnavailableError as error:
            return dialogues.unreachable(ticker, error)

    async def health(self) -> Health:
        """See `Monitor.health`."""
        return await self._complete(dialogues.health())

    async def tickers(self) -> TickerList:
        """See `Monitor.tickers`."""
        return await self._complete(dialogues.tickers())

    async def bars(
        self,
        ticker: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        source: str | None = None,
        length: Length = "1m",
    ) -> list[BarModel]:
        """See `Monitor.bars`."""
        return await self._complete(
            dialogues.bars(
                ticker, dialogues.parameters(since=since, until=until, source=source, length=length)
            )
        )

    async def _complete(self, dialogue: Dialogue[T]) -> T:
        step = next(dialogue)
        while True:
            body = await self._do(step)
            try:
                step = dialogue.send(body)
            except StopIteration as end:
                found: T = end.value
                return found

    async def _stream(self, stream: Stream) -> AsyncIterator[Any]:
        step = next(stream, None)
        while step is not None:
            if isinstance(step, FoundOnTheWay):
                yield step.item
                step = next(stream, None)
                continue
            body = await self._do(step)
            try:
                step = stream.send(body)
            except StopIteration:
                return

    async def _do(self, step: ApiRequest | Pause) -> Any:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        attempts = Attempts(self._retry_seconds, time.monotonic)
        while True:
            response, error = None, None
            try:
                response = await self._http.request(
                    step.method, step.path, params=dict(step.query), json=step.body
                )
            except httpx.TransportError as failed:
                error = failed
            seconds = attempts.pause(step, response, error)
            if seconds is None and response is not None:
                return body_of(step, response)
            await asyncio.sleep(seconds or 0)


class AsyncAnomalies:
    """See `Anomalies`."""

    def __init__(self, monitor: AsyncMonitor) -> None:
        self._monitor = monitor

    async def __call__(
        self,
        *,
        ticker: str | None = None,
        kind: str | None = None,
        severity: str | None = None,
        source: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[AnomalyModel]:
        """See `Anomalies.__call__`."""
        query = dialogues.parameters(
            ticker=ticker, kind=kind, severity=severity, source=source, since=since, until=until
        )
        async for anomaly in self._monitor._stream(dialogues.anomalies(query, limit)):
            yield anomaly

    async def get(self, ticker: str, anomaly_id: str) -> AnomalyModel:
        """See `Anomalies.get`."""
        return await self._monitor._complete(dialogues.anomaly(ticker, anomaly_id))

    async def follow(
        self,
        *,
        ticker: str | None = None,
        kind: str | None = None,
        severity: str | None = None,
        since: datetime | None = None,
        poll_seconds: float = 2,
    ) -> AsyncIterator[AnomalyModel]:
        """See `Anomalies.follow`."""
        query = dialogues.parameters(ticker=ticker, kind=kind, severity=severity)
        followed = dialogues.follow_anomalies(query, since or datetime.now(UTC), poll_seconds)
        async for anomaly in self._monitor._stream(followed):
            yield anomaly


class AsyncIncidents:
    """See `Incidents`."""

    def __init__(self, monitor: AsyncMonitor) -> None:
        self._monitor = monitor

    async def __call__(self, *, since: datetime | None = None) -> list[IncidentModel]:
        """See `Incidents.__call__`."""
        return await self._monitor._complete(dialogues.incidents(since))

    async def get(self, incident_id: str) -> IncidentModel:
        """See `Incidents.get`."""
        return await self._monitor._complete(dialogues.incident(incident_id))

    async def follow(self, *, poll_seconds: float = 2) -> AsyncIterator[IncidentModel]:
        """See `Incidents.follow`."""
        async for incident in self._monitor._stream(dialogues.follow_incidents(poll_seconds)):
            yield incident

    async def acknowledge(self, incident_id: str, *, until: datetime, reason: str = "") -> IncidentModel:
        """See `Incidents.acknowledge`."""
        return await self._monitor._complete(dialogues.acknowledge(incident_id, until, reason))
