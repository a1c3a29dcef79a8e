"""Standard streams that take whatever a command writes: closed ones, and those of a terminal without all characters."""

from __future__ import annotations

import codecs
import io
import json
import os
import sys


def open_streams() -> None:
    """Give a stream that is closed (``<&-``, ``>&-``) the null device, and one that is no UTF-8 its escapes."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # each takes the lowest free number
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
    codecs.register_error("escapes of JSON", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="escapes of JSON")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    r"""Return a character that an encoding lacks as JSON has it, so that the output of ``--json`` stays what it is.

    >>> codecs.register_error("escapes of JSON", _escaped)
    >>> '{"subject": "fell 5 % ✓ 😀"}'.encode("ascii", "escapes of JSON")
    b'{"subject": "fell 5 % \\u2713 \\ud83d\\ude00"}'
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
