"""``stock-monitor status``: what works, how stale it is, and what to do."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import typer
from rich.console import Console
from rich.text import Text

from stream_infra.cli import options
from stream_infra.operations.endpoints import resolve
from stream_infra.operations.health import Finding, examine, healthy

app = typer.Typer()
_SIGNS = {"ok": ("ok", "green"), "idle": ("idle", "yellow"), "failed": ("FAILED", "bold red")}


@app.command()
def status(as_json: options.AsJson = False, aws: options.Aws = False) -> None:
    """Say of each part whether it works, how stale it is, and what to do. Exit code 1 if anything is wrong.

    Example: stock-monitor status --json | jq '.findings[] | select(.state == "failed")'
    """
    findings = examine(resolve(aws), datetime.now(UTC))
    if as_json:
        report = {"healthy": healthy(findings), "findings": [finding.as_dict() for finding in findings]}
        typer.echo(json.dumps(report))
    else:
        _print(findings)
    if not healthy(findings):
        raise typer.Exit(1)


def _print(findings: list[Finding]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    width = max(len(finding.part) for finding in findings)
    for finding in findings:
        word, colour = _SIGNS[finding.state]
        console.print(
            Text(f"{finding.part:<{width}}  ").append(f"{word:<6}", colour).append(f"  {finding.detail}")
        )
        if finding.action:
            console.print(Text(f"{'':<{width}}          -> {finding.action}", "dim"))
    failed = sum(finding.state == "failed" for finding in findings)
    console.print(
        Text("All works.", "green") if not failed else Text(f"{failed} part(s) need attention.", "bold red")
    )
