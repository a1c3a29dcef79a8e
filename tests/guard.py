"""What tests start outlives no test run, whatever ends that."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def guarded(directory: Path) -> Iterator[None]:
    """Have the local monitor of a folder brought down even if this process ends within the block.

    Its programs are nobody's children. The block ends them; but after a Ctrl-C pytest-xdist interrupts a process once
    more, and 15 s later it is gone, and a kill leaves no time at all.
    """
    down = shlex.join([sys.executable, "-m", "localstack.down"])
    guard = subprocess.Popen(
        ["sh", "-c", f"while kill -0 {os.getpid()}; do sleep 1; done; exec {down}"],
        cwd=Path(__file__).resolve().parents[1],
        env={**os.environ, "STOCK_MONITOR_DIR": str(directory)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    yield
    guard.kill()
    guard.wait()
