"""``stock-monitor detect``: ticks in, scores out, line by line."""

from __future__ import annotations

import os
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_infra.operations.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from producers.recorded_rows import RecordedTick
    from producers.recordings import RejectedTick
    from stream_infra.operations.offline.lines import LineDetector

app = typer.Typer()
_READ_BYTES = 1 << 16
_TICKS_AT_ONCE = 5000


@app.command()
def detect(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="Recorded ticks (.csv, .jsonl, also .gz; .parquet); without it, or as -, standard input.",
            metavar="FILE",
        ),
    ] = None,
    threshold: Annotated[
        str,
        typer.Option(
            "--threshold",
            help="A number, or JSON as in the parameter /stock-tracker/threshold.",
            metavar="VALUE",
        ),
    ] = "2.5",
) -> None:
    """Score ticks: print one line of JSON for each; lines of standard input are answered at once.

    A tick is {"ts": epoch ms, "symbol", "price", "bid", "ask", "volume" (of this tick) or "day_volume"}; bid, ask
    and volumes may be null or left out. A line is {"score", "flag", "kind"}: flag is true where an anomaly
    begins, then with a severity and an explanation. A tick that cannot be used has an "error" instead, and
    the exit code is 1 at the end.

    Example: stock-monitor detect ticks.jsonl.gz | jq -r 'select(.flag) | .explanation'
    """
    from consumers.contracts.wording import counted  # noqa: PLC0415  --help must not pay for it
    from consumers.stream.thresholds import Threshold  # noqa: PLC0415
    from stream_infra.operations.offline.lines import LineDetector  # noqa: PLC0415

    detector = LineDetector(Threshold.parse(threshold))
    if file is None or str(file) == "-":
        _serve(detector)
    else:
        _read(detector, file)
    if detector.rejected:
        raise InputError(
            f"{counted(detector.rejected, 'tick')} could not be used: see the lines with an error"
        )
    if not detector.used:
        raise InputError("standard input held no tick", allowed="one tick a line, as JSON: see detect --help")


def _read(detector: LineDetector, file: Path) -> None:
    ticks = _in_order(file)
    while part := list(islice(ticks, _TICKS_AT_ONCE)):
        _write(detector.judge_ticks(part))


def _in_order(file: Path) -> Iterator[RecordedTick | str]:
    """Yield ticks, and in their places the reasons of those that cannot be used."""
    from stream_infra.operations.recordings import ticks_of  # noqa: PLC0415

    rejected: list[RejectedTick] = []
    for tick in ticks_of(file, rejected.append):
        yield from map(str, rejected)
        rejected.clear()
        yield tick
    yield from map(str, rejected)


def _serve(detector: LineDetector) -> None:
    """Respond to what is there without waiting for more, so that a program can go in lock step."""
    unfinished, is_first = b"", True
    while data := os.read(sys.stdin.fileno(), _READ_BYTES):
        if is_first and (other := _other_format(data)):
            raise InputError(
                f"standard input {other}",
                allowed="one tick a line, as JSON; give another file by its name",
            )
        is_first = False
        *lines, unfinished = (unfinished + data.replace(b"\r", b"\n")).split(b"\n")
        _write(detector.judge([line for line in lines if line.strip()]))
    _write(detector.judge([unfinished] if unfinished.strip() else []))


def _other_format(data: bytes) -> str | None:
    """Return what a file is that was piped instead of named, by how it begins; each of its lines would be an error."""
    from producers.recordings import other_form  # noqa: PLC0415  --help must not pay for it

    if form := other_form(data[:64]):
        return form.partition(",")[0]
    header = data.splitlines()[0].lower()
    return "is CSV" if b"symbol" in header and b"price" in header and b"{" not in header else None


def _write(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()
