"""What is committed is what the code says, and the function stays light."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api import contract, openapi
from api.anomalies import Page
from api.app import create_app
from api.event import normalized
from api.services import Services
from api.settings import ApiSettings
from api.watch_list import parse
from consumers.contracts.anomaly import Anomaly
from producers.settings import SettingsError

ROOT = Path(__file__).parents[2]


def test_the_committed_openapi_document_is_the_code_s() -> None:
    assert openapi.COMMITTED.read_text(encoding="utf-8") == contract.document_text(), (
        "run: python -m api.contract"
    )


def test_the_dashboard_s_types_are_the_document_s() -> None:
    assert contract.TYPES.read_text(encoding="utf-8") == contract.typescript_text(), (
        "run: python -m api.contract"
    )


def test_the_document_is_served(call: Any) -> None:
    answer = call("/openapi.json")
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


def test_the_longest_page_takes_the_handler_little_time(
    services: Services, make: Callable[..., Anomaly]
) -> None:
    page = Page([make("AAPL", 1_795_530_600_123 - n) for n in range(200)], None)

    class Ready:
        def page(self, *_args: Any) -> Page:
            return page

    app = create_app(replace(services, anomalies=Ready()))  # type: ignore[arg-type]
    event = normalized({"path": "/anomalies", "queryStringParameters": {"limit": "200"}})
    times = []
    for _ in range(40):
        start = time.process_time()
        assert app.resolve(event, None)["statusCode"] == 200  # type: ignore[arg-type]
        times.append(time.process_time() - start)
    assert sorted(times)[37] < 0.05


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
    [("AAPL, msft,AAPL", ["AAPL", "MSFT"]), ("", []), (" , BRK.B,not a ticker,", ["BRK.B"])],
)
def test_the_watch_list_as_written_by_people(value: str, expected: list[str]) -> None:
    assert parse(value) == expected
