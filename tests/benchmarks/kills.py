# ruff: noqa: T201 - it prints a report
"""Kills a random program of the local monitor, brings all up again, and says how long that took and what it cost.

``PYTHONPATH=. python tests/benchmarks/kills.py 30 [SEED]`` beside `make up`, on the ports of the environment. Every
round kills one program, or all as a power cut does, at a random moment; the balance of ticks must hold after it.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

from botocore.exceptions import BotoCoreError, ClientError

from consumers.contracts.counts import TickCounts
from consumers.stores.windows import Ledger
from localstack.clients import client
from localstack.settings import ROOT, LocalSettings, read_settings
from stream_infra import names
from stream_infra.operations.programs import PROGRAMS, process_id

PARTITIONS = 4
MOST_SECONDS = 30


def counts(settings: LocalSettings) -> TickCounts:
    """Return what became of all ticks; of none where nothing answers."""
    ledger = Ledger(client(settings, "dynamodb"), names.WINDOWS_TABLE, PARTITIONS)
    try:
        return sum(ledger.totals().values(), TickCounts())
    except (BotoCoreError, ClientError):
        return TickCounts()


def main(rounds: int, seed: int) -> int:
    """Print a row for each kill; 1 if one of them was not mended."""
    settings, rng, failed = read_settings(), random.Random(seed), 0
    print(f"seed {seed}\nround  killed                 up after s  ticks before -> after  said")
    for number in range(1, rounds + 1):
        time.sleep(rng.uniform(0, MOST_SECONDS))
        before = counts(settings)
        victims = rng.choice([*((name,) for name in PROGRAMS), PROGRAMS])
        for pid in filter(None, (process_id(settings.directory, name) for name in victims)):
            os.killpg(pid, signal.SIGKILL)
        began = time.monotonic()
        done = subprocess.run(["make", "up"], cwd=ROOT, capture_output=True, text=True, check=False)
        took = time.monotonic() - began
        said = next((line for line in done.stdout.splitlines() if "Local AWS" in line), "")
        if done.returncode:
            said = done.stderr.strip()[-300:]
        after = counts(settings) if done.returncode == 0 else TickCounts()
        is_well = done.returncode == 0 and after.balance()
        failed += not is_well
        name = victims[0] if len(victims) == 1 else "all"
        print(
            f"{number:5d}  {name:22s} {took:10.0f}  {before.in_windows:9d} -> {after.in_windows:9d}  {said}",
            flush=True,
        )
    print(f"{rounds} kills, {failed} not mended")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns()))
