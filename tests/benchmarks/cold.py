"""Processor time until a function can take its first event, each time in a new process."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_TIMED = """
import time
began = time.process_time()
{code}
print(time.process_time() - began)
"""
# What the first invocation needs as well: settings, warm state, clients.
OURS = "import consumers.detector.handler; consumers.detector.handler._detector()"
TYPICAL = """
import boto3, pydantic, aws_kinesis_agg.deaggregator
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.utilities.batch import BatchProcessor
boto3.resource("dynamodb")
"""
WITH_PANDAS = "import pandas" + TYPICAL
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_DEFAULT_REGION": "us-east-1",
    "POWERTOOLS_TRACE_DISABLED": "1",
    "POWERTOOLS_SERVICE_NAME": "bench",
    "POWERTOOLS_METRICS_NAMESPACE": "bench",
    "ANOMALIES_TABLE": "anomalies",
    "WINDOWS_TABLE": "windows",
    "CHARTS_TABLE": "charts",
    "DATA_BUCKET": "data",
    "BUS_NAME": "bus",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def seconds(python: Path, code: str) -> float:
    """Of one start."""
    environment = {**os.environ, **_ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        [str(python), "-W", "ignore", "-c", _TIMED.format(code=code)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return float(answer.stdout.split()[-1])


def in_turns(cases: dict[str, tuple[Path, str]], rounds: int) -> dict[str, list[float]]:
    """Starts in turns, after one that fills the caches."""
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, (python, code) in cases.items():
            took = seconds(python, code)
            if number:
                taken[name].append(took)
    return taken
