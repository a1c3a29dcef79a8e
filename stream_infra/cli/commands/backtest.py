"""``stock-monitor backtest``: what would have fired in recordings."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from stream_infra.cli import options
from stream_infra.operations.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from consumers.stream.thresholds import Threshold
    from producers.sources.replay import RejectedTick
    from stream_infra.operations.offline.backtest import Outcome, Recording

app = typer.Typer()
_SHOWN_REFUSALS = 5


@app.command()
def backtest(
    files: Annotated[list[Path], typer.Argument(help="Recorded ticks: .csv, .jsonl (also .gz), .parquet.")],
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            "--threshold", help="Give several to see the trade-off. [default: 2.5]", metavar="VALUE"
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Draw prices with marks, at the first threshold.", metavar="FILE"),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Say what the detectors would have found in recordings; no monitor is needed.

    Example: stock-monitor backtest october.csv.gz --threshold 2.5 --threshold 4 --html october.html
    """
    from producers.sources.replay import ReplayError  # noqa: PLC0415  --help must not pay for it
    from stream_infra.operations.offline import backtest as core  # noqa: PLC0415

    thresholds = [_threshold(text) for text in threshold or ["2.5"]]
    recording = core.Recording()
    try:
        with _progress("reading", recording):
            recording.read(files)
        outcomes = [_run(files, one) for one in thresholds]
    except ReplayError as error:
        raise InputError(str(error)) from error
    if html is not None:
        _write(html, core.picture(recording, outcomes[0]))
    if as_json:
        typer.echo(json.dumps(core.as_dict(recording, outcomes)))
    else:
        _print(recording, outcomes)


def _run(files: Sequence[Path], threshold: Threshold) -> Outcome:
    from stream_infra.operations.offline import backtest as core  # noqa: PLC0415

    counting: list[Any] = []
    with _progress(f"threshold {threshold.default:g}", counting):
        return core.run(files, threshold, counting.append)


def _threshold(text: str) -> Threshold:
    from consumers.stream.thresholds import Threshold, ThresholdError  # noqa: PLC0415

    try:
        return Threshold.parse(text)
    except ThresholdError as error:
        raise InputError(f"--threshold: {error}") from error


@contextmanager
def _progress(what: str, counting: Any) -> Iterator[None]:
    """On a terminal, how many ticks are done; `counting` has `ticks`, or holds what has."""
    from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    class Ticks(ProgressColumn):
        def render(self, task: Task) -> Text:
            del task
            done = sum(one.ticks for one in (counting if isinstance(counting, list) else [counting]))
            return Text(f"{done:,} ticks")

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), Ticks())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task(what, total=None)
        yield


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error}") from error


def _print(recording: Recording, outcomes: Sequence[Outcome]) -> None:
    console = Console(highlight=False)
    days = max(1, len(recording.days))
    if len(outcomes) == 1:
        _print_anomalies(console, outcomes[0])
    table = Table(box=None, pad_edge=False)
    for name in ("threshold", "anomalies", "per symbol and day", "kinds"):
        table.add_column(name, justify="left" if name == "kinds" else "right")
    for outcome in outcomes:
        kinds = ", ".join(f"{kind} {count}" for kind, count in outcome.by_kind().items())
        count = len(outcome.anomalies)
        table.add_row(outcome.threshold, f"{count:,}", f"{count / days:.2f}", kinds or "none")
    console.print(table)
    console.print(
        f"{recording.ticks:,} ticks of {len(recording.prices)} symbols on {len(recording.days)} symbol-days"
    )
    _print_refused(outcomes[0].refused)


def _print_anomalies(console: Console, outcome: Outcome) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("time (UTC)", "severity", "kind", "what"):
        table.add_column(name, no_wrap=name != "what", overflow="fold")
    for anomaly in outcome.anomalies:
        time = anomaly.timestamp.partition("#")[0][:19].replace("T", " ")
        table.add_row(time, anomaly.severity, anomaly.kind, anomaly.explanation)
    if outcome.anomalies:
        console.print(table)
        console.print()


def _print_refused(refused: Sequence[RejectedTick]) -> None:
    if not refused:
        return
    typer.secho(f"{len(refused):,} rows were left out:", fg="yellow", err=True)
    for row in refused[:_SHOWN_REFUSALS]:
        typer.echo(f"  {row}", err=True)
    if len(refused) > _SHOWN_REFUSALS:
        typer.echo(f"  and {len(refused) - _SHOWN_REFUSALS:,} more", err=True)
