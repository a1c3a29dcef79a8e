"""Node.js as `make` runs it: with the terminal's signals and the exit code of npm itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from localstack.settings import ROOT


def npm(folder: Path, script: str) -> subprocess.Popen[str]:
    """Start a stand-in for npm as the Makefile starts npm."""
    for name, lines in (("node", "echo v22.0.0"), ("npm", script)):
        (folder / name).write_text(f"#!/bin/bash\n{lines}\n")
        (folder / name).chmod(0o755)
    return subprocess.Popen(
        [sys.executable, "-m", "localstack.node", "npm", "ci"],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_while_the_cdk_is_installed_is_no_traceback(number: signal.Signals, tmp_path: Path) -> None:
    with npm(tmp_path, "echo ready; exec sleep 60") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        os.killpg(child.pid, number)
        assert child.communicate(timeout=60) == ("", "")
    assert child.returncode == -number


def test_the_exit_code_is_that_of_npm(tmp_path: Path) -> None:
    with npm(tmp_path, 'echo "$1"; exit 7') as child:
        assert child.communicate(timeout=60) == ("ci\n", "")
    assert child.returncode == 7
