"""Lines of recorded text, megabytes at once; what comes before an error is returned before it is raised."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from producers.errors import MonitorError

BYTES_AT_ONCE = 4_000_000
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class RecordingError(MonitorError):
    """The file as a whole cannot be read, or not any further; says which, why and what is allowed."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines that follow one another, each ended by LF but perhaps the last; `number` is that of the first."""

    number: int
    data: bytes

    def __len__(self) -> int:
        """Return how many there are."""
        return self.data.count(b"\n") + (not self.data.endswith(b"\n"))

    def texts(self) -> list[str]:
        """Return each line; what is not UTF-8 becomes lone surrogates, which no value allows: its row is rejected."""
        return self.data.removesuffix(b"\n").decode("utf-8", "surrogateescape").split("\n")

    def after_first(self) -> Lines:
        """Return those after the first one; there may be none."""
        return Lines(self.number + 1, self.data.partition(b"\n")[2])


def lines_of(path: Path, zipped: bool) -> Iterator[Lines]:
    """Yield the lines of a file, however its system ends them: by LF, CR LF or CR.

    Raises
    ------
    RecordingError
        It cannot be read, or ends in the middle; then after all lines before that place.
    """
    number, held = 1, bytearray()

    def whole(end: int) -> Iterator[Lines]:
        nonlocal number
        if data := bytes(held[:end]):
            del held[:end]
            if number == 1:
                data = data.removeprefix(_BYTE_ORDER_MARK)
            if b"\r" in data:
                data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            lines = Lines(number, data)
            number += len(lines)
            yield lines

    try:
        with gzip.open(path) if zipped else path.open("rb") as file:
            # One read of the system's at a time, so that an error costs nothing before it.
            while piece := file.read1(BYTES_AT_ONCE):
                held += piece
                if len(held) >= BYTES_AT_ONCE:
                    yield from whole(_end_of_lines(held))
        yield from whole(len(held))
    except (OSError, EOFError, zlib.error) as error:
        yield from whole(_end_of_lines(held))
        raise RecordingError(f"{path}: {_why(error, number - 1)}") from error


def _why(error: Exception, last: int) -> str:
    """Return why nothing can be read after line `last`."""
    after = f" after line {last}" if last else ""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, gzip.BadGzipFile) and not last:
        return "is not gzip, although its name ends in .gz"
    if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
        return f"cannot be read{after} ({error.strerror or error})"
    cut = "" if isinstance(error, gzip.BadGzipFile) else "; it may be cut off"
    return f"cannot be unzipped{after} ({error}){cut}"


def _end_of_lines(data: bytearray) -> int:
    """Return where the last line ends that is surely whole: a CR at the end may be half of CR LF."""
    return data.rfind(b"\n") + 1 or data.rfind(b"\r", 0, len(data) - 1) + 1
