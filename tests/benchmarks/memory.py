"""Peak memory of the detector at many symbols, from its first poll on: `python memory.py 50000`.

What makes the ticks lives in the same process and is part of the figure.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import sys
from pathlib import Path

import ours
import workload

POLLS = 75


def main() -> None:
    detector = ours.Full()
    answers = sys.stdout
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  its metrics, for as long as it runs
    for poll in range(POLLS):
        ticks = workload.make(int(sys.argv[1]), 1, seed=poll)
        ticks = dataclasses.replace(
            ticks, ts=ticks.ts + 1000 * poll, day_volume=ticks.day_volume * (poll + 1)
        )
        detector.feed(detector.prepare(ticks, 1))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_mb": peak_mb}), file=answers)


if __name__ == "__main__":
    main()
