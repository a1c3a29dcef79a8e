"""The local monitor's programs, each known by a file with its process id.

A process id alone may have been given to a stranger since, so the file also keeps when the process started, as the
kernel reports it (`ps -o lstart`). Only a process that matches both is one of ours.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

PROGRAMS = ("emulator", "front-door", "event-source-mapping")


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
    except (FileNotFoundError, ValueError):
        return None
    return int(pid) if start and started(int(pid)) == start else None


def started(pid: int) -> str:
    """Return when a process started, as `ps` says it; empty if there is no such process."""
    found = subprocess.run(
        ["ps", "-o", "lstart=,stat=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    words = found.stdout.split()
    return "" if not words or words[-1].startswith("Z") else " ".join(words[:-1])
