"""``stock-monitor mcp``: tools for assistants, over standard input and output."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from stream_infra.cli import options
from stream_infra.operations.endpoints import Endpoints, resolve
from stream_infra.operations.errors import NotDeployedError

if TYPE_CHECKING:
    from stream_infra.operations.assistant import AssistantPorts

app = typer.Typer()


@app.command()
def mcp(aws: options.Aws = False) -> None:
    """Serve tools to an assistant by the Model Context Protocol, on standard input and output.

    An assistant starts it by itself; docs/assistants.md has its settings.

    Example: stock-monitor mcp
    """
    from stream_infra.operations.assistant import build  # noqa: PLC0415  --help must not pay for it

    build(_ports(resolve(aws))).run()


def _ports(endpoints: Endpoints) -> AssistantPorts:
    from api.client import Monitor  # noqa: PLC0415
    from consumers.alerts.store import AlertStore  # noqa: PLC0415
    from consumers.alerts.table import DynamoTable  # noqa: PLC0415
    from stream_infra import names  # noqa: PLC0415
    from stream_infra.operations.assistant import AssistantPorts  # noqa: PLC0415

    if endpoints.api is None:
        raise NotDeployedError("the API is not deployed: stock-monitor deploy")
    return AssistantPorts(
        Monitor(endpoints.api),
        AlertStore(DynamoTable(endpoints.client("dynamodb"), names.ALERTS_TABLE)),
        lambda: _examined(endpoints),
        lambda: datetime.now(UTC),
        getpass.getuser(),
    )


def _examined(endpoints: Endpoints) -> list[dict[str, Any]]:
    from stream_infra.operations.doctor import examine  # noqa: PLC0415
    from stream_infra.operations.gather import Gatherer  # noqa: PLC0415

    facts = Gatherer(endpoints, datetime.now(UTC)).facts(thorough=True)
    return [diagnosis.as_dict() for diagnosis in examine(facts)]
