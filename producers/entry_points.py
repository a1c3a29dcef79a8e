"""The entry points of installed packages, by which they bring sources, detectors and channels of their own."""

from __future__ import annotations

import sys
from functools import cache
from importlib import metadata


def entry_points(group: str) -> metadata.EntryPoints:
    """Return the entry points of a group.

    The metadata of all packages are read once, as that takes 25 ms and settings ask six times; again only where the
    import path is another one.
    """
    return _read(group, tuple(sys.path))


@cache
def _read(group: str, path: tuple[str, ...]) -> metadata.EntryPoints:
    del path  # what is found depends on it
    return metadata.entry_points(group=group)
