"""10,000 events in a minute through the handler, by two functions at once: none lost, memory flat, few messages."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.consumers.alerts.pump import ENVIRONMENT
from tests.json_types import Json

HERE = Path(__file__).parent
WORKERS = 2
GROWTH_KB = 8_192


@dataclass(frozen=True)
class Load:
    """What the functions and the sweeps of two hours said, and what the topic got."""

    functions: list[Json]
    sweeps: Json
    published: list[Json]


@pytest.fixture
def endpoint() -> Iterator[str]:
    """Where the store answers."""
    with subprocess.Popen([sys.executable, HERE / "store_server.py"], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.terminate()


def _run(endpoint: str, folder: Path, events: int, tickers: int) -> Load:
    start = f"--start-ms={round(time.time() * 1000)}"

    def pump(answer: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(HERE / "pump.py"), str(folder / answer), start, *arguments]
        environment = {**ENVIRONMENT, "AWS_ENDPOINT_URL": endpoint}
        with (folder / f"{answer}.log").open("w") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def finish(answer: str, process: subprocess.Popen[bytes]) -> Json:
        assert process.wait(timeout=300) == 0, (folder / f"{answer}.log").read_text()[-2000:]
        found: Json = json.loads((folder / answer).read_text())
        return found

    shares = [f"--events={events}", f"--tickers={tickers}", f"--workers={WORKERS}"]
    running = {f"{n}.json": pump(f"{n}.json", *shares, f"--worker={n}") for n in range(WORKERS)}
    functions = [finish(answer, process) for answer, process in running.items()]
    sweeps = finish("sweeps.json", pump("sweeps.json", "--sweep"))
    with urlopen(endpoint) as answer:
        return Load(functions, sweeps, json.load(answer)["published"])


@pytest.mark.parametrize(
    ("events", "tickers"),
    # The whole minute takes a minute of two cores: `make bench` sends it.
    [pytest.param(10_000, 500, marks=pytest.mark.speed), (2_500, 500), (2_500, 10)],
)
def test_events_of_a_minute(endpoint: str, tmp_path: Path, events: int, tickers: int) -> None:
    load = _run(endpoint, tmp_path, events, tickers)
    print(json.dumps({"functions": load.functions, "sweeps": load.sweeps}))  # noqa: T201  the figures, with -s
    assert sum(one["dead"] for one in load.functions) == 0
    assert sum(one["taken"] for one in load.functions) == events * 51 // 50
    growth = [one["peak_kb"] - one["peak_kb_after_1000"] for one in load.functions]
    assert max(growth) < GROWTH_KB
    assert len({message["id"] for message in load.published}) == len(load.published)
    # They come within a minute, of more tickers than make a market-wide move: one incident of each subject.
    at_once = [message for message in load.published if "subject" in message]
    wide = {message["subject"] for message in at_once if message["subject"] in {"market", "feed"}}
    assert wide == ({"market", "feed"} if tickers == 500 else wide)
    # Of few tickers each has one message of its own, beside those of the market and the feed.
    assert len(at_once) < (tickers if tickers == 500 else tickers + 3)
    # What is medium or low is in one of the eight digests that are sent at once, or in those of the two hours that are
    # swept.
    assert len(load.published) - len(at_once) <= 8 + 2
