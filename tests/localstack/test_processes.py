"""Detached programs: known by their pid file, ended with all that they started, never confused with a stranger."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localstack.processes import Process
from localstack.settings import ROOT, LocalError, LocalSettings, free_port, unusable
from localstack.up import alone
from stream_infra.operations.programs import started

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


@pytest.mark.parametrize("kill", [os.kill, os.killpg])
def test_what_a_killed_parent_started_ends(tmp_path: Path, kill: Callable[[int, int], None]) -> None:
    """`make up`, killed in the middle of a deployment, leaves no CDK behind."""
    pid_file = tmp_path / "pid"
    inner = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    bound = [sys.executable, "-m", "localstack.bound", sys.executable, "-c", inner]
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.run({bound!r})"],
        cwd=ROOT,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not pid_file.exists() or not pid_file.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child = int(pid_file.read_text())
    kill(parent.pid, signal.SIGKILL)
    parent.wait()
    while started(child):
        assert time.monotonic() < deadline + 60
        time.sleep(0.05)


@pytest.mark.parametrize("command", ["up", "down"])
def test_a_folder_that_cannot_be_used_is_one_sentence(command: str, tmp_path: Path) -> None:
    """Root may write everywhere, so the folder is below a file."""
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", f"localstack.{command}"],
        env={**os.environ, "STOCK_MONITOR_DIR": str(tmp_path / "file" / "local"), "SOURCE": "simulated"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert ("must be writable" in said) if command == "up" else ("Nothing runs" in said or "must be" in said)


@pytest.mark.parametrize("command", [["up"], ["down"], ["down", "--forget"]])
def test_a_second_command_at_once_is_told_so_and_changes_nothing(command: list[str], tmp_path: Path) -> None:
    """Two `make up` at once; `make down` and `make clean` in the middle of a deployment."""
    (tmp_path / "data").write_text("kept")
    with alone(LocalSettings(tmp_path, free_port(), free_port())):
        done = subprocess.run(
            [sys.executable, "-m", f"localstack.{command[0]}", *command[1:]],
            env={**os.environ, "STOCK_MONITOR_DIR": str(tmp_path), "SOURCE": "simulated"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "✗ another `make up` or `make down` is at work: wait until it is done"
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "lock"]


def test_a_full_disk_is_said() -> None:
    assert unusable(OSError(errno.ENOSPC, "No space left on device", "/x/lock")) == (
        "the disk is full (/x/lock): make room, then run it again"
    )
