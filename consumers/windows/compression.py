"""What blocks and snapshots are compressed with: Zstandard, as Python 3.14's standard library has it."""

from __future__ import annotations

import zlib

from backports import zstd

_LEVEL = 3
_ZSTD = b"\x28\xb5\x2f\xfd"


class DamagedError(ValueError):
    """The bytes are not what `compress` made."""


def compress(data: bytes) -> bytes:
    """The data in fewer bytes, the same ones on every machine."""
    return zstd.compress(data, _LEVEL)


def decompress(data: bytes) -> bytes:
    """The data that was compressed, by this version or by one before it, which used zlib.

    Raises
    ------
    DamagedError
        If it cannot be what was compressed.
    """
    try:
        return zstd.decompress(data) if data.startswith(_ZSTD) else zlib.decompress(data)
    except (zstd.ZstdError, zlib.error) as error:
        raise DamagedError(str(error)) from error
