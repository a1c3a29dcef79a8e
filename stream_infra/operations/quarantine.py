"""The records in quarantine, and what can be used of them by now."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from consumers.redrive.redrive import Redriven
from consumers.redrive.requeue import entry_id, remaining, requeue
from consumers.stores.quarantine import QuarantineBucket
from consumers.stream.records import Quarantined
from producers.errors import MonitorError
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.redriving import detector_settings, redrive_of


@dataclass(frozen=True)
class RequeueOutcome:
    """What a requeue brought back: ticks, late anomalies by id, and why the entry `stays`, None if it does not."""

    id: str
    ticks: int = 0
    anomalies: list[str] = field(default_factory=list)
    stays: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON-able values."""
        return {"id": self.id, "requeued": self.ticks, "anomalies": self.anomalies, "stays": self.stays}


class Quarantine:
    """The quarantined records of a monitor."""

    def __init__(self, endpoints: Endpoints) -> None:
        settings = detector_settings(endpoints)
        self._endpoints = endpoints
        self._bucket = QuarantineBucket(endpoints.client("s3"), settings.data_bucket)

    def entries(self) -> list[Quarantined]:
        """Return all entries, the newest first."""
        return sorted(self._bucket.entries(), key=lambda entry: -entry.arrival_ms)

    def requeue(self, entry: Quarantined) -> RequeueOutcome:
        """Bring back what can be used of an entry now, and keep the rest; what was done stays done."""
        try:
            return self._requeue(entry)
        except MonitorError as error:
            return RequeueOutcome(entry_id(entry), stays=str(error))
        except Exception as error:  # noqa: BLE001  a record that crashes the redrive, as it did the detector
            return RequeueOutcome(
                entry_id(entry), stays=f"it crashes the redrive, report it as a defect: {error!r}"
            )

    def _requeue(self, entry: Quarantined) -> RequeueOutcome:
        record, stays = requeue(entry)
        done = Redriven()
        if record is not None:
            done = redrive_of(self._endpoints).requeued(record)
            if not entry.rows:
                stays = remaining(entry, [replace(again, shard=entry.shard) for again in done.rejected])
        if stays != entry:
            self._bucket.replace(entry, stays)
        return RequeueOutcome(
            entry_id(entry), done.counts.in_windows, done.anomalies, stays.reason if stays else None
        )
