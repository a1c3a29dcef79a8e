"""Where things are in the table `stock-alerts`: partition and sort keys, and how long they stay. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from consumers.alerts.model import Pending
from consumers.alerts.table import Place

DAY_MS = 86_400_000


def group_place(origin: str, subject: str) -> Place:
    """Where the newest incidents of a group are named."""
    return f"group#{origin}", subject


def record_place(anomaly_id: str) -> Place:
    """Where an anomaly is remembered."""
    return f"anomaly#{anomaly_id}", "record"


def first_ms_of(incident_id: str) -> int:
    """Return when an incident began, epoch ms UTC, as its id tells.

    >>> first_ms_of("live-BTC-USD-1763996400000")
    1763996400000
    """
    return int(incident_id.rpartition("-")[2])


def incident_place(id_: str) -> Place:
    """Where an incident is."""
    first_ms = first_ms_of(id_)
    return f"incidents#{day_of(first_ms)}", f"{first_ms:013d}#{id_}"


def feedback_place(incident: str, at_ms: int) -> Place:
    """Where it is what was said of an incident at a moment."""
    first_ms = first_ms_of(incident)
    return f"feedback#{day_of(first_ms)}", f"{first_ms:013d}#{incident}#{at_ms:013d}"


def digest_place(origin: str, channels: tuple[str, ...]) -> Place:
    """Where the digest for these is put together."""
    return "digest", f"{origin}#{','.join(channels)}"


def digested_place(origin: str, channels: tuple[str, ...]) -> Place:
    """Where it is until when the digests for these that were sent at once count, epoch ms UTC."""
    return "digested", digest_place(origin, channels)[1]


def message_place(id_: str, made_ms: int) -> Place:
    """Where a message is."""
    return f"messages#{day_of(made_ms)}", f"{made_ms:013d}#{id_}"


def delivery_place(pending: Pending) -> Place:
    """Where a delivery is: behind its message."""
    pk, sk = message_place(pending.message_id, pending.made_ms)
    return pk, f"{sk}#>{pending.channel}"


def pending_place(pending: Pending) -> Place:
    """Where a delivery is listed until it is done."""
    return "pending", delivery_place(pending)[1]


def days_between(first_ms: int, last_ms: int) -> list[str]:
    """Return the UTC days of a span, both ends included."""
    return [day_of(day * DAY_MS) for day in range(first_ms // DAY_MS, last_ms // DAY_MS + 1)]


def day_of(ms: int) -> str:
    """Return the UTC day of a moment."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d}"


def expiry(from_ms: int, days: int) -> int:
    """Return when an item may be forgotten, epoch seconds UTC."""
    return from_ms // 1000 + days * DAY_MS // 1000


def due_place(due_ms: int, id_: str) -> Place:
    """Where an incident is listed that a sweep has to look at then."""
    return "due", f"{due_ms:013d}#{id_}"
