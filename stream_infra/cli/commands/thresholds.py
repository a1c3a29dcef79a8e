"""``stock-monitor thresholds``: the scores from which on a tick is an anomaly; list and set them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from producers.symbols import in_capitals
from stream_infra import names
from stream_infra.cli import options
from stream_infra.cli.text import author, say_if_unwatched
from stream_infra.operations.endpoints import resolve

if TYPE_CHECKING:
    from consumers.stream.thresholds import Threshold

app = typer.Typer(no_args_is_help=True)
Ticker = Annotated[str, typer.Option("--ticker", help="Only this ticker; all without it.", metavar="TICKER")]
Kind = Annotated[str, typer.Option("--kind", help="Only this kind; all without it.", metavar="KIND")]


@app.callback()
def thresholds() -> None:
    """List and set the scores at which anomalies begin: the default, by kind, by ticker."""


@app.command("list")
def list_(as_json: options.AsJson = False, aws: options.Aws = False) -> None:
    """List the thresholds in force.

    Example: stock-monitor thresholds list
    """
    from consumers.stores.parameters import ThresholdEditor  # noqa: PLC0415  --help must not pay for it

    _show(ThresholdEditor(resolve(aws).client("ssm"), names.THRESHOLD_PARAMETER).read(), as_json=as_json)


@app.command("set", context_settings={"ignore_unknown_options": True})  # -1 is a number, not an option
def set_(
    value: Annotated[
        float,
        typer.Argument(help="A score from 0.1 to 1000; 2.5 is the calibrated default.", metavar="SCORE"),
    ],
    *,
    ticker: Ticker = "",
    kind: Kind = "",
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Set one threshold; without options the default. It is in force within a minute.

    Example: stock-monitor thresholds set 4 --kind gap --ticker TSLA
    """
    _change(value, ticker, kind, as_json=as_json, aws=aws)


@app.command()
def unset(
    *, ticker: Ticker = "", kind: Kind = "", as_json: options.AsJson = False, aws: options.Aws = False
) -> None:
    """Remove one threshold, so that the next wider one applies; without options reset the default to 2.5.

    Example: stock-monitor thresholds unset --ticker TSLA
    """
    _change(None, ticker, kind, as_json=as_json, aws=aws)


def _change(value: float | None, ticker: str, kind: str, *, as_json: bool, aws: bool) -> None:
    from consumers.stores.parameters import ThresholdEditor  # noqa: PLC0415

    endpoints = resolve(aws)
    editor = ThresholdEditor(endpoints.client("ssm"), names.THRESHOLD_PARAMETER)
    before, after = editor.change(value, ticker, kind, author("thresholds"))
    _show(after, as_json=as_json)
    if not as_json:
        is_other = _plain(after) != _plain(before)
        typer.echo("In force within a minute." if is_other else "Nothing changed: it was so before.")
    if value is not None:
        say_if_unwatched(endpoints, in_capitals(ticker.strip()))


def _plain(threshold: Threshold) -> dict[str, Any]:
    return {"default": threshold.default, "kinds": threshold.kinds, "tickers": threshold.tickers}


def _show(threshold: Threshold, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_plain(threshold)))
        return
    lines = [f"default  {threshold.default:g}"]
    lines += [f"{kind}  {of:g}" for kind, of in threshold.kinds.items()]
    for ticker, of in threshold.tickers.items():
        by_kind = {"": of} if isinstance(of, float) else of
        lines += [f"{' '.join(filter(None, (ticker, kind)))}  {number:g}" for kind, number in by_kind.items()]
    typer.echo("\n".join(lines))
