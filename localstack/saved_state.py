"""What the local monitor keeps between two runs: whole, or as it was when it was last saved.

MiniStack writes its state only as it ends, file by file. A run that was killed leaves files of two moments, which
together are no state at all. So a run that ended well leaves a mark; the next one makes a copy of everything before
it starts, which is replaced every few minutes while it runs (`keep`), and a run that finds no mark goes back to it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import signal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from localstack.files import write_atomically

_AWS = "aws"
STATE = f"{_AWS}/state"
"""Where MiniStack writes its state, below the folder in which it runs."""
_OBJECTS = f"{os.sep}{_AWS}{os.sep}s3{os.sep}"
"""In the path of a file of the object store."""
_KEPT = (_AWS, "deployed", "backfilled", "checkpoints.json")
"""What has to be of one moment: the data of the local AWS, and what we noted about it."""
EVERY_SECONDS = 300.0
"""A copy takes a second or two, so that a kill costs five minutes at most."""
SAVE_SIGNAL = signal.SIGURG
"""Tells the local AWS to save what it holds at once; one that does not know it, of an older version, ignores it."""
MOST_OF_THE_TIME = 0.02
"""A large state takes longer to copy, and is copied as much more seldom."""
_COPY = "last-saved"
_BEFORE = "saved-before"
"""The copy while a newer one takes its place."""
_QUEUE_URL = re.compile(r"http://localhost:([0-9]+)/")
_MARK = "saved"
_FAILED = "not-saved"


class SaveErrors(logging.Handler):
    """Collects what MiniStack could not save: it logs that, and goes on as if it had."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Collect one message."""
        self.messages.append(record.getMessage())


def keep(directory: Path, save: Callable[[Path], str]) -> str:
    """Replace the copy by one of now, whole or not at all; return why it was not replaced, or an empty text.

    Parameters
    ----------
    save
        Writes the local AWS's data as they are now: takes the folder in which it writes `aws/state`, and returns why
        not all of it was written.
    """
    partial = directory / f"{_COPY}.partial"
    _remove(partial)
    (partial / STATE).mkdir(parents=True)
    # Older than the data: what the detector was given since then is delivered again, which changes nothing.
    for name in _KEPT[1:]:
        _put(directory / name, partial / name)
    if why := save(partial):
        _remove(partial)
        return why
    _put(directory / _AWS / "s3", partial / _AWS / "s3")
    (partial / _AWS / _MARK).write_text(f"{datetime.now(UTC):%FT%T}Z\n")
    _replace(directory, partial)
    return ""


def finish(directory: Path, errors: Sequence[str], now: datetime | None = None) -> None:
    """Mark the data of a run as whole, or note why they are not; `directory` is the local monitor's."""
    name, text = (_FAILED, "\n".join(errors)) if errors else (_MARK, f"{now or datetime.now(UTC):%FT%T}Z")
    try:
        write_atomically(directory / _AWS / name, f"{text}\n")
    except (
        OSError
    ) as error:  # on a full disk not even that; without a mark the data count as lost all the same
        logging.getLogger(__name__).error("the mark of a saved state cannot be written: %s", error)


def problem(directory: Path) -> str:
    """Return why the run that just ended did not save its data; empty if it did, or there was none."""
    aws = directory / _AWS
    if not aws.is_dir() or (aws / _MARK).exists():
        return ""
    failed = aws / _FAILED
    return failed.read_text().strip() if failed.exists() else "it ended before it had saved them"


def progress(directory: Path) -> object:
    """Return something else whenever the local AWS, which ends, has written more of its state."""
    found = []
    for entry in os.scandir(directory / STATE) if (directory / STATE).is_dir() else ():
        with contextlib.suppress(FileNotFoundError):
            found.append((entry.name, entry.stat().st_size, entry.stat().st_mtime_ns))
    return sorted(found)


def of_copy(directory: Path) -> str:
    """Return from when the copy is that a run without a mark goes back to; empty if there is none."""
    for name in (_COPY, _BEFORE):
        mark = directory / name / _AWS / _MARK
        if mark.exists():
            return mark.read_text().strip()
    return ""


def prepare(directory: Path) -> str:
    """Make the data ready for a new run; return what was lost, as a sentence, or an empty text.

    May be interrupted anywhere and repeated: the copy that it goes back to is complete or not there.
    """
    aws, copy = directory / _AWS, directory / _COPY
    mark = aws / _MARK
    damaged = _damaged(directory) if mark.exists() else None
    if mark.exists() and damaged is None:
        _copy(directory)
        mark.unlink()
        return ""
    if not copy.is_dir() and (directory / _BEFORE).is_dir():
        (directory / _BEFORE).rename(copy)
    if not aws.is_dir():
        return ""
    for name in _KEPT:
        _remove(directory / name)
    why = "the last run was killed before it had saved its data"
    if damaged is not None:
        why = f"{damaged.relative_to(directory)} is damaged"
    if not copy.is_dir():
        return f"{why}, and there are none from before: this one begins anew"
    since = of_copy(directory)
    for name in _KEPT:
        _put(copy / name, directory / name)
    (aws / _MARK).unlink()
    return f"{why}: back to the data of {since}"


def _damaged(directory: Path) -> Path | None:
    """Return a file of the data that is not whole, if there is one: MiniStack would log it, and go on without it."""
    for file in (*sorted((directory / STATE).glob("*.json")), directory / "checkpoints.json"):
        try:
            if file.exists():
                msgspec.json.decode(file.read_bytes(), type=msgspec.Raw)
        except msgspec.DecodeError:
            return file
    return None


def move(directory: Path, port: int) -> None:
    """Give the queues of a saved state the port on which the local AWS comes up now.

    A queue is known by its URL, which holds the port. On another one, mappings and functions would look for queues that
    are not there: nobody would be notified of anything, and nothing would say so.
    """
    queues = directory / STATE / "sqs.json"
    found = _QUEUE_URL.search(queues.read_text()) if queues.exists() else None
    if found is None or int(found[1]) == port:
        return
    before, now = (f"http://localhost:{its}/".encode() for its in (found[1], port))
    for file in (directory / STATE).glob("*.json"):
        if before in (data := file.read_bytes()):
            file.write_bytes(data.replace(before, now))


def _copy(directory: Path) -> None:
    partial = directory / f"{_COPY}.partial"
    _remove(partial)
    partial.mkdir()
    for name in _KEPT:
        _put(directory / name, partial / name)
    _replace(directory, partial)


def _replace(directory: Path, partial: Path) -> None:
    """Put a whole copy in the place of the one before; at any moment one of them is there."""
    copy, before = directory / _COPY, directory / _BEFORE
    if copy.is_dir():
        _remove(before)
        copy.rename(before)
    partial.rename(copy)
    _remove(before)


def _put(source: Path, target: Path) -> None:
    if not source.is_dir():
        if source.exists():
            shutil.copy2(source, target)
        return
    # As `shutil.copytree`, which goes on after an error, and on a full disk says so of every file.
    for folder, _, names in os.walk(source):
        into = target / Path(folder).relative_to(source)
        into.mkdir()
        for name in names:
            _copied(os.path.join(folder, name), str(into / name))  # noqa: PTH118  tens of thousands of files


def _copied(source: str, target: str) -> None:
    """Copy a file, unless it is gone meanwhile: objects come and go while the local AWS runs.

    An object is linked, where the file system can: MiniStack replaces its file by a new one and never writes into it.
    """
    with contextlib.suppress(FileNotFoundError):
        if _OBJECTS in source:
            with contextlib.suppress(OSError):
                os.link(source, target)
                return
        shutil.copy2(source, target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
