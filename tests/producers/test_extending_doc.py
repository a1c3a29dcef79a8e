"""docs/extending.md, "A source": one file added is a source everywhere."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.extending import added_file, check_types, example, outcome, run
from tests.producers.fakes import VendorStub

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


@pytest.fixture
def environment(tmp_path: Path, vendor: VendorStub) -> dict[str, str]:
    last = {"AAPL": {"price": 189.12, "bid": 189.11, "ask": 189.13, "time_ms": 1_763_996_399_871}}
    vendor.script((200, {}, json.dumps(last).encode()))
    text = example("producers/sources")
    added_file(text, ["producers"], tmp_path)
    (name,) = re.findall(r'name="([^"]+)"', text)
    return {
        "SOURCE": name,
        "SOURCE_SECRET": "keys",
        "ACME_URL": vendor.url,
        "STREAM_NAME": "stock-quotes",
        "SCAN_TABLE": "windows",
        "DATA_BUCKET": "data",
        "SESSION": "always",
    }


def test_one_added_file_is_a_setting_a_secret_a_scan_and_a_check(
    environment: dict[str, str], tmp_path: Path, vendor: VendorStub
) -> None:
    found = outcome(run([sys.executable, "-c", PROGRAM], tmp_path, **environment))
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
    done = run(command, tmp_path, **environment, ACME_KEY="k3y")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["quotes"][0]["price"] == 189.12


def test_the_example_is_typed(tmp_path: Path) -> None:
    path = added_file(example("producers/sources"), ["producers"], tmp_path)
    check_types(path, tmp_path, "--explicit-package-bases")
