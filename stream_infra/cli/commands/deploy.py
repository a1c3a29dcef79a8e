"""``stock-monitor deploy``: a deployment of monitor.toml to AWS, after a look at what it would change."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_infra.cli import options
from stream_infra.cli.text import one_line, print_table
from stream_infra.operations.errors import FailedError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stream_infra.operations.changes import Change
    from stream_infra.operations.preflight import DeploymentProblem

app = typer.Typer()


@app.command()
def deploy(
    deployment: Annotated[
        str,
        typer.Argument(
            help="Its name in monitor.toml.", metavar="DEPLOYMENT", envvar="STOCK_MONITOR_DEPLOYMENT"
        ),
    ] = "prod",
    *,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow",
            envvar="STOCK_MONITOR_ALLOW",
            help="Allow this dangerous change; may be repeated. The variable takes several, separated by blanks.",
            metavar="CHANGE",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only show what is missing and which changes would be dangerous.")
    ] = False,
    bootstrap: Annotated[
        bool,
        typer.Option("--bootstrap", help="First run `cdk bootstrap`, needed once for an account and region."),
    ] = False,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="Take over the tables and buckets that an earlier deployment left."),
    ] = False,
    past_alarms: Annotated[
        bool,
        typer.Option("--past-alarms", help="Put new versions live even while their alarms ring."),
    ] = False,
    revert_drift: Annotated[
        bool,
        typer.Option(
            "--revert-drift",
            help="Restore resources that were deleted or changed outside of the stacks, and the dashboard files.",
        ),
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Deploy to AWS with the credentials of the environment. Nothing changes before all checks have passed.

    It shows the difference from the running deployment first. A dangerous change (fewer shards, other partitions,
    another source, access opened or closed, a subscriber or a person removed, data removed or replaced) is rejected
    unless --allow names it. --revert-drift also enables rules that somebody disabled; watch list and thresholds do
    not change. At the end it runs `stock-monitor verify --aws`.

    Example: stock-monitor deploy prod --allow fewer-shards
    """
    from consumers.contracts.wording import counted  # noqa: PLC0415  --help must not pay for it
    from stream_infra.config import LOCAL, enter  # noqa: PLC0415  --help must not pay for it
    from stream_infra.monitor_toml import find_file, load  # noqa: PLC0415  --help must not pay for it
    from stream_infra.operations.changes import NAMES  # noqa: PLC0415

    if unknown := sorted(set(allow or ()) - set(NAMES)):
        raise InputError(
            f"there is no change {unknown[0]!r}", where="--allow", allowed=f"one of {', '.join(NAMES)}"
        )
    if deployment == LOCAL:
        raise InputError(
            f"{deployment!r} is the deployment on this machine, which `make up` starts", allowed="one on AWS"
        )
    config = load(deployment, find_file(Path.cwd()))
    enter(config)
    from stream_infra.operations import deployment as deploying  # noqa: PLC0415  with the names of the deployment
    from stream_infra.operations import notices, preflight  # noqa: PLC0415

    client, lacking = _client(config.region), deploying.tools()
    if bootstrap and not check and not lacking:
        deploying.bootstrap(client)
    problems = [*lacking, *preflight.preflight(client, config, adopt=adopt)]
    if problems:
        _say(problems, "missing", as_json=as_json)
        missing = counted(len(problems), "thing is", "things are")
        raise InputError(f"{missing} missing; nothing was changed")
    settings = deploying.target_of(client) | ({"past_alarms": "true"} if past_alarms else {})
    assembly = deploying.synthesize(deployment, upload=revert_drift, **settings)
    deploying.difference(assembly)
    dangers = deploying.changes(client, assembly)
    _judge(dangers, set(allow or ()), as_json=as_json)
    if not check:
        try:
            with deploying.parameters_kept(client) if revert_drift else nullcontext():
                deploying.deploy(assembly, adopt=adopt, revert_drift=revert_drift)
        except FailedError:
            _say(notices.unverified(client), "missing", as_json=as_json)
            raise
    _say(notices.notices(client, config), "left to do", as_json=as_json)
    if not check:
        _prove(as_json=as_json)


def _say(problems: Sequence[DeploymentProblem], heading: str, *, as_json: bool) -> None:
    if as_json and problems:
        typer.echo(json.dumps({heading: [problem._asdict() for problem in problems]}))
        return
    for problem in problems:  # both are sentences, too long for columns
        typer.echo(f"{heading}: {one_line(problem.what)}\n  do: {one_line(problem.remedy)}")


def _prove(*, as_json: bool) -> None:
    """Prove that what was deployed works; the deployment stays either way."""
    from stream_infra.cli.commands.verify import prove  # noqa: PLC0415  --help must not pay for it
    from stream_infra.operations.endpoints import resolve  # noqa: PLC0415

    is_local = "AWS_ENDPOINT_URL" in os.environ  # a local AWS, to which all of the above went
    typer.echo("Deployed. The proof that it works:", err=True)
    if not prove(resolve(aws=not is_local), as_json=as_json):
        raise FailedError(
            "it is deployed and does not work: repair what is named above, then run stock-monitor verify --aws"
        )


def _judge(dangers: list[Change], allowed: set[str], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"change": [change._asdict() for change in dangers]}))
    elif dangers:
        print_table([tuple(change) for change in dangers], header=("change", "what"))
    if rejected := sorted({change.name for change in dangers} - allowed):
        raise InputError(
            f"dangerous changes; nothing was changed. To make them: {' '.join(f'--allow {name}' for name in rejected)}"
        )


def _client(region: str | None) -> Any:
    import boto3  # noqa: PLC0415  --help must not pay for it

    session = boto3.Session(region_name=region)
    return session.client
