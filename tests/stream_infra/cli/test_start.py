"""How a command ends that is interrupted, at whatever moment. Run as a program, as a user does."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from stream_infra.cli import start

ROOT = Path(__file__).parents[3]
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
IMPORTING = "import time\nprint('ready', flush=True)\ntime.sleep(60)\n"
WORKING = """
import time
def main():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("putting in order", flush=True)
        time.sleep(SECONDS)
        print("in order")
"""
ANSWERING = """
import time
def main():
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("ended as asked")
    return 0
"""


@pytest.fixture(autouse=True)
def _heeded() -> Iterator[None]:
    """Heed SIGHUP: what is started by `nohup` ignores it, and children inherit that."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@contextmanager
def command(folder: Path, code: str, shell: str = "exec") -> Iterator[subprocess.Popen[str]]:
    """A command at work."""
    (folder / "a_command.py").write_text(code)
    program = [sys.executable, "-m", "stream_infra.cli.start", "a_command"]
    with subprocess.Popen(
        ["bash", "-c", f"{shell} {shlex.join(program)}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        try:
            yield child
        finally:
            child.kill()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_it_imports_is_no_traceback(number: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C in the first second of `make up` and `make down` showed forty lines."""
    with command(tmp_path, IMPORTING) as child:
        child.send_signal(number)
        assert child.communicate(timeout=60) == ("", "")
    assert child.returncode == -number


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_lets_it_put_in_order_what_it_began(number: signal.Signals, tmp_path: Path) -> None:
    """SIGTERM and SIGHUP left the terminal without a cursor, and half-written files."""
    with command(tmp_path, WORKING.replace("SECONDS", "0")) as child:
        child.send_signal(number)
        assert child.communicate(timeout=60) == ("putting in order\nin order\n", "")
    assert child.returncode == -number


def test_a_signal_that_comes_twice_ends_it_once(tmp_path: Path) -> None:
    """As `make` passes on to its child what the child has received with the whole group."""
    with command(tmp_path, WORKING.replace("SECONDS", "1")) as child:
        assert child.stdout is not None
        child.send_signal(signal.SIGTERM)
        assert child.stdout.readline() == "putting in order\n"
        child.send_signal(signal.SIGTERM)
        assert child.communicate(timeout=60) == ("in order\n", "")
    assert child.returncode == -signal.SIGTERM


def test_nohup_is_heeded(tmp_path: Path) -> None:
    with command(tmp_path, WORKING.replace("SECONDS", "0"), "trap '' HUP; exec") as child:
        child.send_signal(signal.SIGHUP)
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=60)
    assert child.returncode == -signal.SIGTERM


def test_a_command_may_take_ctrl_c_for_its_end(tmp_path: Path) -> None:
    with command(tmp_path, ANSWERING) as child:
        child.send_signal(signal.SIGINT)
        assert child.communicate(timeout=60) == ("ended as asked\n", "")
    assert child.returncode == 0


def test_every_command_starts_here() -> None:
    (installed,) = entry_points(group="console_scripts", name="stock-monitor")
    assert installed.load() is start.main
    made = [
        line
        for line in (ROOT / "Makefile").read_text().splitlines()
        if "localstack.up" in line or "localstack.down" in line
    ]
    assert len(made) == 3
    assert all("-m stream_infra.cli.start localstack." in line for line in made)


def test_make_takes_no_package_of_another_project() -> None:
    """PYTHONPATH with an `api` or a `localstack` in it ended `make up` by a traceback."""
    probe = ["make", "--eval=probe: ; @echo [$$(printenv PYTHONPATH)]", "probe"]
    done = subprocess.run(
        probe, cwd=ROOT, env={**os.environ, "PYTHONPATH": "/x"}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
