"""The cheap figures of `make bench`, so that they cannot rot: run here with less work and, for time, with more room."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

Json = dict[str, Any]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# Of processor time, on a machine that does other things as well; `make bench` asks for 1,000 and for half.
NAIVE_AT_LEAST = 500.0
# numpy, boto3's resource, Powertools, pydantic and aws-kinesis-agg; `make bench` takes pandas in place of numpy.
IMPORT_AT_MOST = 1.0
# None of them is used in the detector's process, and each would cost its cold start 50 ms or more.
UNUSED = ("pydantic", "pandas", "holidays", "typer", "aws_lambda_powertools.utilities.parser")
_ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}", "OMP_NUM_THREADS": "1"}
_WRITTEN = """
import json, turns
full = turns.compare(turns.Case(5000, 5), ("full",), 1)["full"].answer
print(json.dumps({
    "wcu_per_million": sum(full["write_units"].values()) / full["ticks"] * 1e6, "anomalies": full["found"],
}))
"""
_COMPARED = """
import json, turns
naive = turns.compare(turns.Case(20, 20, 20), ("naive", "powertools"), 1)["naive"]
full = turns.compare(turns.Case(5000, 5), ("committed", "full"), 1)["committed"]
print(json.dumps(naive.median / full.median))
"""


def told(code: str) -> Any:
    """What a program prints, as JSON; it must succeed."""
    answer = subprocess.run(
        [sys.executable, "-c", code], env=_ENVIRONMENT, capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    return json.loads(answer.stdout.splitlines()[-1])


@pytest.mark.speed
def test_a_tick_costs_a_thousandth_of_a_read_and_a_write() -> None:
    assert told(_COMPARED) >= NAIVE_AT_LEAST


def test_write_units_of_a_million_ticks() -> None:
    written = told(_WRITTEN)
    assert written["wcu_per_million"] <= 10_000
    assert not written["anomalies"].startswith("0:")  # what is found is written as well


@pytest.mark.speed
def test_the_detector_starts_in_less_time_than_what_people_import() -> None:
    code = (
        "import json, sys, cold\n"
        "from pathlib import Path\n"
        "python = Path(sys.executable)\n"
        'cases = {"ours": (python, cold.OURS), "typical": (python, "import numpy" + cold.TYPICAL)}\n'
        "print(json.dumps(cold.in_turns(cases, 5)))"
    )
    # The least of each: a neighbour on the same core makes processor time longer, never shorter.
    starts = {name: min(taken) for name, taken in told(code).items()}
    assert starts["ours"] <= IMPORT_AT_MOST * starts["typical"], starts


def test_the_detector_imports_nothing_that_it_does_not_use() -> None:
    imported = told("import json, sys, consumers.detector.handler\nprint(json.dumps(sorted(sys.modules)))")
    assert not set(UNUSED) & set(imported)
