"""What every contender offers to the worker that runs it."""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import workload


class Contender(ABC):
    """One way to find anomalies in ticks. What happens between two of the rounds that `serve` takes is timed."""

    def __init__(self) -> None:
        self.found: list[tuple[str, int]] = []

    @abstractmethod
    def prepare(self, ticks: workload.Ticks, invocation_polls: int) -> object:
        """The ticks as this contender receives them; an invocation holds so many polls."""

    @abstractmethod
    def serve(self, rounds: Iterator[Any]) -> None:
        """Find the anomalies in round after round of what was prepared."""

    def off_the_clock(self) -> float:
        """Seconds of processor time so far that are not this contender's own."""
        return 0.0

    def counted(self) -> dict[str, float]:
        """What was asked of AWS in the last round."""
        return {}


class FedContender(Contender):
    """A contender that is called, as opposed to one that fetches its ticks itself."""

    @abstractmethod
    def feed(self, prepared: Any) -> None:
        """Find the anomalies in one round."""

    def serve(self, rounds: Iterator[Any]) -> None:
        """Feed round after round."""
        for prepared in rounds:
            self.feed(prepared)


def rounds(contender: Contender, ticks: workload.Ticks, orders: TextIO, answers: TextIO) -> Iterator[Any]:
    """What to feed, as ordered line by line; answers after each what processor time it took."""
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in orders:
        order = json.loads(line)
        fed = ticks.polls(order["start"], order["stop"])
        prepared = contender.prepare(fed, order["invocation_polls"])
        contender.found.clear()
        gc.collect()
        off, began = contender.off_the_clock(), time.process_time()
        yield prepared
        cpu = time.process_time() - began - (contender.off_the_clock() - off)
        answer = {
            "cpu": cpu,
            "ticks": len(fed),
            "found": workload.digest(contender.found),
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            **contender.counted(),
        }
        print(json.dumps(answer), file=answers, flush=True)


def run(contender: Contender, path: Path) -> None:
    """Serve until the orders end. Whatever a contender prints goes to the errors, not among the answers."""
    answers, sys.stdout = sys.stdout, sys.stderr
    contender.serve(rounds(contender, workload.Ticks.load(path), sys.stdin, answers))
