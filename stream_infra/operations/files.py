"""Text files that a person names on the command line."""

from __future__ import annotations

from pathlib import Path

from producers.recordings import other_form
from stream_infra.operations.errors import InputError


def read_text(path: Path) -> str:
    """Return the text of a file, without the byte-order mark that Windows puts before it.

    Raises
    ------
    InputError
        It cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        is_what = other_form(path.read_bytes()[:64]) or "is not UTF-8"
        raise InputError(
            is_what.partition(",")[0], where=str(path), allowed="a text file in UTF-8"
        ) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
