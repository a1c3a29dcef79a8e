"""`stock-monitor rollback`: back to the code of before, and no further than there is some."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from typer.testing import CliRunner, Result

from stream_infra.cli.commands import rollback
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.errors import InputError, NotDeployedError
from stream_infra.operations.versions import roll_back, versions_of
from tests.aws import aws_in_memory

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

Run = Callable[..., Result]


def code(text: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("handler.py", text)
    return packed.getvalue()


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Iterator[LambdaClient]:
    """Lambda with stock-detector at version 3, and no other function."""
    with aws_in_memory():
        trust = json.dumps({"Version": "2012-10-17", "Statement": []})
        role = boto3.client("iam").create_role(RoleName="any", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        client = boto3.client("lambda")
        client.create_function(
            FunctionName="stock-detector",
            Runtime="python3.13",
            Role=role,
            Handler="handler.handler",
            Code={"ZipFile": code("1")},
            Publish=True,
        )
        for text in ("2", "3"):
            client.update_function_code(FunctionName="stock-detector", ZipFile=code(text), Publish=True)
        client.create_alias(FunctionName="stock-detector", Name="live", FunctionVersion="3")
        monkeypatch.setattr(rollback, "resolve", lambda _aws: Endpoints(None, None, None, None))
        yield client


@pytest.fixture
def run(functions: LambdaClient) -> Run:
    del functions
    return lambda *arguments, **more: CliRunner().invoke(rollback.app, list(arguments), **more)


def live(client: LambdaClient) -> str:
    return str(client.get_alias(FunctionName="stock-detector", Name="live")["FunctionVersion"])


def test_one_command_goes_back_to_the_version_before(run: Run, functions: LambdaClient) -> None:
    done = run("stock-detector")
    assert done.stdout == "stock-detector: version 2 is live, before it was 3.\n"
    assert live(functions) == "2"


def test_a_version_can_be_named_to_go_back_further_and_forward_again(
    run: Run, functions: LambdaClient
) -> None:
    assert json.loads(run("stock-detector", "--to", "1", "--json").stdout)["live"] == 1
    assert json.loads(run("stock-detector", "--to", "3", "--json").stdout)["before"] == 1
    assert live(functions) == "3"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stock-watcher"], "'stock-watcher' is no function of the monitor; must be one of stock-scanner, "),
        (["stock-detector", "--to", "3"], "version 3 is live already"),
        (["stock-detector", "--to", "9"], "has no version 9; there are 3, 2, 1"),
    ],
)
def test_what_cannot_be_is_rejected_and_changes_nothing(
    run: Run, functions: LambdaClient, arguments: list[str], message: str
) -> None:
    done = run(*arguments)
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)
    assert live(functions) == "3"


def test_there_is_nothing_before_the_first_version(run: Run, functions: LambdaClient) -> None:
    functions.update_alias(FunctionName="stock-detector", Name="live", FunctionVersion="1")
    done = run("stock-detector")
    assert isinstance(done.exception, InputError)
    assert str(done.exception) == "stock-detector: version 1 is live, and no older one is there"


def test_a_shift_under_way_is_not_disturbed(run: Run, functions: LambdaClient) -> None:
    functions.update_alias(
        FunctionName="stock-detector",
        Name="live",
        FunctionVersion="2",
        RoutingConfig={"AdditionalVersionWeights": {"3": 0.1}},
    )
    done = run("stock-detector")
    assert isinstance(done.exception, InputError)
    assert "shifting calls from version 2 to 3" in str(done.exception)
    assert "aws deploy stop-deployment" in str(done.exception)


def test_an_alias_that_somebody_else_moved_is_left_alone(functions: LambdaClient) -> None:
    before = versions_of(functions, "stock-detector")
    functions.update_alias(FunctionName="stock-detector", Name="live", FunctionVersion="1")
    with pytest.raises(InputError, match="somebody else changed the alias"):
        roll_back(functions, before, 2)
    assert live(functions) == "1"


def test_a_function_that_is_not_deployed_is_said_to_be_so(run: Run) -> None:
    assert isinstance(run("stock-scanner").exception, NotDeployedError)
    assert isinstance(run().exception, NotDeployedError)
