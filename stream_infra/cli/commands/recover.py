"""``stock-monitor recover``: bring back data and settings, stop and start, each with a proof at its end."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from stream_infra import names
from stream_infra.cli import options
from stream_infra.cli.text import clock, one_line
from stream_infra.operations.endpoints import resolve
from stream_infra.operations.errors import InputError

app = typer.Typer(no_args_is_help=True)
RESTORED = names.named("stock-anomalies-restored")
Source = Annotated[str, typer.Option("--from", help="The table whose data is restored.", metavar="TABLE")]


@app.callback()
def recover() -> None:
    """Restore data and settings; stop and start the monitor. Each command checks its result."""


@app.command()
def backup(
    table: Annotated[
        str, typer.Argument(help="The table to back up.", metavar="TABLE")
    ] = names.ANOMALIES_TABLE,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Make an on-demand backup of a table and wait until it is available.

    Example: stock-monitor recover backup
    """
    from stream_infra.operations.recovery import tables  # noqa: PLC0415  --help must not pay for it

    dynamodb = resolve(aws).client("dynamodb")
    holds = tables.fingerprint(tables.items_of(dynamodb, table))
    with options.working(f"Backing up {table}", quiet=as_json):
        arn = tables.back_up(dynamodb, table, f"{table}-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    answer = {"backup": arn, "count": holds.count, "checksum": holds.checksum}
    _print(answer, f"{table}: {holds.count:,} items when the backup was requested\n{arn}", as_json=as_json)


@app.command()
def table(
    target: Annotated[str, typer.Argument(help="Name of the new table.", metavar="TABLE")] = RESTORED,
    *,
    source: Source = names.ANOMALIES_TABLE,
    backup: Annotated[str | None, typer.Option("--backup", help="ARN of a backup.", metavar="ARN")] = None,
    at: Annotated[
        str | None, typer.Option("--at", help="As of this time (ISO 8601, UTC).", metavar="TIME")
    ] = None,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Restore a table into a new one, as of now or as --at or --backup say, and compare the two.

    Example: stock-monitor recover table --at 2026-11-24T14:30:00Z
    """
    from stream_infra.operations.recovery import tables  # noqa: PLC0415  --help must not pay for it

    dynamodb = resolve(aws).client("dynamodb")
    moment = _time(at)
    with options.working(f"Restoring {source} into {target}", quiet=as_json) as say:
        tables.restore(dynamodb, source, target, backup=backup, at=moment)
        say(f"Comparing {target} with {source}")
        found = tables.compare(dynamodb, source, target)
    _compared(found, source, target, as_json=as_json)


@app.command()
def compare(
    target: Annotated[str, typer.Argument(help="The other table.", metavar="TABLE")] = RESTORED,
    source: Source = names.ANOMALIES_TABLE,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Compare two tables by counts and checksums. Exit code 1 if they differ.

    Example: stock-monitor recover compare stock-anomalies-restored
    """
    from stream_infra.operations.recovery import tables  # noqa: PLC0415  --help must not pay for it

    with options.working(f"Comparing {target} with {source}", quiet=as_json):
        found = tables.compare(resolve(aws).client("dynamodb"), source, target)
    _compared(found, source, target, as_json=as_json)
    if not found.equal:
        raise typer.Exit(1)


@app.command()
def switch(
    target: Annotated[str, typer.Argument(help="The table to use from now on.", metavar="TABLE")],
    alone: Annotated[
        bool, typer.Option("--alone", help="Copy nothing from the table in use before.")
    ] = False,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Let the detector and the API use another table of anomalies.

    After the switch, items that only the table in use before has are copied to the new one; nothing is overwritten.

    Example: stock-monitor recover switch stock-anomalies-restored
    """
    from stream_infra.operations.recovery import switch as switching  # noqa: PLC0415  --help must not pay for it
    from stream_infra.operations.recovery import tables  # noqa: PLC0415

    endpoints = resolve(aws)
    dynamodb, before = endpoints.client("dynamodb"), switching.in_use(endpoints)
    if before == target:
        raise InputError(f"{target} is the table in use already")
    with options.working(f"Pointing the functions to {target}", quiet=as_json) as say:
        switching.switch(endpoints, target)
        say(f"Copying from {before} what {target} lacks")
        copied = 0 if alone else tables.merge(dynamodb, before, target, overwrite=False)
        found = tables.compare(dynamodb, before, target)
    answer = {"from": before, "to": target, "copied": copied, **found.as_dict()}
    text = (
        f"{target} is in use ({found.target.count:,} items); {before} stays as it is ({found.source.count:,})"
    )
    _print(answer, f"{text}; {copied:,} items copied", as_json=as_json)


@app.command()
def merge(
    source: Annotated[str, typer.Argument(help="The restored table.", metavar="TABLE")] = RESTORED,
    target: Annotated[
        str, typer.Option("--into", help="The table to repair.", metavar="TABLE")
    ] = names.ANOMALIES_TABLE,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Write items of a restored table that are missing or different in the other one back to it; newer items stay.

    Example: stock-monitor recover merge stock-anomalies-restored
    """
    from stream_infra.operations.recovery import tables  # noqa: PLC0415  --help must not pay for it

    dynamodb = resolve(aws).client("dynamodb")
    with options.working(f"Writing back to {target}", quiet=as_json):
        written = tables.merge(dynamodb, source, target, overwrite=True)
        found = tables.compare(dynamodb, source, target)
    text = (
        f"{written:,} items written back; of {source} {found.missing + found.different:,} are not in {target}"
    )
    _print({"written": written, **found.as_dict()}, text, as_json=as_json)
    if found.missing or found.different:
        raise typer.Exit(1)


@app.command("object")
def object_(
    key: Annotated[str, typer.Argument(help="Key of the object in the data bucket.", metavar="KEY")],
    version: Annotated[
        str | None,
        typer.Option("--version", help="Version to restore; without it, the previous one.", metavar="ID"),
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="Only list its versions.")] = False,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Restore an earlier version of an object, also of a deleted one.

    Example: stock-monitor recover object raw-data/AAPL/2026/11/24/143000Z.jsonl.gz
    """
    from stream_infra.operations.recovery import objects  # noqa: PLC0415  --help must not pay for it

    endpoints = resolve(aws)
    s3, bucket = endpoints.client("s3"), names.data_bucket(endpoints.account())
    if list_only:
        known = objects.versions(s3, bucket, key)
        lines = [
            f"{found.id}  {clock(round(found.at.timestamp() * 1000))}  "
            + ("deleted" if found.size is None else f"{found.size:,} bytes")
            for found in known
        ]
        answer = [{"version": found.id, "at": found.at.isoformat(), "bytes": found.size} for found in known]
        _print(answer, "\n".join(lines) or "There is no such object.", as_json=as_json)
        return
    restored, checksum = objects.restore(s3, bucket, key, version)
    answer_ = {"key": key, "version": restored, "sha256": checksum}
    _print(answer_, f"{key} is what version {restored} was (SHA-256 {checksum})", as_json=as_json)


@app.command()
def parameter(
    name: Annotated[str, typer.Argument(help="Name of the parameter.", metavar="NAME")],
    version: Annotated[
        int | None,
        typer.Option(
            "--version",
            help="Version to restore; without it, the last usable one that differs.",
            metavar="N",
        ),
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="Only list its versions.")] = False,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Restore an earlier, usable value of a parameter.

    Example: stock-monitor recover parameter /stock-tracker/ticker
    """
    from stream_infra.operations.recovery import parameters  # noqa: PLC0415  --help must not pay for it

    ssm = resolve(aws).client("ssm")
    if list_only:
        known = parameters.history(ssm, name)
        lines = [
            f"{found.version:>4}  {clock(round(found.at.timestamp() * 1000))}  {one_line(found.value[:60])}"
            + (f"  (unusable: {found.problem})" if found.problem else "")
            for found in known
        ]
        answer = [
            {"version": found.version, "value": found.value, "problem": found.problem} for found in known
        ]
        _print(answer, "\n".join(lines), as_json=as_json)
        return
    chosen = parameters.restore(ssm, name, version)
    text = f"{name} is {chosen.value[:80]!r} again (version {chosen.version}), in force within a minute"
    _print({"name": name, "version": chosen.version, "value": chosen.value}, text, as_json=as_json)


@app.command()
def stop(
    everything: Annotated[
        bool, typer.Option("--all", help="Stop the detector and the notifier too.")
    ] = False,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Stop the scans; with --all also the detector and the notifier. Ticks and alerts wait until `start`.

    Example: stock-monitor recover stop --all
    """
    from stream_infra.operations.recovery import running  # noqa: PLC0415  --help must not pay for it

    done = running.stop(resolve(aws), everything=everything)
    _print({"stopped": done}, "\n".join(f"stopped: {what}" for what in done), as_json=as_json)


@app.command()
def start(as_json: options.AsJson = False, aws: options.Aws = False) -> None:
    """Start what was stopped, and wait until every tick in the stream is accounted for.

    Example: stock-monitor recover start
    """
    from stream_infra.operations.recovery import running  # noqa: PLC0415  --help must not pay for it

    with options.working("Reading what waits in the stream", quiet=as_json) as say:
        proof = running.start(
            resolve(aws),
            lambda accounted, waiting: say(f"{accounted:,} of {waiting:,} ticks are accounted for"),
        )
    text = (
        f"All runs; {proof.waiting:,} ticks waited in the stream, {proof.accounted:,} are accounted for since"
    )
    if proof.behind:
        text += f"; still behind: {', '.join(proof.behind)}"
    _print(proof.as_dict(), text, as_json=as_json)
    if not proof.complete:
        raise typer.Exit(1)


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{text!r} is no time", where="--at", allowed="one like 2026-11-24T14:30:00Z"
        ) from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _compared(found: Any, source: str, target: str, *, as_json: bool) -> None:
    lines = [
        f"{source}: {found.source.count:,} items, checksum {found.source.checksum[:16]}",
        f"{target}: {found.target.count:,} items, checksum {found.target.checksum[:16]}",
        "equal"
        if found.equal
        else f"{found.missing:,} missing, {found.different:,} different, {found.extra:,} extra",
    ]
    _print(
        {"source_table": source, "target_table": target, **found.as_dict()}, "\n".join(lines), as_json=as_json
    )


def _print(answer: Any, text: str, *, as_json: bool) -> None:
    typer.echo(json.dumps(answer) if as_json else text)
