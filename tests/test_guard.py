"""The guard of what tests start: see `guard`."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from localstack.processes import Process
from localstack.settings import LocalSettings

STARTED = """
import sys, time
from pathlib import Path
from localstack.processes import Process
from localstack.settings import LocalSettings
from tests.guard import guarded

settings = LocalSettings(Path(sys.argv[1]), 4566, 8080, None)
with guarded(settings.directory):
    Process("front-door", settings).start([sys.executable, "-c", "import time; time.sleep(600)"], {})
    print("started", flush=True)
    time.sleep(600)
"""


def test_a_run_of_tests_that_is_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTED, str(tmp_path)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "started\n"
        left = Process("front-door", LocalSettings(tmp_path, 4566, 8080, None))
        assert left.pid() is not None
        run.kill()
    deadline = time.monotonic() + 60
    while left.pid() is not None:
        assert time.monotonic() < deadline, "it goes on"
        time.sleep(0.2)
