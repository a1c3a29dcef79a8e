"""What blocks and snapshots are compressed with: Zstandard, as Python 3.14's standard library has it."""

from __future__ import annotations

from backports import zstd

from producers.errors import MonitorError

_LEVEL = 3


class DamagedError(MonitorError):
    """The bytes are not what `compress` made."""


def compress(data: bytes) -> bytes:
    """Return the data in fewer bytes, the same ones on every machine."""
    return zstd.compress(data, _LEVEL)


def decompress(data: bytes) -> bytes:
    """Return the data that was compressed.

    Raises
    ------
    DamagedError
        If it cannot be what was compressed.

    Examples
    --------
    >>> decompress(compress(b"ticks"))
    b'ticks'
    """
    try:
        return zstd.decompress(data)
    except zstd.ZstdError as error:
        raise DamagedError(str(error)) from error
