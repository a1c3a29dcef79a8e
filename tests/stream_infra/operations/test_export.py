"""Exports: every row of a span once, in three formats, and none lost or doubled by an interruption."""

from __future__ import annotations

import csv
import json
import os
import tracemalloc
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from typer.testing import CliRunner

from consumers.alerts.model import AnomalySummary, Incident
from consumers.alerts.places import expiry, incident_place
from consumers.alerts.table import DynamoTable, Put, encode
from consumers.contracts.anomaly import Anomaly, iso_ms
from producers.archive import Archive
from producers.quote_batch import QuoteBatch
from producers.recordings import read_ticks
from stream_infra import names
from stream_infra.cli.commands import export as command
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.errors import FailedError, InputError
from stream_infra.operations.export import formats, run
from stream_infra.operations.export.tables import COLUMNS, ExportSpan, Part, Row
from tests.api.client import Table, create_tables
from tests.aws import aws_in_memory

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = 1_795_530_600_000  # 2026-11-24T14:30:00Z
DAY = 86_400_000
BUCKET = names.data_bucket("123456789012")  # moto's account


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Client]:
    with aws_in_memory():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        create_tables(boto3.client("dynamodb"))
        monitor = Endpoints(None, None, None, None)
        monkeypatch.setattr(Endpoints, "client", lambda _self, service: boto3.client(service))
        monkeypatch.setattr("stream_infra.operations.endpoints.resolve", lambda _aws: monitor)
        yield client


def scan(s3: S3Client, started_ms: int, *symbols: str, polls: int = 3) -> None:
    archive = Archive(s3, BUCKET)
    for poll in range(polls):
        ts = [started_ms + 5000 * poll + n for n in range(len(symbols))]
        of = len(symbols)
        archive.add(
            QuoteBatch(
                "simulated",
                list(symbols),
                ts,
                [100.25] * of,
                [None] * of,
                [100.5] * of,
                [5e6] * of,
                [None] * of,
                [],
            )
        )
    archive.write(started_ms)


def exported(*words: str) -> str:
    result = CliRunner().invoke(command.app, [*words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def rows_of(file: Path) -> list[Any]:
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in file.read_text().splitlines()]
    if file.suffix == ".csv":
        with file.open(newline="") as opened:
            return list(csv.DictReader(opened))
    parquet = pytest.importorskip("pyarrow.parquet")
    found: list[Any] = parquet.read_table(file).to_pylist()
    return found


def test_every_field_of_an_anomaly_has_a_column() -> None:
    assert set(COLUMNS["anomalies"]) == {field.name for field in fields(Anomaly)} | {"origin"}


SPAN = ("--from", iso_ms(T), "--to", iso_ms(T + 2 * DAY))


def test_quotes_of_a_span_are_read_by_backtest_in_every_format(s3: S3Client, tmp_path: Path) -> None:
    scan(s3, T - 60_000, "AAPL", "BRK-B", "BRK/A")  # before the span
    scan(s3, T - 7000, "AAPL", "BRK-B", "BRK/A")  # begins before it
    scan(s3, T + DAY, "AAPL", "BRK-B", "BRK/A")
    scan(s3, T + DAY + 60_000, *(f"T{n}" for n in range(60)))  # in one object for all
    scan(s3, T + 2 * DAY, "AAPL")  # after it
    counts = []
    for suffix in ("jsonl", "csv", "parquet"):
        file = tmp_path / f"quotes.{suffix}"
        assert exported("quotes", *SPAN, "-o", str(file)) == f"{file}: 192 quotes\n"
        ticks = list(read_ticks(file, lambda row: pytest.fail(str(row))))
        assert all(T <= tick.ts < T + 2 * DAY for tick in ticks)
        assert {(tick.price, tick.bid, tick.ask) for tick in ticks} == {(100.25, None, 100.5)}
        counts.append([(tick.symbol, tick.ts) for tick in ticks])
        assert sorted(path.name for path in tmp_path.glob("quotes.*.*")) == []  # nothing is left over
    assert counts[0] == counts[1] == counts[2]
    assert len(set(counts[0])) == 192
    one = tmp_path / "one.jsonl"
    exported("quotes", *SPAN, "--ticker", "brk/a,T7", "-o", str(one))
    assert {row["symbol"] for row in rows_of(one)} == {"BRK/A", "T7"}
    assert len(rows_of(one)) == 7


def test_an_object_that_cannot_be_read_is_named_and_nothing_is_lost(s3: S3Client, tmp_path: Path) -> None:
    scan(s3, T, "AAPL")
    scan(s3, T + 60_000, "AAPL")
    key = "raw-data/AAPL/2026/11/24/143100Z.jsonl.gz"
    whole = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    s3.put_object(Bucket=BUCKET, Key=key, Body=whole[:-12])
    file = tmp_path / "quotes.csv"
    words = ["quotes", *SPAN, "-o", str(file)]
    failed = CliRunner().invoke(command.app, words)
    assert isinstance(failed.exception, FailedError)
    assert f"s3://{BUCKET}/{key} cannot be read: EOFError" in str(failed.exception)
    s3.put_object(Bucket=BUCKET, Key=key, Body=whole)
    assert exported(*words) == f"{file}: 6 quotes, 3 of them from before it was interrupted\n"
    assert len(rows_of(file)) == 6


@pytest.mark.usefixtures("s3")
def test_anomalies_and_incidents_have_the_columns_of_the_contract(tmp_path: Path) -> None:
    dynamodb = boto3.client("dynamodb")
    table = Table(dynamodb)
    wanted = [
        table.put("AAPL", ts, explanation='a "quoted", word').id for ts in (T, T + DAY, T + 2 * DAY - 1)
    ]
    table.put("AAPL", T - 1)
    table.put("AAPL", T + 2 * DAY)
    sample = AnomalySummary("id", "AAPL", "gap", "high", T, 1.0, 0.0, "seconds", "AAPL sent no quote.")
    incident = Incident(f"live-AAPL-{T}", "live", "AAPL", T, T, 2, samples=(sample,))
    others = [replace(incident, id=f"live-AAPL-{at}", opened_ms=at) for at in (T - 1, T + 2 * DAY)]
    for one in (incident, *others):
        put = Put(incident_place(one.id), encode(one), expiry(T, 30))
        DynamoTable(dynamodb, "stock-alerts").write([put])
    for suffix in ("jsonl", "csv", "parquet"):
        file = tmp_path / f"anomalies.{suffix}"
        done = json.loads(exported("anomalies", *SPAN, "-o", str(file), "--json"))
        assert done == {"file": str(file), "rows": 3, "kept": 0}
        rows = rows_of(file)
        assert [row["id"] for row in rows] == wanted
        assert list(rows[0]) == list(COLUMNS["anomalies"])
        window = rows[0]["window"]
        assert (json.loads(window) if isinstance(window, str) else window) == {"ticks": 240, "unit": "return"}
        file = tmp_path / f"incidents.{suffix}"
        exported("incidents", *SPAN, "-o", str(file))
        (row,) = rows_of(file)
        assert list(row) == list(COLUMNS["incidents"])
        assert (row["id"], row["state"]) == (incident.id, "open")
        of = row["anomalies"]
        assert (json.loads(of) if isinstance(of, str) else of)[0]["kind"] == "gap"
    empty = tmp_path / "none.csv"
    assert exported("anomalies", *SPAN, "--ticker", "MSFT", "-o", str(empty)) == f"{empty}: 0 anomalies\n"
    assert rows_of(empty) == []


REQUEST = run.ExportRequest("quotes", "1d", None, ())
PARTS = 7
ROWS_A_PART = 3


def parts(fails_at: tuple[int, int] | None = None) -> Iterator[Part]:
    """Rows that a store loses its connection at: in a part, before a row."""

    def rows(part: int) -> Iterator[Row]:
        for row in range(ROWS_A_PART):
            if fails_at == (part, row):
                raise ConnectionError
            yield {"ts": part * ROWS_A_PART + row, "symbol": "A", "price": 1.0}

    for part in range(PARTS):
        yield Part(f"{part}", partial(rows, part))


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("row", range(ROWS_A_PART))
@pytest.mark.parametrize("is_killed", [False, True])
def test_an_interrupted_export_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int, row: int, is_killed: bool
) -> None:
    monkeypatch.setattr(run, "ROWS_BETWEEN_CHECKPOINTS", 2 * ROWS_A_PART)
    file = tmp_path / "x.jsonl"
    start = run.begin(file, REQUEST, ExportSpan(0, 100))
    with pytest.raises(ConnectionError):
        run.export(file, start, parts((part, row)), lambda _: None)
    assert not file.exists()
    if is_killed:  # the state is that of an earlier checkpoint, and a row was cut off
        state = tmp_path / "x.jsonl.part.json"
        if part < 2:
            state.unlink()
        else:
            done = part // 2 * 2
            size = len(
                b"".join((tmp_path / "x.jsonl.part").read_bytes().splitlines(True)[: done * ROWS_A_PART])
            )
            at = run.Checkpoint(REQUEST, 0, 100, f"{done - 1}", size, done * ROWS_A_PART)
            state.write_bytes(run._encode(at))
        with (tmp_path / "x.jsonl.part").open("ab") as opened:
            opened.write(b'{"ts": 12')
    again = run.begin(file, REQUEST, ExportSpan(500, 600))
    assert again.span == ExportSpan(0, 100) or (
        is_killed and part < 2
    )  # what the request meant when it began
    shown: list[str] = []
    done_at_last = run.export(file, again, parts(), shown.append)
    assert [line["ts"] for line in rows_of(file)] == list(range(PARTS * ROWS_A_PART))
    assert done_at_last.rows == PARTS * ROWS_A_PART
    assert done_at_last.kept == again.rows
    assert shown[-2:] == [f"{PARTS * ROWS_A_PART} rows, up to {PARTS - 1}", "writing x.jsonl"]
    assert [path.name for path in tmp_path.iterdir()] == ["x.jsonl"]


def quotes_of(count: int) -> Iterator[Part]:
    """So many quotes, a part for each hundred, made as they are read."""

    unknown = dict.fromkeys(("bid", "ask", "day_volume", "quote_ts"))

    def rows(start: int) -> Iterator[Row]:
        for n in range(start, start + 100):
            yield {"ts": T + n, "symbol": "AAPL", "price": 100 + n / 100, **unknown}

    return (Part(f"{start:09}", partial(rows, start)) for start in range(0, count, 100))


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_memory_does_not_grow_with_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """EXPORT_ROWS=1000000 by hand; docs/export.md has the figures."""
    monkeypatch.setattr(formats, "ROWS_AT_ONCE", 1000)
    request = run.ExportRequest("quotes", "1d", None, ())

    def peak(count: int) -> int:
        file, shown = tmp_path / f"{count}.{suffix}", list[str]()
        start = run.begin(file, request, ExportSpan(T, T + DAY))
        tracemalloc.start()
        done = run.export(file, start, quotes_of(count), lambda text: shown.__setitem__(slice(None), [text]))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (done.rows, shown) == (count, [f"writing {file.name}"])
        return most

    many = int(os.environ.get("EXPORT_ROWS", "20000"))
    few = peak(2000)
    assert peak(many) < few * 1.2 + 65_536


def test_what_cannot_be_exported_is_said_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"x\.xlsx; must be a file named \.csv, \.jsonl, \.ndjson, \.parquet"
    ):
        run.begin(tmp_path / "x.xlsx", REQUEST, ExportSpan(0, 1))
    there = tmp_path / "there.csv"
    there.touch()
    with pytest.raises(InputError, match="must be a new file"):
        run.begin(there, REQUEST, ExportSpan(0, 1))
    file = tmp_path / "x.csv"
    with pytest.raises(ConnectionError):
        run.export(file, run.begin(file, REQUEST, ExportSpan(0, 1)), parts((1, 1)), lambda _: None)
    with pytest.raises(InputError, match="is of another export that was interrupted"):
        run.begin(file, run.ExportRequest("quotes", "2d", None, ()), ExportSpan(0, 1))
    (tmp_path / "x.csv.part").write_bytes(b"")
    with pytest.raises(InputError, match=r"x\.csv\.part is shorter than .* says: delete both"):
        run.begin(file, REQUEST, ExportSpan(0, 1))
    (tmp_path / "x.csv.part.json").write_text("{")
    with pytest.raises(InputError, match=r"is damaged \(.*\): delete it and"):
        run.begin(file, REQUEST, ExportSpan(0, 1))
    nowhere = tmp_path / "no" / "x.csv"
    start = run.begin(nowhere, REQUEST, ExportSpan(0, 1))
    with pytest.raises(FailedError, match="cannot be written: No such file"):
        run.export(nowhere, start, parts(), lambda _: None)
