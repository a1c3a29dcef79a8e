"""Everything that is remembered of a symbol between two ticks: one float64 per field, 0.0 = never seen."""

from __future__ import annotations

from consumers.detectors.kinds import KINDS
from consumers.detectors.namespace import Number

# per kind: severity of the open episode (0 = armed), ts of the tick that opened it, tick number of its last hot tick
EPISODE_FIELDS: tuple[str, ...] = tuple(
    f"{kind}_{what}" for what in ("level", "opened", "hot") for kind in KINDS
)


class State:
    """The fields that signals and detectors read and replace; each is a float or an array (one per symbol)."""

    __slots__ = ("count", "last_price", "last_ts", "scale")

    count: Number  # ticks seen
    last_ts: Number  # ms
    last_price: Number  # last price that could be one
    scale: Number  # robust scale of a return


SIGNAL_FIELDS: tuple[str, ...] = State.__slots__
STATE_FIELDS: tuple[str, ...] = SIGNAL_FIELDS + EPISODE_FIELDS
