"""What is deployed is what the templates say; a bad version goes live, and one command takes it back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from localstack.deploy import cdk_environment, context
from localstack.node import cdk, find_node
from localstack.settings import read_settings
from localstack.source import configure
from stream_infra import names
from tests.e2e.monitor import Json, Monitor

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
NAME = "stock-api-handler"


@pytest.fixture
def bad_version(monitor: Monitor) -> Iterator[str]:
    """A version that does not know its tables, live; at the end all is as before."""
    functions = monitor.client("lambda")
    environment = functions.get_function_configuration(FunctionName=NAME)["Environment"]
    alias = functions.get_alias(FunctionName=NAME, Name="live")["FunctionVersion"]
    kept = {key: value for key, value in environment["Variables"].items() if not key.endswith("_TABLE")}
    functions.update_function_configuration(FunctionName=NAME, Environment={"Variables": kept})
    version = functions.publish_version(FunctionName=NAME)["Version"]
    functions.update_alias(FunctionName=NAME, Name="live", FunctionVersion=version)
    yield version
    functions.update_alias(FunctionName=NAME, Name="live", FunctionVersion=alias)
    functions.delete_function(FunctionName=NAME, Qualifier=version)
    functions.update_function_configuration(FunctionName=NAME, Environment=environment)


def test_a_deployed_monitor_differs_from_its_templates_in_nothing(monitor: Monitor, tmp_path: Path) -> None:
    settings = read_settings(monitor.environment())
    command = [
        str(find_node().binary),
        str(cdk()),
        "diff",
        "--fail",
        "--method",
        "template",
        "--ci",
        "--no-color",
    ]
    done = subprocess.run(
        [*command, "--output", str(tmp_path), *context(configure(settings, {}))],
        cwd=ROOT,
        env=cdk_environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert said.count("There were no differences") == len(names.STACKS), said


def test_code_goes_back_with_one_command(monitor: Monitor, bad_version: str) -> None:
    functions = monitor.client("lambda")

    def call() -> Json:
        payload = b'{"path":"/anomalies","httpMethod":"GET"}'
        return functions.invoke(FunctionName=NAME, Qualifier="live", Payload=payload)

    assert "FunctionError" in call()
    done = monitor.run("rollback", NAME, "--json")
    assert done.returncode == 0, done.stderr
    went = json.loads(done.stdout)
    assert (went["before"], went["live"]) == (int(bad_version), int(bad_version) - 1)
    answer = call()
    assert "FunctionError" not in answer
    assert json.loads(answer["Payload"].read())["statusCode"] == 200
    assert monitor.get("/api/health") == {"status": "healthy"}
