"""What `stock-monitor quarantine` does with the records in the bucket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from consumers.contracts.errors import IOFailedError
from consumers.redrive.redrive import Redriven
from consumers.redrive.requeue import entry_id, remaining, requeue
from consumers.stores.quarantine import QuarantineBucket
from consumers.stream.records import Quarantined
from consumers.windows.restore import GoneError
from stream_infra.operations.dead_letters import detector_settings, redrive_of
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.errors import FailedError, InputError


class Quarantine:
    """The quarantined records of a monitor."""

    def __init__(self, endpoints: Endpoints) -> None:
        settings = detector_settings(endpoints)
        self._endpoints = endpoints
        self._bucket = QuarantineBucket(endpoints.client("s3"), settings.data_bucket)

    def entries(self) -> list[Quarantined]:
        """All entries, the newest first."""
        try:
            return sorted(self._bucket.entries(), key=lambda entry: -entry.arrival_ms)
        except IOFailedError as error:
            raise FailedError(str(error)) from error

    def release(self, entry: Quarantined) -> dict[str, Any]:
        """Bring back what can be used of an entry now, and keep the rest.

        Returns:
            What was done: `released` ticks, late `anomalies`, and why the entry `stays`, None if it does not.
        """
        record, stays = requeue(entry)
        done = Redriven()
        try:
            if record is not None:
                done = redrive_of(self._endpoints).requeued(record)
                if not entry.rows:
                    again = [replace(rejected, shard=entry.shard) for rejected in done.rejected]
                    stays = remaining(entry, again)
            if stays != entry:
                self._bucket.replace(entry, stays)
        except GoneError as error:
            stays = replace(entry, reason=str(error))
        except IOFailedError as error:
            raise FailedError(f"{error}; what was done stays done, the rest can be repeated") from error
        return {
            "id": entry_id(entry),
            "released": done.counts.in_windows,
            "anomalies": done.anomalies,
            "stays": stays.reason if stays else None,
        }


def chosen(entries: Sequence[Quarantined], ids: Sequence[str]) -> list[Quarantined]:
    """The entries whose ids begin with `ids`; all of them if there are none.

    Raises:
        InputError: an id is nobody's, or that of several.
    """
    found = []
    for wanted in ids:
        fitting = [entry for entry in entries if entry_id(entry).startswith(wanted)]
        if len(fitting) != 1:
            what = "no entry" if not fitting else f"{len(fitting)} entries"
            raise InputError(f"{wanted}: {what} of the quarantine; allowed are ids as `list` shows them")
        found += fitting
    return found if ids else list(entries)
