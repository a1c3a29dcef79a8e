"""``stock-monitor status``: what works, how stale it is, and what to do."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from stream_infra.cli import options
from stream_infra.operations.endpoints import resolve

if TYPE_CHECKING:
    from stream_infra.operations.health import Finding

app = typer.Typer()
_SIGNS = {"ok": ("ok", "green"), "idle": ("idle", "yellow"), "failed": ("FAILED", "bold red")}


@app.command()
def status(as_json: options.AsJson = False, aws: options.Aws = False) -> None:
    """Show the state of each part, the age of its data, and the remedy. Exit code 1 if anything is wrong.

    Example: stock-monitor status --json | jq '.findings[] | select(.state == "failed")'
    """
    from stream_infra.operations import health  # noqa: PLC0415  --help must not pay for it
    from stream_infra.operations.gather import Gatherer  # noqa: PLC0415

    endpoints = resolve(aws)
    with options.working("Examining", quiet=as_json):
        findings = health.judge(Gatherer(endpoints, datetime.now(UTC)).facts())
    if as_json:
        report = {
            "healthy": health.healthy(findings),
            "findings": [finding.as_dict() for finding in findings],
        }
        typer.echo(json.dumps(report))
    else:
        _print(findings)
    if not health.healthy(findings):
        raise typer.Exit(1)


def _print(findings: list[Finding]) -> None:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from consumers.contracts.wording import counted  # noqa: PLC0415
    from stream_infra.cli.text import console, printable  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, show_header=False)
    for overflow in ("ellipsis", "ellipsis", "fold"):
        table.add_column(overflow=overflow, no_wrap=overflow == "ellipsis")
    for finding in findings:
        word, colour = _SIGNS[finding.state]
        table.add_row(finding.part, Text(word, colour), Text(printable(finding.detail)))
        if finding.action:
            table.add_row("", "", Text(f"-> {finding.action}", "dim"))
    failed = sum(finding.state == "failed" for finding in findings)
    out = console()
    out.print(table)
    out.print(
        Text("All works.", "green")
        if not failed
        else Text(f"{counted(failed, 'part')} with a problem.", "bold red")
    )
