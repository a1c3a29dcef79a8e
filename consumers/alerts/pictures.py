"""Adds the chart around the moment to messages that were sent: by the sweep, so that no message waits for one.

By then the minute of the incident has its bar. A picture is tried once, after it was noted that it is tried: what is
lost in between is a picture, never a message, and none comes twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from consumers.alerts.channels import ChannelError
from consumers.alerts.model import MINUTE_MS, Delivery, Message, Pending
from consumers.alerts.rendering.picture import BEFORE_MINUTES, picture
from consumers.alerts.settings import AlertSettings
from consumers.alerts.table import ConflictError
from consumers.contracts.wording import one_line

if TYPE_CHECKING:
    from consumers.alerts.message_store import MessageStore
    from consumers.contracts.charts import Bar

LATEST_MS = 5 * MINUTE_MS
"""A message that is older gets none: its reader has seen the chart."""
PICTURES_A_SWEEP = 30
SPENT_MS = 15_000
"""After so long a sweep begins no further picture."""

Draw = Callable[[Message, AlertSettings], bytes | None]
"""Returns the PNG of a message's incident; None where there is nothing to see."""


@dataclass(frozen=True, slots=True)
class PicturePorts:
    """What pictures need.

    Attributes
    ----------
    draw
        Raises what the table of charts raises.
    add
        Adds a PNG to a message that a channel took, by the channel's name and its receipt. Raises `ChannelError`.
    carries
        Whether the channel of a name can take one.
    """

    draw: Draw
    add: Callable[[str, str, Message, AlertSettings, bytes], None]
    carries: Callable[[str, AlertSettings], bool]


def add_pictures(
    store: MessageStore,
    ports: PicturePorts,
    settings: AlertSettings,
    clock: Callable[[], int],
    is_suppressed: Callable[[Message], bool],
) -> int:
    """Add pictures to the messages of the last minutes; return how many were added.

    Parameters
    ----------
    is_suppressed
        Whether a silence or a mute timing forbids to send something about a message now.
    """
    began_ms, added, drawn = clock(), 0, 0
    pngs: dict[str, bytes | str | None] = {}
    for message, delivery in _without(store, ports, settings, began_ms):
        if drawn >= PICTURES_A_SWEEP or clock() >= began_ms + SPENT_MS:
            break
        if is_suppressed(message):
            continue
        drawn += 1
        pending = Pending(message.id, message.made_ms, delivery.channel)
        found = store.delivery(pending)
        if found is None or found[0].picture:
            continue
        try:
            store.put_delivery(pending, replace(found[0], picture="not known to be sent"), found[1], clock())
        except ConflictError:
            continue  # another sweep has it
        if message.id not in pngs:
            pngs[message.id] = _drawn(ports.draw, message, settings)
        what = _added(ports, found[0], message, settings, pngs[message.id])
        store.put_delivery(pending, replace(found[0], picture=what), found[1] + 1, clock())
        added += what == "sent"
    return added


def _without(
    store: MessageStore, ports: PicturePorts, settings: AlertSettings, now_ms: int
) -> Iterator[tuple[Message, Delivery]]:
    """Yield what was sent lately, may have a picture, and has none."""
    for stored in store.messages(now_ms - LATEST_MS, now_ms):
        incident = stored.message.incident
        if stored.message.kind not in {"opened", "escalated"} or incident is None or incident.is_wide:
            continue
        for delivery in stored.deliveries:
            if (
                delivery.status == "sent"
                and delivery.receipt
                and not delivery.picture
                and ports.carries(delivery.channel, settings)
            ):
                yield stored.message, delivery


def _drawn(draw: Draw, message: Message, settings: AlertSettings) -> bytes | str | None:
    """Return the picture, None where there is nothing to see, or why it could not be drawn."""
    try:
        return draw(message, settings)
    except (ClientError, BotoCoreError) as error:
        return f"the bars could not be read ({type(error).__name__})"


def _added(
    ports: PicturePorts,
    delivery: Delivery,
    message: Message,
    settings: AlertSettings,
    png: bytes | str | None,
) -> str:
    if not isinstance(png, bytes):
        return png or "too few bars"
    try:
        ports.add(delivery.channel, delivery.receipt, message, settings, png)
    except ChannelError as error:
        return one_line(str(error))[:300]
    except Exception as error:  # noqa: BLE001  a channel may be anybody's code: the message is sent all the same
        return type(error).__name__
    return "sent"


class Bars(Protocol):
    """What pictures are drawn from: `stores.charts.ChartTable`."""

    def bars(self, origin: str, symbol: str, since_ms: int, until_ms: int) -> list[Bar]:
        """Return minutes that start in since_ms <= start < until_ms, by time."""


def drawer(charts: Bars) -> Draw:
    """Return what draws an incident from the bars that are kept."""

    def draw(message: Message, settings: AlertSettings) -> bytes | None:
        incident = message.incident
        if incident is None or incident.is_wide or not incident.samples:
            return None
        since_ms = incident.opened_ms // MINUTE_MS * MINUTE_MS - BEFORE_MINUTES * MINUTE_MS
        until_ms = message.made_ms + LATEST_MS + MINUTE_MS
        bars = charts.bars(incident.origin, incident.subject, since_ms, until_ms)
        label = "" if incident.origin == "live" else incident.origin
        return picture(incident.subject, bars, incident.samples, settings.time_zone, label)

    return draw
