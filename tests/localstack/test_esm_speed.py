"""How fast the runner is, and what it costs while nothing happens. Figures: docs/testing.md."""

import logging
import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.localstack.conftest import Lab, Runner

logger = logging.getLogger(__name__)
pytestmark = pytest.mark.speed


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_record_reaches_the_handler_within_150_ms(
    own_lab: Lab, start_runner: Callable[..., Runner]
) -> None:
    name = "esm-latency"
    stream = own_lab.stream(name)
    own_lab.function(name, "return None")
    uuid = own_lab.mapping(name, stream)
    start_runner(own_lab, "--function", name)
    own_lab.await_polling(uuid)
    dice, put = random.Random(1), []
    for number in range(41):
        put.append(time.time())
        own_lab.put(name, ("key", b"record"))

        def delivered(before: int = number) -> bool:
            return len(own_lab.deliveries(name)) > before

        own_lab.eventually(delivered)
        time.sleep(dice.uniform(0.0, 0.3))
    started = [delivery["started"] for delivery in own_lab.deliveries(name)]
    warm = sorted(later - earlier for earlier, later in zip(put[1:], started[1:], strict=True))
    logger.info("put to handler: p50 %.0f ms, p95 %.0f ms", statistics.median(warm) * 1000, warm[37] * 1000)
    assert statistics.median(warm) <= 0.150


def drained(own_lab: Lab, start_runner: Callable[..., Runner], name: str, count: int) -> float:
    """Records a second at which a new runner empties a stream that holds `count` of them."""
    stream = own_lab.stream(name)
    own_lab.function(name, "return None")
    for start in range(0, count, 500):
        own_lab.put(name, *[(str(number % 97), b"x" * 100) for number in range(start, start + 500)])
    own_lab.mapping(name, stream, BatchSize=1000)
    runner = start_runner(own_lab, "--function", name)

    def sizes() -> list[int]:
        return [len(delivery["event"]["Records"]) for delivery in own_lab.deliveries(name)]

    own_lab.eventually(lambda: sum(sizes()) == count, seconds=40)
    started = [delivery["started"] for delivery in own_lab.deliveries(name)]
    runner.stop()
    rate = (count - sizes()[-1]) / (started[-1] - started[0])
    logger.info("drained %.0f records/s in batches of %d", rate, max(sizes()))
    return float(rate)


def test_5000_records_a_second_are_drained(own_lab: Lab, start_runner: Callable[..., Runner]) -> None:
    rates = (drained(own_lab, start_runner, f"esm-drain-{attempt}", 20_000) for attempt in range(3))
    assert any(rate >= 5_000 for rate in rates), "in three attempts, on a machine that runs other tests too"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="CPU time is read from /proc, as on Linux")
def test_an_idle_runner_takes_less_than_3_percent_of_a_core(
    own_lab: Lab, start_runner: Callable[..., Runner]
) -> None:
    name = "esm-idle"
    stream = own_lab.stream(name)
    own_lab.function(name, "return None")
    uuid = own_lab.mapping(name, stream)
    runner = start_runner(own_lab, "--function", name)
    own_lab.await_polling(uuid)
    time.sleep(16)  # it polls less often after 15 s without a record
    began, before = time.monotonic(), cpu_seconds(runner.process.pid)
    time.sleep(10)
    share = (cpu_seconds(runner.process.pid) - before) / (time.monotonic() - began)
    logger.info("idle: %.1f %% of a core", share * 100)
    assert share < 0.03
