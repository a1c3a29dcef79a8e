"""``stock-monitor config``: the settings of a deployment that are in force, and where each comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from stream_infra.cli import options

app = typer.Typer()


@app.command()
def config(
    deployment: Annotated[
        str, typer.Argument(help="Its name in monitor.toml.", metavar="DEPLOYMENT")
    ] = "local",
    as_json: options.AsJson = False,
) -> None:
    """Check all of monitor.toml and show the settings of a deployment. Exit code 1 if one cannot work.

    Example: stock-monitor config prod --json
    """
    from stream_infra.cli.text import print_table  # noqa: PLC0415  --help must not pay for it
    from stream_infra.monitor_toml import FILE, check_all, find_file, load  # noqa: PLC0415

    path = find_file(Path.cwd())
    settings = load(deployment, path)
    written = check_all(path).get(deployment, {})
    if as_json:
        typer.echo(json.dumps(settings.model_dump(exclude={"target"})))
        return
    typer.echo(f"[{deployment}] {path or f'(no {FILE} here: all settings have their defaults)'}")
    print_table(
        (name, FILE if name in written else "default", _shown(value))
        for name, value in settings.model_dump(exclude={"target"}).items()
    )
    typer.echo(
        "tickers and threshold are the first ones: stock-monitor watch list and\n"
        "stock-monitor thresholds list show those in force."
    )


def _shown(value: object) -> str:
    """Return a setting as monitor.toml would have it; `-` for what is not set."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        value = ",".join(map(str, value))
    if isinstance(value, dict) and value:
        return json.dumps(value)
    return "-" if value is None or value in ({}, "") else str(value).replace(",", ", ")
