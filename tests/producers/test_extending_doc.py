"""docs/extending.md, "A source": one file added is a source everywhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.producers.fakes import VendorStub

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "extending.md").read_text()

PROGRAM = """
import json, os
from datetime import UTC, datetime
import boto3
from moto import mock_aws

name = os.environ["SOURCE"]
with mock_aws():
    from producers.sources import describe, get
    from stream_infra.config import Config
    from stream_infra.operations.source import quote_source
    import producers.handler

    class Context:
        aws_request_id = "1"
        function_name = "stock-scanner"
        def get_remaining_time_in_millis(self):
            return 120_000

    boto3.client("s3").create_bucket(Bucket="data")
    boto3.client("events").create_event_bus(Name="stock-market")
    boto3.client("kinesis").create_stream(StreamName="stock-quotes", ShardCount=1)
    boto3.client("ssm").put_parameter(Name="/stock-tracker/ticker", Value="AAPL,NOPE", Type="String")
    boto3.client("dynamodb").create_table(
        TableName="windows",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    secrets = boto3.client("secretsmanager")
    secrets.create_secret(Name="empty", SecretString="{}")
    scanner = {"SOURCE": name, "SOURCE_SECRET": "empty"}
    now = datetime.now(UTC)
    lacks = quote_source(scanner, secrets, ['AAPL'], now).problem
    keys = {key.variable: "k3y" for key in get(name).keys}
    secrets.create_secret(Name="keys", SecretString=json.dumps(keys))
    report = producers.handler.handler({"polls": 1}, Context())
    print("FOUND" + json.dumps({
        "problems": [found.problem for found in describe() if found.problem],
        "setting": Config(source=name).source,
        "lacks": lacks,
        "has": quote_source({**scanner, "SOURCE_SECRET": "keys"}, secrets, ["AAPL"], now).problem,
        "report": report,
    }))
"""


def added_file(tmp_path: Path) -> tuple[str, Path]:
    """Write the document's example to the one file that it names, in a copy of the room."""
    (block,) = re.findall(r"```python\n(# producers/sources/.*?)```", TEXT, re.DOTALL)
    path = tmp_path / block.splitlines()[0].removeprefix("# ").strip()
    shutil.copytree(ROOT / "producers", tmp_path / "producers", ignore=shutil.ignore_patterns("__pycache__"))
    path.write_text(block)
    (name,) = re.findall(r'name="([^"]+)"', block)
    return name, path


@pytest.fixture
def environment(tmp_path: Path, vendor: VendorStub) -> dict[str, str]:
    last = {"AAPL": {"price": 189.12, "bid": 189.11, "ask": 189.13, "time_ms": 1_763_996_399_871}}
    vendor.script((200, {}, json.dumps(last).encode()))
    name, _ = added_file(tmp_path)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ACME_"))}
    return {
        **kept,
        "PYTHONPATH": str(tmp_path),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SOURCE": name,
        "SOURCE_SECRET": "keys",
        "ACME_URL": vendor.url,
        "STREAM_NAME": "stock-quotes",
        "SCAN_TABLE": "windows",
        "DATA_BUCKET": "data",
        "SESSION": "always",
    }


def run(command: list[str], environment: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd, check=False)


def test_one_added_file_is_a_setting_a_secret_a_scan_and_a_check(
    environment: dict[str, str], tmp_path: Path, vendor: VendorStub
) -> None:
    done = run([sys.executable, "-c", PROGRAM], environment, tmp_path)
    assert "FOUND" in done.stdout, done.stderr
    found = json.loads(done.stdout.partition("FOUND")[2])
    assert found["problems"] == []
    assert found["setting"] == environment["SOURCE"]
    assert "needs a key and ACME_KEY is not set: ask sales@acme.example for one" in found["lacks"]
    assert found["has"] == ""
    report = found["report"]
    assert (report["polls"], report["ticks"], report["missing"]) == (1, 1, ["NOPE"])
    assert report["missing_reasons"] == {"NOPE": "acme knows no such ticker"}
    assert vendor.calls[0].headers["authorization"] == "Bearer k3y"


def test_the_command_line_asks_it(environment: dict[str, str], tmp_path: Path) -> None:
    program = "from stream_infra.cli.main import main; main()"
    command = [sys.executable, "-c", program, "quote", "AAPL", "--source", environment["SOURCE"], "--json"]
    done = run(command, {**environment, "ACME_KEY": "k3y"}, tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["quotes"][0]["price"] == 189.12


def test_the_example_is_typed(tmp_path: Path) -> None:
    _, path = added_file(tmp_path)
    mypy = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--explicit-package-bases",
        "--no-incremental",
        str(path),
    ]
    done = run(mypy, dict(os.environ), tmp_path)
    assert done.returncode == 0, done.stdout
