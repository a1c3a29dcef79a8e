"""What is committed is what the code says, and the function stays light."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from api import contract, openapi
from api.services import Services
from api.settings import ApiSettings
from producers.settings import SettingsError
from producers.watch_list import WatchListUnavailableError
from tests.api.client import PARAMETER, Api

ROOT = Path(__file__).parents[2]


def test_the_committed_openapi_document_is_the_code_s() -> None:
    assert openapi.COMMITTED.read_text(encoding="utf-8") == contract.document_text(), (
        "run: python -m api.contract"
    )


def test_the_dashboard_s_types_are_the_document_s() -> None:
    assert contract.TYPES.read_text(encoding="utf-8") == contract.typescript_text(), (
        "run: python -m api.contract"
    )


def test_the_document_is_served(api: Api) -> None:
    answer = api.get("/openapi.json")
    assert answer.json == contract.document()
    assert set(answer.json["paths"]) >= {"/health", "/anomalies", "/anomalies/{ticker}", "/tickers", "/stats"}


def test_the_document_says_only_what_is_answered() -> None:
    document = contract.document()
    assert document["servers"] == [{"url": "/api"}]
    for path in document["paths"].values():
        for method, operation in path.items():
            assert "422" not in operation["responses"]  # the resolver's own; ours is 400
            assert ("304" in operation["responses"]) == (method == "get")
            assert "content" not in operation["responses"].get("304", {})
    text = contract.document_text()
    for name in document["components"]["schemas"]:
        assert f"#/components/schemas/{name}" in text


def test_the_function_imports_nothing_heavy() -> None:
    program = (
        "import os, sys; os.environ.update(ANOMALIES_TABLE='a', CHARTS_TABLE='c', ALERTS_TABLE='l',"
        " DEAD_LETTER_QUEUE_URL='q', AWS_DEFAULT_REGION='us-east-1', AWS_ACCESS_KEY_ID='test',"
        " AWS_SECRET_ACCESS_KEY='test'); import api.handler; api.handler._app();"
        " heavy = {'numpy', 'aws_cdk', 'typer', 'rich', 'pandas', 'moto', 'aws_kinesis_agg'};"
        " print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout.strip() == "[]"


def test_no_resource_objects_and_no_scans() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "api").rglob("*.py"))
    assert "boto3.resource" not in text
    assert ".scan(" not in text


def test_settings_name_what_is_missing() -> None:
    good = {
        "ANOMALIES_TABLE": "stock-anomalies",
        "CHARTS_TABLE": "stock-charts",
        "ALERTS_TABLE": "stock-alerts",
        "DEAD_LETTER_QUEUE_URL": "https://queue/stock-scanner-dlq",
    }
    read = ApiSettings.from_environment(good)
    assert read.ticker_parameter == "/stock-tracker/ticker"
    assert not read.writes_open
    with pytest.raises(SettingsError, match="SESSION is 'nightly'; must be one of regular, extended, always"):
        ApiSettings.from_environment({**good, "SESSION": "nightly"})
    assert not ApiSettings.from_environment({**good, "WRITES": "yes"}).writes_open
    assert ApiSettings.from_environment({**good, "WRITES": "open"}).writes_open
    with pytest.raises(SettingsError, match="CHARTS_TABLE is not set"):
        ApiSettings.from_environment({"ANOMALIES_TABLE": "a"})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("AAPL, msft,AAPL", ["AAPL", "MSFT"]),
        ("AAPL msft\nKO", ["AAPL", "MSFT", "KO"]),
        (" , BRK.B,not!a!ticker,", ["BRK.B"]),
        ("???", []),
        ("s3://stock-scan-data/watch-lists/long.txt", ["AAPL", "KO"]),
    ],
)
def test_the_watch_list_is_the_scanner_s(api: Api, value: str, expected: list[str]) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="stock-scan-data")
    s3.put_object(Bucket="stock-scan-data", Key="watch-lists/long.txt", Body=b"AAPL\nKO\n")
    boto3.client("ssm").put_parameter(Name=PARAMETER, Value=value, Overwrite=True)
    assert [row["ticker"] for row in api.get("/tickers").json["tickers"]] == expected


def test_a_watch_list_that_cannot_be_read_is_not_an_empty_one(services: Services) -> None:
    def unavailable() -> list[str]:
        raise WatchListUnavailableError("throttled")

    reply = Api(replace(services, watch_list=unavailable)).get("/tickers")
    assert (reply.status, reply.headers["Retry-After"]) == (503, "2")
