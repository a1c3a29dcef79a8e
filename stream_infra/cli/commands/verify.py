"""``stock-monitor verify``: prove that a running deployment works, end to end."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from stream_infra.cli import options
from stream_infra.operations.endpoints import Endpoints, resolve

if TYPE_CHECKING:
    from stream_infra.operations.facts import MonitorFacts
    from stream_infra.operations.verify.judgement import StepResult

app = typer.Typer()


@app.command()
def verify(as_json: options.AsJson = False, aws: options.Aws = False) -> None:
    """Send a recording through the running monitor, check each step up to a message, and delete what was made.

    It takes up to two minutes and works at any hour, also while the market is closed. Subscribers get one test message
    and the message of one test alarm. A step that fails names the cause and the remedy; the exit code is then 1. Ctrl-C
    deletes what was made, too.

    Example: stock-monitor verify --aws --json | jq -r '.steps[] | select(.passed | not) | .causes[0].remedy'
    """
    if not prove(resolve(aws), as_json=as_json):
        raise typer.Exit(1)


def prove(endpoints: Endpoints, *, as_json: bool) -> bool:
    """Make the proof and print it; return whether it was made."""
    from stream_infra.operations.gather import Gatherer  # noqa: PLC0415  --help must not pay for it
    from stream_infra.operations.verify.judgement import passed  # noqa: PLC0415
    from stream_infra.operations.verify.run import verify as steps  # noqa: PLC0415

    def gather() -> MonitorFacts:
        return Gatherer(endpoints, datetime.now(UTC)).facts(thorough=True)

    made = []
    with options.working("Verifying", quiet=as_json), closing(steps(endpoints, gather)) as results:
        for result in results:
            made.append(result)
            if not as_json:
                _print(result)
    if as_json:
        typer.echo(json.dumps({"passed": passed(made), "steps": [_as_dict(result) for result in made]}))
    elif passed(made):
        typer.secho(f"Proved in {sum(result.seconds for result in made):.0f} s.", fg="green")
    return passed(made)


def _print(result: StepResult) -> None:
    from stream_infra.cli.text import one_line  # noqa: PLC0415  --help must not pay for it

    word, colour = ("✓", "green") if result.passed else ("✗", "red")
    typer.secho(f"{word} {one_line(result.detail)} ({result.name}, {result.seconds:.1f} s)", fg=colour)
    for cause in result.causes:
        typer.secho(f"  {one_line(f'{cause.cause}: {cause.finding}')}", bold=True)
        typer.echo(f"  cause   {one_line(cause.because)}")
        typer.echo(f"  remedy  {one_line(cause.remedy)}")
        typer.echo(f"  runbook {cause.as_dict()['runbook']}")


def _as_dict(result: StepResult) -> dict[str, object]:
    return {
        **result._asdict(),
        "seconds": round(result.seconds, 1),
        "causes": [cause.as_dict() for cause in result.causes],
    }
