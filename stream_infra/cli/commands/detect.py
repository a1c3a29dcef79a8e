"""``stock-monitor detect``: ticks in, scores out, line by line."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from stream_infra.operations.errors import InputError

if TYPE_CHECKING:
    from stream_infra.operations.offline.tick_lines import LineDetector

app = typer.Typer()
_READ_BYTES = 1 << 16


@app.command()
def detect(
    threshold: Annotated[
        str, typer.Option("--threshold", help="As /stock-tracker/threshold holds it.", metavar="VALUE")
    ] = "2.5",
) -> None:
    """Judge ticks that come as JSON lines; answer every line with one JSON line, as soon as it is there.

    A tick is {"ts": epoch ms, "symbol", "price", "bid", "ask", "volume" (of this tick) or "day_volume"}; bid, ask
    and volumes may be null or left out. An answer is {"score", "flag", "kind"}: flag is true where an anomaly
    begins, then with a severity and an explanation. A line that cannot be used is answered with an "error", and
    the exit code is 1 at the end.

    Example: zcat ticks.jsonl.gz | stock-monitor detect | jq -r 'select(.flag) | .explanation'
    """
    from consumers.stream.thresholds import Threshold, ThresholdError  # noqa: PLC0415  --help must not pay for it
    from stream_infra.operations.offline.tick_lines import LineDetector  # noqa: PLC0415

    try:
        detector = LineDetector(Threshold.parse(threshold))
    except ThresholdError as error:
        raise InputError(f"--threshold: {error}") from error
    _serve(detector)
    if detector.refused:
        raise InputError(f"{detector.refused} of the lines could not be used: see the answers with an error")


def _serve(detector: LineDetector) -> None:
    """Answer what is there without waiting for more, so that a program can go in lock step."""
    unfinished = b""
    while data := os.read(sys.stdin.fileno(), _READ_BYTES):
        *lines, unfinished = (unfinished + data).split(b"\n")
        _answer(detector, lines)
    _answer(detector, [unfinished])


def _answer(detector: LineDetector, lines: list[bytes]) -> None:
    given = [line for line in lines if line.strip()]
    for answer in detector.judge(given):
        sys.stdout.write(answer + "\n")
    sys.stdout.flush()
