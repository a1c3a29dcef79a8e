"""``stock-monitor doctor``: the daily checks in one go, with the cause of what is wrong and the remedy."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from stream_infra.cli import options
from stream_infra.operations.endpoints import resolve

if TYPE_CHECKING:
    from stream_infra.operations.doctor.diagnosis import Diagnosis

app = typer.Typer()


@app.command()
def doctor(as_json: options.AsJson = False, aws: options.Aws = False) -> None:
    """Examine every part; for each problem name the cause, the remedy and the section of the runbook.

    Exit code 1 if something has failed; 0 if there are warnings only.

    Example: stock-monitor doctor --json | jq -r '.diagnoses[] | .finding + " -> " + .remedy'
    """
    from stream_infra.operations.doctor import examine  # noqa: PLC0415  --help must not pay for it
    from stream_infra.operations.doctor.diagnosis import healthy  # noqa: PLC0415
    from stream_infra.operations.gather import Gatherer  # noqa: PLC0415

    endpoints = resolve(aws)
    with options.working("Examining", quiet=as_json):
        diagnoses = examine(Gatherer(endpoints, datetime.now(UTC)).facts(thorough=True))
    if as_json:
        found = [diagnosis.as_dict() for diagnosis in diagnoses]
        typer.echo(json.dumps({"healthy": healthy(diagnoses), "diagnoses": found}))
    else:
        _print(diagnoses)
    if not healthy(diagnoses):
        raise typer.Exit(1)


def _print(diagnoses: list[Diagnosis]) -> None:
    from rich.text import Text  # noqa: PLC0415

    from consumers.contracts.wording import counted  # noqa: PLC0415
    from stream_infra.cli.text import console as new_console  # noqa: PLC0415
    from stream_infra.cli.text import printable  # noqa: PLC0415

    console = new_console()
    for found in diagnoses:
        word, colour = ("FAILED", "bold red") if found.severity == "failed" else ("warning", "yellow")
        if found.follows_from:
            follows = ", ".join(found.follows_from)
            console.print(Text(printable(f"  {found.part}: {found.finding} (follows from {follows})"), "dim"))
            continue
        console.print(Text(f"{word}  ", colour).append(printable(f"{found.part}: {found.finding}"), "bold"))
        console.print(Text(printable(f"  cause   {found.because}")))
        console.print(Text(f"  remedy  {found.remedy}"))
        console.print(Text(f"  runbook {found.as_dict()['runbook']}", "dim"))
    causes = sum(found.severity == "failed" and not found.follows_from for found in diagnoses)
    warnings = sum(found.severity == "warning" for found in diagnoses)
    if causes:
        console.print(Text(f"{causes} failed, {counted(warnings, 'warning')}.", "bold red"))
    elif warnings:
        console.print(Text(f"All works; {counted(warnings, 'warning')}.", "yellow"))
    else:
        console.print(Text("All is well.", "green"))
