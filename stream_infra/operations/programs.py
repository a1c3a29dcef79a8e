"""The local monitor's programs, each known by a file with its process id.

A process id alone may have been given to a stranger since, so the file also keeps when the process started. Only a
process that matches both is one of ours. Linux counts that time from the start of the machine: as a date it would move
with the machine's clock. Elsewhere the kernel keeps a date, which is said in one zone.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

PROGRAMS = ("emulator", "front-door", "event-source-mapping")
SAVING = "/_stock_monitor/saving"
"""Where the local AWS says why it could not save its data."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def process_ids(directory: Path | None) -> dict[str, int | None]:
    """Return the process id of each local program, None for one that does not run; empty without `directory`."""
    if directory is None:
        return {}
    embedded = (directory / "aws").is_dir()  # not where `make up` was given another local AWS
    return {name: process_id(directory, name) for name in (PROGRAMS if embedded else PROGRAMS[1:])}


def process_id(directory: Path, name: str) -> int | None:
    """Return the process id of a program while it runs, else None."""
    try:
        pid, start = (directory / f"{name}.pid").read_text().splitlines()[:2]
        found = started(int(pid))
    except (FileNotFoundError, ValueError):
        return None
    is_ours = found and start and (found == start or _started_by_clock(int(pid)) == start)
    return int(pid) if is_ours else None


def since(directory: Path | None, name: str) -> datetime | None:
    """Return when `make up` started a program last; None if it did not, or without `directory`."""
    file = directory / f"{name}.pid" if directory else None
    return datetime.fromtimestamp(file.stat().st_mtime, UTC) if file and file.exists() else None


def started(pid: int) -> str:
    """Return when a process started, in a form that stays as it is while the process runs; empty if there is none."""
    state, since = _process(pid)
    return "" if state.startswith("Z") else since


def halted(pids: Iterable[int | None]) -> tuple[int, ...]:
    """Return which processes are there and do nothing, until they get the signal to go on (SIGSTOP, Ctrl-Z)."""
    return tuple(pid for pid in pids if pid is not None and _process(pid)[0].startswith(("T", "t")))


def _process(pid: int) -> tuple[str, str]:
    """Return the state of a process as `ps` says it, and when it started; two empty texts if there is none."""
    if _BOOT.exists():
        try:
            # The name stands in brackets and may hold any character; state and start are the first and 20th after it.
            words = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return "", ""
        return words[0], f"{words[19]} {_BOOT.read_text().strip()}"
    state, _, since = _ps(pid, "stat=,lstart=", TZ="UTC0").partition(" ")
    return state, since.strip()


def _started_by_clock(pid: int) -> str:
    """Return when a process started as version 0.1 wrote it: what was started by it is ours too."""
    return " ".join(_ps(pid, "lstart=").split())


def _ps(pid: int, columns: str, **environment: str) -> str:
    found = subprocess.run(
        ["ps", "-o", columns, "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C", **environment},
    )
    return found.stdout.strip()
