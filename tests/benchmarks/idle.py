# ruff: noqa: T201 - it prints a report
"""What a running local monitor costs while nobody looks: CPU, memory, files, a row a minute, by /proc (Linux).

``PYTHONPATH=. python tests/benchmarks/idle.py 60`` beside `make up`. CPU seconds are counted, not time that passes:
other work on the machine slows the monitor down and changes little here. Memory is what its processes share nobody
with (Pss), so that the pages of a forked interpreter count once.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

from localstack.settings import read_settings
from stream_infra.operations.programs import process_id

PROGRAMS = ("emulator", "event-source-mapping", "front-door")
_TICKS = os.sysconf("SC_CLK_TCK")


class Use(NamedTuple):
    """CPU seconds since the start of the processes, resident megabytes, processes, files and megabytes on disk."""

    cpu_seconds: float
    memory_mb: float
    processes: int
    files: int
    disk_mb: float


def groups(directory: Path) -> dict[str, list[int]]:
    """Return the processes of every program by its process group."""
    leaders = {name: pid for name in PROGRAMS if (pid := process_id(directory, name)) is not None}
    found: dict[str, list[int]] = {name: [] for name in leaders}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        for name, leader in leaders.items():
            if int(fields[3]) == leader:  # its session, which a child of Lambda's keeps as well
                found[name].append(int(entry.name))
    return found


def use(directory: Path) -> tuple[Use, dict[str, float]]:
    """Return what the monitor uses, and the CPU seconds of each program with its ended children."""
    cpu: dict[str, float] = {}
    memory, count = 0.0, 0
    for name, pids in groups(directory).items():
        for pid in pids:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            count += 1
            cpu[name] = cpu.get(name, 0.0) + sum(map(int, fields[11:15])) / _TICKS
            memory += (
                next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024
            )
    files, size = on_disk(directory)
    return Use(sum(cpu.values()), memory, count, files, size / 1e6), cpu


def on_disk(directory: Path) -> tuple[int, int]:
    """Return the number of files below a directory and their bytes; what goes meanwhile does not count."""
    files = size = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                size += (Path(folder) / name).lstat().st_size
                files += 1
    return files, size


def main(minutes: int) -> None:
    """Print a row a minute, then the means."""
    directory = read_settings().directory
    begin_s = time.monotonic()
    first, first_cpu = use(directory)
    before, before_s = first, begin_s
    print("minute  % of a core  memory MB  processes   files  disk MB")
    for minute in range(1, minutes + 1):
        time.sleep(max(0.0, begin_s + 60 * minute - time.monotonic()))
        now, cpu = use(directory)
        now_s = time.monotonic()
        share = 100 * (now.cpu_seconds - before.cpu_seconds) / (now_s - before_s)
        row = f"{minute:6d} {share:12.1f} {now.memory_mb:10.0f} {now.processes:10d} {now.files:7d} {now.disk_mb:8.1f}"
        print(row, flush=True)
        before, before_s = now, now_s
    total_s = time.monotonic() - begin_s
    parts = ", ".join(
        f"{name} {100 * (of - first_cpu.get(name, 0.0)) / total_s:.1f} %" for name, of in cpu.items()
    )
    print(f"mean {100 * (before.cpu_seconds - first.cpu_seconds) / total_s:.1f} % of a core ({parts});")
    print(
        f"files {first.files} -> {before.files}, disk {first.disk_mb:.1f} -> {before.disk_mb:.1f} MB,",
        end=" ",
    )
    print(f"memory {first.memory_mb:.0f} -> {before.memory_mb:.0f} MB in {minutes} minutes")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
