"""The opaque cursor: how far each stream of keys was read, bound to the query that it continues."""

from __future__ import annotations

import base64
import binascii
import re
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from api.problems import Problem, bad_request
from consumers.contracts.detector import KIND_PATTERN
from producers.symbols import is_symbol

_TIMESTAMP = re.compile(
    rf"\d{{4}}-\d{{2}}-\d{{2}}T\d{{2}}:\d{{2}}:\d{{2}}\.\d{{3}}Z#{KIND_PATTERN}(@[A-Za-z0-9._-]{{1,64}})?"
)
_ALLOWED = "the `next` of an earlier response to the same query, unchanged"


class CursorKey(NamedTuple):
    """The key of the last anomaly that was seen: what comes after it, in descending order, is next."""

    timestamp: str
    ticker: str


class Progress(NamedTuple):
    """How far one stream was read: `after` is None at its beginning; `done` means nothing is left."""

    after: CursorKey | None
    done: bool


class _Wire(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    version: int
    query: str
    progress: list[tuple[str, str] | bool]  # false: at the beginning; true: done


def encode(query: str, progress: list[Progress]) -> str:
    """Return a URL-safe string for `progress`; `query` identifies the query that it belongs to."""
    wire = _Wire(1, _digest(query), [_pack(item) for item in progress])
    return base64.urlsafe_b64encode(msgspec.json.encode(wire)).decode().rstrip("=")


def decode(cursor: str, query: str, streams: int) -> list[Progress]:
    """Return what `encode` was given.

    `streams` is how many streams the query reads.

    Raises
    ------
    Problem
        400 if the cursor was not made by `encode`, or for another query.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        wire = msgspec.json.decode(raw, type=_Wire)
    except (ValueError, RecursionError, binascii.Error, msgspec.MsgspecError):
        raise rejected(cursor) from None
    if wire.version != 1 or wire.query != _digest(query) or len(wire.progress) != streams:
        raise rejected(cursor)
    return [_unpack(item, cursor) for item in wire.progress]


def rejected(cursor: str) -> Problem:
    """Return the 400 for a cursor that no response held."""
    return bad_request("cursor", cursor, _ALLOWED)


def _pack(progress: Progress) -> tuple[str, str] | bool:
    if progress.done or progress.after is None:
        return progress.done
    return (progress.after.timestamp, progress.after.ticker)


def _unpack(item: tuple[str, str] | bool, cursor: str) -> Progress:
    if isinstance(item, bool):
        return Progress(None, item)
    key = CursorKey(*item)
    if not _TIMESTAMP.fullmatch(key.timestamp) or not is_symbol(key.ticker):
        raise rejected(cursor)
    return Progress(key, done=False)


def _digest(query: str) -> str:
    return blake2b(query.encode(), digest_size=6).hexdigest()
