"""Detached programs: known by their pid file, ended with all that they started, never confused with a stranger."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from localstack.processes import Process
from localstack.settings import LocalError, LocalSettings

# A program that ignores nothing and has a child, as the emulator has its function workers.
PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
time.sleep(60)
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process("thing", LocalSettings(tmp_path, 4566, 8080))
    yield process
    process.stop()


def members(group: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except FileNotFoundError:
                continue
            state, _, pgrp = stat.rsplit(")", 1)[1].split()[:3]
            if int(pgrp) == group and state != "Z":
                found.append(int(entry.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads the process table from /proc")
def test_stopping_ends_the_program_and_its_children(process: Process) -> None:
    process.start([sys.executable, "-c", PARENT], os.environ)
    pid = process.pid()
    assert pid is not None
    deadline = time.monotonic() + 10
    while len(members(pid)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(members(pid)) == 2
    assert process.stop()
    assert members(pid) == []
    assert process.pid() is None
    assert not process.stop()


def test_a_pid_that_belongs_to_someone_else_now_is_not_ours(process: Process, tmp_path: Path) -> None:
    (tmp_path / "thing.pid").write_text(f"{os.getpid()}\nMon Jan  1 00:00:00 2001\n")
    assert process.pid() is None
    assert not process.stop()  # and this test is still alive


def test_a_program_that_ends_at_once_is_reported_with_the_end_of_its_log(process: Process) -> None:
    process.start([sys.executable, "-c", "import sys; sys.exit('no such table')"], os.environ)
    with pytest.raises(LocalError, match=r"(?s)thing ended at once:.*no such table"):
        process.wait_until(lambda: False, 10)
