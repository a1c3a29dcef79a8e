"""Runs contenders on the same ticks, in turns, each in a process of its own on the same core."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import workload

Json = dict[str, Any]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "bench"
OURS, PEERS = ("zscore", "committed", "charted", "full"), ("bytewax", "quix", "river", "powertools")
WARM_UP_POLLS = 70


class Worker:
    """A contender in a process of its own, on one core."""

    def __init__(self, name: str, ticks: Path) -> None:
        self.name = name
        is_ours = name in OURS
        python = ROOT / (".venv" if is_ours else "build/peers") / "bin" / "python"
        if not python.exists():
            python = Path(sys.executable)
        script = HERE / ("ours.py" if is_ours else "peers.py")
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT) if is_ours else "",
            "PYTHONHASHSEED": "0",
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
        }
        core = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        self._log = (BUILD / f"{name}.log").open("w")
        self._process = subprocess.Popen(
            [str(python), str(script), name, str(ticks)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
            preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),  # noqa: PLW1509
        )
        self._answer()

    def run(self, start: int, stop: int, invocation_polls: int) -> Json:
        """Feed it the polls start <= i < stop; answers seconds of processor time and what was found."""
        order = {"start": start, "stop": stop, "invocation_polls": invocation_polls}
        assert self._process.stdin is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Json:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended: {Path(self._log.name).read_text()[-2000:]}")
        answer: Json = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._log.close()


@dataclass
class Measured:
    """Of one contender: processor time a tick (s) round by round, and its last answer."""

    seconds: list[float] = field(default_factory=list)
    answer: Json = field(default_factory=dict)

    @property
    def median(self) -> float:
        """Seconds of processor time a tick."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Case:
    """How many symbols, polls in an invocation, and polls in a round."""

    symbols: int
    invocation_polls: int
    round_polls: int = 60  # a minute: bars close and a snapshot is kept once in it

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.symbols:,} symbols, {self.symbols * self.invocation_polls:,} ticks an invocation"


def ticks_file(symbols: int, polls: int) -> Path:
    """The ticks of a case, made once."""
    BUILD.mkdir(parents=True, exist_ok=True)
    path = BUILD / f"ticks-{symbols}-{polls}.npz"
    workload.make(symbols, polls).save(path)
    return path


def compare(case: Case, names: Iterable[str], rounds: int) -> dict[str, Measured]:
    """Time the contenders in turns, after they have reported the same anomalies.

    `full` looks for other anomalies and is not compared.
    """
    polls = WARM_UP_POLLS + case.round_polls * (rounds + 1)
    path = ticks_file(case.symbols, polls)
    workers = [Worker(name, path) for name in names]
    measured = {worker.name: Measured() for worker in workers}
    start = 0
    for number in range(-2, rounds):
        stop = start + (WARM_UP_POLLS if number == -2 else case.round_polls)
        for worker in workers:
            answer = worker.run(start, stop, case.invocation_polls)
            of = measured[worker.name]
            of.answer = answer
            if number >= 0:
                of.seconds.append(answer["cpu"] / (case.round_polls * case.symbols))
        _check_same({name: of.answer["found"] for name, of in measured.items() if name != "full"}, number)
        start = stop
    for worker in workers:
        worker.close()
    path.unlink()
    return measured


def _check_same(found: dict[str, str], number: int) -> None:
    if len(set(found.values())) > 1:
        sys.exit(f"round {number}: the contenders do not report the same anomalies: {found}")
