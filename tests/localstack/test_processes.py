"""Detached programs: known by their pid file, ended with all that they started, never confused with a stranger."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from localstack import down, emulator, processes
from localstack.processes import Process
from localstack.settings import ROOT, LocalError, LocalSettings, unusable
from localstack.up import alone, front_door, start_front_door
from stream_infra.operations.programs import halted, since, started
from tests.ports import free_port

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


DEAF = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""
"""It hangs: it is there, takes no notice of anything, and no signal halted it."""
SLOW = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), sys.exit()))
print("ready", flush=True)
time.sleep(600)
"""


def start(process: Process, program: str) -> None:
    log = process.settings.log(process.name)
    log.unlink(missing_ok=True)
    process.start([sys.executable, "-c", program], os.environ)
    process.wait_until(lambda: log.read_text() != "")


def test_an_emulator_that_hangs_is_killed_and_its_data_said_to_be_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make down` waited for it for an hour."""
    monkeypatch.setattr(emulator, "STALLED_SECONDS", 0.2)
    settings = LocalSettings(tmp_path, 4566, 8080)
    (tmp_path / "aws" / "state").mkdir(parents=True)
    aws = emulator.emulator(settings)
    start(aws, DEAF)
    with pytest.raises(
        LocalError, match=r"hung: it wrote nothing for 0.2 s, and was killed\n.* begins anew\.$"
    ):
        down.down(settings, Console())
    assert aws.pid() is None
    (tmp_path / "last-saved" / "aws").mkdir(parents=True)
    (tmp_path / "last-saved" / "aws" / "saved").write_text("2026-11-24T15:00:00Z\n")
    start(aws, DEAF)
    with pytest.raises(LocalError, match=r"goes back to the data of 2026-11-24T15:00:00Z\.$"):
        down.down(settings, Console())


def test_one_that_gets_on_with_its_end_is_waited_for(process: Process) -> None:
    start(process, SLOW)
    assert process.stop(0.0, itertools.count().__next__) == "ended"


def test_a_pid_that_belongs_to_someone_else_now_is_not_ours(process: Process, tmp_path: Path) -> None:
    (tmp_path / "thing.pid").write_text(f"{os.getpid()}\nMon Jan  1 00:00:00 2001\n")
    assert process.pid() is None
    assert not process.stop()  # and this test is still alive


@pytest.mark.parametrize("text", ["", "no number\nsince\n", "1"])
def test_a_damaged_pid_file_is_of_nobody(text: str, process: Process, tmp_path: Path) -> None:
    (tmp_path / "thing.pid").write_text(text)
    assert process.pid() is None


def test_a_program_is_known_in_another_time_zone_and_after_the_clock_was_set(
    process: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make down` with another TZ said that nothing ran, and left all of it running, its data unsaved.

    `ps` counts the date of a start from the start of the machine, which moves with its clock: on Linux none is kept.
    """
    process.start([sys.executable, "-c", PARENT], os.environ)
    pid = process.pid()
    assert pid is not None
    for zone in ("Asia/Tokyo", "XYZ+7:30"):
        monkeypatch.setenv("TZ", zone)
        assert process.pid() == pid
    if Path("/proc/self/stat").exists():
        ticks, boot = (tmp_path / "thing.pid").read_text().splitlines()[1].split()
        assert ticks.isdigit()
        assert boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_what_a_version_before_started_is_known(process: Process, tmp_path: Path) -> None:
    """After an update it is ended or goes on; it held the ports, and `make down` said that nothing ran."""
    process.start([sys.executable, "-c", PARENT], os.environ)
    pid = process.pid()
    assert pid is not None
    listed = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    (tmp_path / "thing.pid").write_text(f"{pid}\n{' '.join(listed.stdout.split())}\n")
    assert process.pid() == pid
    assert process.stop()
    assert members(pid) == []


def test_a_program_of_older_code_is_known(
    process: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an update `make up` left the programs of the old code running, without a word."""
    assert not process.is_of_older_code()
    process.start([sys.executable, "-c", PARENT], os.environ)
    assert not process.is_of_older_code()
    (tmp_path / "localstack").mkdir()
    (tmp_path / "requirements.lock").write_text("moto==6\n")
    monkeypatch.setattr(processes, "ROOT", tmp_path)
    assert process.is_of_older_code()
    pid_file = tmp_path / "thing.pid"
    pid_file.write_text(
        "".join(pid_file.read_text().splitlines(keepends=True)[:2])
    )  # as a version before wrote it
    monkeypatch.undo()
    assert process.is_of_older_code()


def test_it_is_known_since_when_a_program_runs(process: Process, tmp_path: Path) -> None:
    assert since(tmp_path, "thing") is None
    assert since(None, "thing") is None
    process.start([sys.executable, "-c", PARENT], os.environ)
    began = since(tmp_path, "thing")
    assert began is not None
    assert abs(began.timestamp() - time.time()) < 60


def test_a_halted_program_is_named_goes_on_and_ends_at_once_when_it_is_told_to(process: Process) -> None:
    """SIGSTOP or Ctrl-Z: it is there, does nothing, and an end asked for waits until it goes on."""
    process.start([sys.executable, "-c", PARENT], os.environ)
    pid = process.pid()
    assert pid is not None
    assert halted([pid, None]) == ()
    os.killpg(pid, signal.SIGSTOP)
    _wait_for(lambda: halted([pid, None]) == (pid,))
    process.resume()
    _wait_for(lambda: halted([pid]) == ())
    os.killpg(pid, signal.SIGSTOP)
    _wait_for(lambda: halted([pid]) == (pid,))
    began = time.monotonic()
    assert process.stop(120)
    assert time.monotonic() - began < 60


def test_a_program_whose_pid_file_cannot_be_written_is_ended(process: Process, tmp_path: Path) -> None:
    """On a full disk it would run on, and nobody know of it."""
    (tmp_path / "thing.pid.partial").mkdir()  # as if there was no room for it
    alive = tmp_path / "alive"
    program = f"import os, time; open({str(alive)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    with pytest.raises(OSError, match="thing"):
        process.start([sys.executable, "-c", program], os.environ)
    assert not alive.exists() or not started(int(alive.read_text()))


def test_a_program_that_was_started_just_when_ctrl_c_came_is_ended(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would run on and hold its port, and nobody know of it."""
    begun: list[int] = []

    def interrupted(pid: int) -> str:
        begun.append(pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(processes, "started", interrupted)
    with pytest.raises(KeyboardInterrupt):
        process.start([sys.executable, "-c", "import time; time.sleep(600)"], os.environ)
    assert not started(begun[0])


def test_a_front_door_that_hangs_is_replaced(tmp_path: Path) -> None:
    settings = LocalSettings(tmp_path, free_port(), free_port())
    hanging = front_door(settings)
    hanging.start([sys.executable, "-c", "import time; time.sleep(600)"], os.environ)
    before = hanging.pid()
    assert before is not None
    with pytest.raises(LocalError, match="front-door ended at once"):  # the new one finds no AWS here
        start_front_door(settings)
    assert not started(before)


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


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
