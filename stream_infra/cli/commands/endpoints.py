"""``stock-monitor endpoints``: where the monitor is."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from stream_infra.cli import options
from stream_infra.operations.endpoints import resolve
from stream_infra.operations.errors import InputError

app = typer.Typer()


@app.command()
def endpoints(
    shell: Annotated[
        bool, typer.Option("--shell", help="Print the shell variables and functions that the runbook uses.")
    ] = False,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Show the addresses of the dashboard, the API and the AWS endpoint.

    With --shell, as variables and functions for bash: eval "$(stock-monitor endpoints --shell)"

    Example: curl "$(stock-monitor endpoints --json | jq -r .api)/anomalies?limit=5"
    """
    if shell and as_json:
        raise InputError("both --shell and --json are given", allowed="one of them")
    resolved = resolve(aws)
    if shell:
        from stream_infra.cli.shell import exports  # noqa: PLC0415  --help must not pay for it

        region = resolved.client("sts").meta.region_name
        typer.echo(exports(resolved, resolved.account(), region))
        return
    found = resolved.as_dict()
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, address in found.items():
        typer.echo(f"{name:<10} {address or ('AWS itself' if name == 'aws' else 'none')}")
