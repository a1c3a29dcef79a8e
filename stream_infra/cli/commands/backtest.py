"""``stock-monitor backtest``: what would have fired in recordings."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.contracts.wording import counted, without_aside
from stream_infra.cli import options
from stream_infra.cli.commands.history import Since, Until, fetch
from stream_infra.cli.text import clock, print_table, time_of
from stream_infra.operations.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stream_infra.operations.offline.backtest import Outcome, Recording
    from stream_infra.operations.offline.labels import Evaluation, KindCounts, Label

app = typer.Typer()


@app.command()
def backtest(
    what: Annotated[
        list[str],
        typer.Argument(
            help="Recorded ticks (.csv, .jsonl, also .gz; .parquet), or with --source tickers.",
            metavar="FILE|TICKER",
        ),
    ],
    *,
    source: Annotated[
        str | None, typer.Option(help="Fetch minute bars of the tickers from this source.", metavar="NAME")
    ] = None,
    since: Since = None,
    until: Until = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Keep the fetched bars: .csv or .parquet.", metavar="FILE"),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option("--threshold", help="May be repeated, to compare. [default: 2.5]", metavar="VALUE"),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", help="Write a chart of prices and anomalies at the first threshold.", metavar="FILE"
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            help="CSV of known events (ticker, start, end, kind[, accept]); show precision and recall.",
            metavar="FILE",
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Show what the detectors would have found in recordings; no monitor is needed.

    Rows that cannot be used are left out and named; the exit code is 1 then.

    Example: stock-monitor backtest october.csv.gz --threshold 2.5 --threshold 4 --html october.html

    Example: stock-monitor backtest BTC-USD --source coinbase --from 7d
    """
    from consumers.stream.thresholds import Threshold  # noqa: PLC0415  --help must not pay for it
    from stream_infra.operations.offline import backtest as core  # noqa: PLC0415
    from stream_infra.operations.offline.labels import as_dict as labels_as_dict  # noqa: PLC0415
    from stream_infra.operations.offline.labels import read_labels  # noqa: PLC0415

    thresholds = [Threshold.parse(text) for text in threshold or ["2.5"]]
    recording = core.Recording(keeps_prices=html is not None or labels is not None)
    with _recorded(what, source, since, until, output) as files, _progress(recording):
        outcomes = core.run(files, thresholds, recording)
    events = read_labels(labels, recording) if labels is not None else []
    if as_json:
        report = core.as_dict(recording, outcomes)
        if events:
            for one, evaluation in zip(
                report["thresholds"], _evaluated(recording, outcomes, events), strict=True
            ):
                one["evaluation"] = labels_as_dict(evaluation)
        typer.echo(json.dumps(report))
    else:
        _print(recording, outcomes)
        if events:
            _print_evaluation(recording, outcomes, events)
    if html is not None:  # an error costs nothing of what was found
        _write(html, core.picture(recording, outcomes[0]))
    options.exit_if_left_out(recording.rejected)


@contextmanager
def _recorded(
    what: Sequence[str], source: str | None, since: str | None, until: str | None, output: Path | None
) -> Iterator[list[Path]]:
    """Give the files that were named, or one with what is fetched of the tickers that were."""
    if source is None:
        for option, value in (("-o", output), ("--from", since), ("--to", until)):
            if value is not None:
                raise InputError(f"{option} is given without --source: there is nothing to fetch")
        yield [Path(name) for name in what]
        return
    with TemporaryDirectory() as folder:
        file = output or Path(folder, "minutes.csv")
        fetch(what, file, source=source, since=since, until=until)
        yield [file]


@contextmanager
def _progress(recording: Recording) -> Iterator[None]:
    """On a terminal, how many ticks are done."""
    from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    class Ticks(ProgressColumn):
        def render(self, task: Task) -> Text:
            del task
            return Text(f"{recording.ticks:,} ticks")

    from stream_infra.cli.text import console as new_console  # noqa: PLC0415

    console = new_console(errors=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), Ticks())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task("detecting", total=None)
        yield


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", where=str(file)) from error


def _print(recording: Recording, outcomes: Sequence[Outcome]) -> None:
    days = max(1, len(recording.days))
    if len(outcomes) == 1 and outcomes[0].anomalies:
        print_table(
            (
                (
                    time_of(anomaly.timestamp),
                    anomaly.severity,
                    anomaly.kind,
                    without_aside(anomaly.explanation),
                )
                for anomaly in outcomes[0].anomalies
            ),
            header=("time", "severity", "kind", "what"),
        )
        typer.echo()
    print_table(
        (
            (
                outcome.threshold,
                f"{len(outcome.anomalies):,}",
                f"{len(outcome.anomalies) / days:.2f}",
                ", ".join(f"{kind} {count}" for kind, count in outcome.by_kind().items()) or "none",
            )
            for outcome in outcomes
        ),
        header=("threshold", "anomalies", "per symbol and day", "kinds"),
        right=(0, 1, 2),
    )
    typer.echo(
        f"{counted(recording.ticks, 'tick')} of {counted(len(recording.tickers), 'symbol')},"
        f" {counted(len(recording.days), 'symbol-day')}"
    )


def _evaluated(
    recording: Recording, outcomes: Sequence[Outcome], events: Sequence[Label]
) -> list[Evaluation]:
    from stream_infra.operations.offline.labels import evaluate  # noqa: PLC0415

    return [evaluate(events, outcome.anomalies, len(recording.days)) for outcome in outcomes]


def _print_evaluation(recording: Recording, outcomes: Sequence[Outcome], events: Sequence[Label]) -> None:
    """Print how well each threshold found the labels, and by kind for the first one."""
    found = _evaluated(recording, outcomes, events)
    header = ("labels", "found", "recall", "false", "precision", "F1")
    numbers = tuple(range(1, 8))
    typer.echo()
    print_table(
        (
            (outcome.threshold, *_cells(one.total), f"{one.false_per_day:.2f}")
            for outcome, one in zip(outcomes, found, strict=True)
        ),
        header=("threshold", *header, "false a day"),
        right=(0, *numbers),
    )
    typer.echo()
    by_kind = found[0].by_kind.items()
    print_table(
        ((kind, *_cells(counts)) for kind, counts in by_kind), header=("kind", *header), right=numbers
    )
    if found[0].missed:
        typer.echo(f"\nNot found at threshold {outcomes[0].threshold}:")
        print_table(
            (f"line {label.line}", label.ticker, clock(label.start_ms), label.kind)
            for label in found[0].missed
        )


def _cells(counts: KindCounts) -> tuple[str, ...]:
    parts = ("-" if part is None else f"{part:.2f}" for part in (counts.recall, counts.precision, counts.f1))
    recall, precision, f1 = parts
    return (f"{counts.labels:,}", f"{counts.found:,}", recall, f"{counts.false:,}", precision, f1)
