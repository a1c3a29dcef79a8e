"""``stock-monitor endpoints``: where the monitor is."""

from __future__ import annotations

import json

import typer

from stream_infra import options
from stream_infra.endpoints import resolve

app = typer.Typer()


@app.command()
def endpoints(as_json: options.AsJson = False, aws: options.Aws = False) -> None:
    """Show the addresses of the dashboard, the API and the AWS endpoint.

    Example: curl "$(stock-monitor endpoints --json | jq -r .api)/anomalies?limit=5"
    """
    found = resolve(aws).as_dict()
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, address in found.items():
        typer.echo(f"{name:<10} {address or ('AWS itself' if name == 'aws' else 'none')}")
