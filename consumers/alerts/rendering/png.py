"""A canvas of a few colours, and the PNG of it: all that a small picture needs of a library.

The format is the W3C's: https://www.w3.org/TR/png-3/ (signature, IHDR, PLTE, IDAT, IEND).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from consumers.alerts.rendering import font

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PALETTE_TYPE = 3  # "indexed-colour", one byte a pixel at a bit depth of 8


class Canvas:
    """Pixels that are numbers of colours; 0 is the background. What lies outside of it is left out.

    Parameters
    ----------
    colours
        Red, green and blue of each number, 0 to 255.
    """

    def __init__(self, width: int, height: int, colours: Sequence[tuple[int, int, int]]) -> None:
        self.width, self.height = width, height
        self._colours = tuple(colours)
        self._rows = [bytearray(width) for _ in range(height)]

    def fill(self, left: int, top: int, right: int, bottom: int, colour: int) -> None:
        """Fill a rectangle; the right column and the bottom row are no part of it."""
        left, right = max(0, left), min(self.width, right)
        if right <= left:
            return
        for row in self._rows[max(0, top) : max(0, bottom)]:
            row[left:right] = bytes((colour,)) * (right - left)

    def text(self, left: int, top: int, text: str, colour: int, size: int = 2) -> None:
        """Write a line; `size` is the side of a dot in pixels."""
        for number, char in enumerate(text):
            at = left + number * (font.WIDTH + 1) * size
            for y, row in enumerate(font.dots(char)):
                for x, dot in enumerate(row):
                    if dot == "#":
                        self.fill(
                            at + x * size, top + y * size, at + (x + 1) * size, top + (y + 1) * size, colour
                        )

    def png(self) -> bytes:
        """Return the picture as a PNG."""
        head = struct.pack(">IIBBBBB", self.width, self.height, 8, _PALETTE_TYPE, 0, 0, 0)
        palette = b"".join(bytes(colour) for colour in self._colours)
        lines = b"".join(b"\0" + row for row in self._rows)  # each begins with its filter: none
        return (
            _SIGNATURE
            + _chunk(b"IHDR", head)
            + _chunk(b"PLTE", palette)
            + _chunk(b"IDAT", zlib.compress(lines, 9))
            + _chunk(b"IEND", b"")
        )


def text_width(text: str, size: int = 2) -> int:
    """Return the width of a line in pixels."""
    return max(0, len(text) * (font.WIDTH + 1) - 1) * size


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
