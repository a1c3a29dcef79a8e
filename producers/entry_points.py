"""The entry points of installed packages, by which they bring sources, detectors and channels of their own."""

from __future__ import annotations

import sys
from functools import cache
from importlib import metadata


def entry_points(group: str) -> metadata.EntryPoints:
    """Return the entry points of a group.

    The metadata of all packages are read once for all groups, as that takes 25 ms; again only where the import path is
    another one.
    """
    return _read(tuple(sys.path)).select(group=group)


@cache
def _read(path: tuple[str, ...]) -> metadata.SelectableGroups:
    del path  # what is found depends on it
    return metadata.entry_points()
