"""Events on EventBridge."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from consumers.contracts.errors import IOFailedError
from consumers.contracts.events import SOURCE
from consumers.stores.calls import BACKOFF_SECONDS, io

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_events.client import EventBridgeClient

    from consumers.contracts.events import Event

_ENTRIES_PER_CALL = 10


class Bus:
    """The bus of anomalies."""

    def __init__(
        self, client: EventBridgeClient, bus_name: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = client
        self._bus_name = bus_name
        self._sleep = sleep

    def put(self, events: Sequence[Event]) -> None:
        """Send events; all are sent when it returns."""
        entries = [
            {
                "EventBusName": self._bus_name,
                "Source": SOURCE,
                "DetailType": event.detail_type,
                "Detail": event.detail_json(),
            }
            for event in events
        ]
        for start in range(0, len(entries), _ENTRIES_PER_CALL):
            self._put(entries[start : start + _ENTRIES_PER_CALL])

    def _put(self, entries: list[Any]) -> None:
        reason = ""
        for wait in (*BACKOFF_SECONDS, None):
            with io(f"put {len(entries)} events on {self._bus_name}"):
                response = self._client.put_events(Entries=entries)
            if not response["FailedEntryCount"]:
                return
            results = list(zip(entries, response["Entries"], strict=True))
            entries = [entry for entry, result in results if "ErrorCode" in result]
            failed = next(result for _, result in results if "ErrorCode" in result)
            reason = f"{failed['ErrorCode']}: {failed.get('ErrorMessage', '')}"
            if wait is not None:
                self._sleep(wait)
        raise IOFailedError(f"{len(entries)} events were rejected by {self._bus_name}: {reason}")
