"""``stock-monitor rollback``: let a function's triggers call an older version of its code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from stream_infra.cli import options
from stream_infra.cli.text import time_of
from stream_infra.operations.endpoints import resolve

if TYPE_CHECKING:
    from stream_infra.operations.versions import LambdaVersions

app = typer.Typer()


@app.command()
def rollback(
    function: Annotated[
        str | None,
        typer.Argument(help="The function to roll back; without it, list all functions.", metavar="FUNCTION"),
    ] = None,
    to: Annotated[
        int | None,
        typer.Option(
            "--to",
            help="Version to put live; without it, the newest before the live one.",
            min=1,
            metavar="N",
        ),
    ] = None,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Put an older version of a function live, at once; without a function, list the versions.

    Its triggers then call the code and environment of that version; data, parameters and templates do not change. The
    next deployment that changes the function replaces it. To go forward again, name the version with --to.

    Example: stock-monitor rollback stock-detector
    """
    from stream_infra import names  # noqa: PLC0415  --help must not pay for it
    from stream_infra.operations import versions  # noqa: PLC0415  --help must not pay for it

    client = resolve(aws).client("lambda")
    if function is None:
        functions = [versions.versions_of(client, name) for name in names.FUNCTIONS]
        if as_json:
            typer.echo(json.dumps([known.as_dict() for known in functions]))
        else:
            typer.echo("\n".join(_lines(functions)))
        return
    before = versions.versions_of(client, function)
    after = versions.roll_back(client, before, versions.target_of(before, to))
    if as_json:
        typer.echo(json.dumps({"before": before.live, **after.as_dict()}))
    else:
        typer.echo(f"{function}: version {after.live} is live, before it was {before.live}.")


def _lines(functions: list[LambdaVersions]) -> list[str]:
    lines = []
    for known in functions:
        shifting = f", shifting to {known.shifting_to}" if known.shifting_to is not None else ""
        lines.append(f"{known.function}: version {known.live} is live{shifting}")
        lines += [
            f"  {'->' if version.number == known.live else '  '} {version.number:>4}  {time_of(version.published)}"
            f"  code {version.code[:12]}"
            for version in known.versions
        ]
    return lines
