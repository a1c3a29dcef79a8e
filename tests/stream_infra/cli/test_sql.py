"""SQL over the lake: the same answers from files and from Athena, clear errors, and nothing but reading."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from consumers.lake import parquet
from consumers.lake.queries import QUERIES
from consumers.lake.tables import TABLES, object_key
from producers.errors import MonitorError
from stream_infra import names
from stream_infra.cli.commands.sql import app
from stream_infra.operations import sql
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.errors import FailedError, InputError
from tests.aws import aws_in_memory

BUCKET = names.data_bucket("123456789012")  # moto's account
DAY = "2026-11-24"


def said(anomaly: str, kind: str, said_ms: int, *, useful: bool) -> dict[str, object]:
    return {
        "incident_id": f"live-{anomaly}", "anomaly_id": anomaly, "ticker": "AAPL", "kind": kind,
        "severity": "high", "useful": useful, "said_by": "me", "said_ms": said_ms,
    }  # fmt: skip


SAID = (
    said("1", "gap", 1, useful=False),
    said("1", "gap", 2, useful=True),  # the newest word counts
    said("2", "gap", 1, useful=False),
    said("3", "price_spike", 1, useful=True),
)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("rows")
    with aws_in_memory():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in SAID))
        parquet.write(TABLES["feedback"], folder / "rows.jsonl", None, folder / "made.parquet")
        s3.put_object(
            Bucket=BUCKET, Key=object_key("feedback", DAY), Body=(folder / "made.parquet").read_bytes()
        )
        s3.create_bucket(Bucket="empty")
        yield


@pytest.fixture
def monitor(lake: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    local = Endpoints(None, None, "http://127.0.0.1:9", None)
    monkeypatch.setattr(Endpoints, "client", lambda _self, service: boto3.client(service))
    monkeypatch.setattr("stream_infra.operations.endpoints.resolve", lambda _aws: local)


def typed(*words: str) -> str:
    result = CliRunner().invoke(app, [*words], catch_exceptions=False, env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    return result.stdout


def failure(*words: str) -> MonitorError:
    error = CliRunner().invoke(app, [*words]).exception
    assert isinstance(error, MonitorError)
    return error


@pytest.mark.usefixtures("monitor")
def test_a_named_query_answers_from_the_files() -> None:
    lines = typed("precision-by-kind", DAY, DAY).splitlines()
    assert [line.split() for line in lines] == [
        ["kind", "judged", "useful", "share_useful"],
        ["gap", "2", "1", "0.5"],
        ["price_spike", "1", "1", "1"],
    ]
    assert all(len(line) <= 80 for line in lines)
    assert typed("precision-by-kind", "2026-11-25").endswith("no rows\n")


@pytest.mark.usefixtures("monitor")
def test_sql_answers_as_json_with_types_and_says_that_there_is_more() -> None:
    text = 'select anomaly_id, useful, said_ms, "date" from feedback order by said_ms desc, anomaly_id'
    answer = json.loads(typed(text, "--json", "--rows", "2"))
    assert answer == {
        "rows": [
            {"anomaly_id": "1", "useful": True, "said_ms": 2, "date": DAY},
            {"anomaly_id": "1", "useful": False, "said_ms": 1, "date": DAY},
        ],
        "has_more": True,
        "read_bytes": None,
    }
    joined = "select count(*) as n from feedback left join ticks on ticks.ticker = feedback.ticker"
    assert json.loads(typed(joined, "--json"))["rows"] == [{"n": 4}], "a table without a file is an empty one"


@pytest.mark.usefixtures("monitor")
def test_an_error_says_what_is_wrong(tmp_path: Path) -> None:
    assert "no_such" in str(failure("select no_such from feedback"))
    assert "did you mean 'worst-spreads'?" in str(failure("worst-spread"))
    assert "quotes-around-incident INCIDENT [DAY]" in str(failure("quotes-around-incident"))
    assert "must be one of select" in str(failure("drop table ticks"))
    assert "only named queries take values" in str(failure("select 1", "2"))
    with pytest.raises(FailedError, match="--refresh"):
        sql.by_duckdb(boto3.client("s3"), "empty", "select 1 from ticks", 1)
    (tmp_path / "secret.csv").write_text("a\n1\n")
    read = failure(f"select * from read_csv('{tmp_path}/secret.csv')")  # noqa: S608
    assert isinstance(read, FailedError), "SQL reads the lake, and nothing else of this machine"


def test_a_value_of_a_named_query_is_no_sql() -> None:
    today = date(2026, 11, 24)
    assert "BETWEEN '2026-11-17' AND '2026-11-24'" in sql.text_of("worst-spreads", [], today)
    assert "incidents.id = 'live-BTC/USD-1'" in sql.text_of(
        "quotes-around-incident", ["live-BTC/USD-1"], today
    )
    with pytest.raises(InputError):
        sql.text_of("worst-spreads", ["x' OR '1'='1"], today)
    with pytest.raises(InputError, match="3 values"):
        sql.text_of("worst-spreads", ["a", "b", "c"], today)


def test_without_a_query_the_known_ones_are_listed() -> None:
    listed = typed()
    assert all(name in listed for name in (*QUERIES, *TABLES))
    assert max(map(len, listed.splitlines())) <= 80
    assert set(json.loads(typed("--json"))["queries"]) == set(QUERIES)


class Athena:
    """Athena as its API reference describes it: a query is queued, runs, and then has pages of results."""

    def __init__(self, *states: str, reason: str = "") -> None:
        self.states = list(states)
        self.reason = reason
        self.started: dict[str, Any] = {}
        self.stopped = ""

    def start_query_execution(self, **request: Any) -> dict[str, str]:
        self.started = request
        return {"QueryExecutionId": "q-1"}

    def get_query_execution(self, *, QueryExecutionId: str) -> dict[str, Any]:  # noqa: N803
        assert QueryExecutionId == "q-1"
        status = {"State": self.states.pop(0), "StateChangeReason": self.reason}
        return {"QueryExecution": {"Status": status, "Statistics": {"DataScannedInBytes": 2**30}}}

    def stop_query_execution(self, *, QueryExecutionId: str) -> None:  # noqa: N803
        self.stopped = QueryExecutionId

    def get_paginator(self, operation: str) -> Athena:
        assert operation == "get_query_results"
        return self

    def paginate(self, *, QueryExecutionId: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        assert QueryExecutionId == "q-1"
        about = [
            {"Name": "kind", "Type": "varchar"},
            {"Name": "n", "Type": "bigint"},
            {"Name": "x", "Type": "double"},
        ]
        pages: list[list[tuple[str | None, ...]]] = [
            [("kind", "n", "x"), ("gap", "2", "0.5")],
            [("kind", "1", None)],
            [("more", "1", "1")],
        ]
        for rows in pages:
            data = [
                {"Data": [{"VarCharValue": cell} if cell is not None else {} for cell in row]} for row in rows
            ]
            yield {"ResultSet": {"Rows": data, "ResultSetMetadata": {"ColumnInfo": about}}}


def test_athena_is_waited_for_and_its_pages_are_read() -> None:
    """Athena API reference, GetQueryResults: the first row of a SELECT's first page holds the names of the columns."""
    athena = Athena("QUEUED", "RUNNING", "SUCCEEDED")
    waits: list[float] = []
    answer = sql.by_athena(athena, "select 1", 2, waits.append)
    assert answer == sql.Answer(("kind", "n", "x"), [("gap", 2, 0.5), ("kind", 1, None)], True, 2**30)
    assert len(waits) == 2
    assert athena.started["WorkGroup"] == names.WORKGROUP
    assert athena.started["QueryExecutionContext"] == {"Database": names.LAKE_DATABASE}


def test_what_athena_rejects_is_said_and_an_interrupted_query_is_stopped() -> None:
    failed = Athena("FAILED", reason="COLUMN_NOT_FOUND: line 1:8")
    with pytest.raises(FailedError, match="COLUMN_NOT_FOUND"):
        sql.by_athena(failed, "select x", 2, lambda _: None)

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    running = Athena("RUNNING")
    with pytest.raises(KeyboardInterrupt):
        sql.by_athena(running, "select 1", 2, interrupt)
    assert running.stopped == "q-1"


class Lambda:
    """The function stock-lake, which needs several runs."""

    def __init__(self, *reports: dict[str, Any], error: str = "") -> None:
        self.reports = list(reports)
        self.error = error

    def invoke(self, *, FunctionName: str, Qualifier: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        assert (FunctionName, Qualifier) == ("stock-lake", "live")
        assert json.loads(Payload) == {"seconds": 20}
        if self.error:
            return {
                "FunctionError": "Unhandled",
                "Payload": io.BytesIO(json.dumps({"errorMessage": self.error}).encode()),
            }
        return {"Payload": io.BytesIO(json.dumps(self.reports.pop(0)).encode())}


def test_a_refresh_runs_until_all_is_taken_in() -> None:
    some = {"blocks": 3, "late_blocks": 1, "is_done": False}
    client: Any = Lambda(some, {"blocks": 2, "late_blocks": 0, "is_done": True})
    assert sql.refresh(client) == 6
    broken: Any = Lambda(error="no disk")
    with pytest.raises(FailedError, match="no disk"):
        sql.refresh(broken)
