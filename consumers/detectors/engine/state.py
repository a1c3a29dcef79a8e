"""Everything that is remembered of a symbol between two ticks: one float64 per field, 0.0 = never seen.

Three groups of rows: the memory of the last ticks (moved on by `signals.read`), the recursions of signals and
detectors, and the episodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.contracts.detector import DetectorSpecError
from consumers.contracts.kinds import KINDS, REGISTRY

# Square roots of the volumes of the nine ticks before, the last one first.
VOLUME_MEMORY: tuple[str, ...] = tuple(f"volume_{ago}" for ago in range(1, 10))
MEMORY_FIELDS: tuple[str, ...] = (
    "count",  # ticks seen
    "last_ts",  # ms
    "seen_price",  # of the last tick, as it came
    "seen_bid",  # 0 = unknown
    "seen_ask",
    "seen_volume",  # shares of the session so far, plus one; 0 = unknown
    "spreads",  # number of known spreads
    "spread_1",  # relative spread of the last tick, 0 = unknown
    "spread_2",  # and of the one before
    "volumes",  # number of known volumes above zero
    *VOLUME_MEMORY,
)


# Recursions that several detectors read; `signals` moves them on. A detector declares its own fields.
SHARED_FIELDS: dict[str, str] = {
    "pace": "usual ms between ticks",
    "changed_ts": "ms of the last tick that differed from the one before it",
    "session_ts": "ms of the first tick after the end of a session",
    "frozen": "1 while the feed repeats itself for longer than chance allows",
    "last_price": "last price believed",
    "missed": "ms of the ticks since, whose prices were not believed",
    "slow": "scale of a tick's return over some 240 ticks",
    "fast": "the same over some 15 ticks",
    "move": "mean size of a return that is not zero",
    "moves": "number of returns that were not zero",
}
RECURSIVE_FIELDS: tuple[str, ...] = (
    *SHARED_FIELDS,
    *(name for registered in REGISTRY.values() for name in registered.spec.fields),
)


def _check_fields() -> None:
    reserved = {*MEMORY_FIELDS, *SHARED_FIELDS, *EPISODE_FIELDS}
    for registered in REGISTRY.values():
        if taken := sorted(reserved & set(registered.spec.fields)):
            allowed = "a name that the engine does not use"
            raise DetectorSpecError(
                f"field {taken[0]!r} is the engine's", where=registered.place, allowed=allowed
            )


FIELDS: tuple[str, ...] = MEMORY_FIELDS + RECURSIVE_FIELDS


class State:
    """What reading, signals and detectors remember of a symbol; each field is a float."""

    __slots__ = FIELDS

    if TYPE_CHECKING:  # the fields are those that the detectors declare

        def __getattr__(self, name: str) -> float: ...
        def __setattr__(self, name: str, value: float) -> None: ...


# Of each kind: see `episodes.Episode`.
EPISODE_FIELDS: tuple[str, ...] = tuple(
    f"{kind}_{what}" for what in ("level", "opened", "hot") for kind in KINDS
)

_check_fields()
STATE_FIELDS: tuple[str, ...] = FIELDS + EPISODE_FIELDS
