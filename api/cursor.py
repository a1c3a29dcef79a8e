"""The opaque cursor: where each stream of keys was left, bound to the query that it continues."""

from __future__ import annotations

import base64
import binascii
import re
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from api.problems import bad_request
from producers.quote_batch import is_symbol

_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z#[a-z_]{1,32}")
_ALLOWED = "the `next` of an earlier answer to the same query, unchanged"


class Position(NamedTuple):
    """The key of the last anomaly that was seen: what comes after it, in descending order, is next."""

    timestamp: str
    ticker: str


class Left(NamedTuple):
    """How far one stream was read: `after` is None at its beginning; `done` means nothing is left."""

    after: Position | None
    done: bool


class _Wire(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    version: int
    query: str
    left: list[tuple[str, str] | bool]  # false: at the beginning; true: done


def encode(query: str, left: list[Left]) -> str:
    """A URL-safe string for `left`; `query` identifies the query that it belongs to."""
    wire = _Wire(1, _digest(query), [_pack(item) for item in left])
    return base64.urlsafe_b64encode(msgspec.json.encode(wire)).decode().rstrip("=")


def decode(cursor: str, query: str, streams: int) -> list[Left]:
    """What `encode` was given.

    Raises
    ------
    Problem
        400 if the cursor was not made by `encode`, or for another query.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        wire = msgspec.json.decode(raw, type=_Wire)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise bad_request("cursor", cursor, _ALLOWED) from None
    if wire.version != 1 or wire.query != _digest(query) or len(wire.left) != streams:
        raise bad_request("cursor", cursor, _ALLOWED)
    return [_unpack(item, cursor) for item in wire.left]


def _pack(left: Left) -> tuple[str, str] | bool:
    if left.done or left.after is None:
        return left.done
    return (left.after.timestamp, left.after.ticker)


def _unpack(item: tuple[str, str] | bool, cursor: str) -> Left:
    if isinstance(item, bool):
        return Left(None, item)
    position = Position(*item)
    if not _TIMESTAMP.fullmatch(position.timestamp) or not is_symbol(position.ticker):
        raise bad_request("cursor", cursor, _ALLOWED)
    return Left(position, done=False)


def _digest(query: str) -> str:
    return blake2b(query.encode(), digest_size=6).hexdigest()
