"""Files that a crash or a full disk leaves whole: replaced in one step, or with whole lines appended."""

import errno
import os
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's content, or leave it as it was and raise OSError."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def append_lines(path: Path, text: str) -> None:
    """Append whole lines to a file, or leave it as it was and raise OSError."""
    data = text.encode()
    with path.open("ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            if file.write(data) < len(data):  # what a disk had room for
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        except OSError:
            file.truncate(size)
            raise


def whole_lines(path: Path) -> list[str]:
    """Return a file's lines; an end that a crash cut off goes from the file too, so that no line is appended to it."""
    data = path.read_bytes() if path.exists() else b""
    size = data.rfind(b"\n") + 1
    if size < len(data):
        os.truncate(path, size)
    return data[:size].decode("utf-8", errors="replace").split("\n")[:-1]
