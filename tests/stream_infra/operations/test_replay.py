"""`stock-monitor replay`: what it sends, when it is done, and what it says when it never will be."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers.contracts.counts import TickCounts
from producers.errors import MonitorError
from stream_infra import names
from stream_infra.operations import replay
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.replay import Replay, ReplayStalledError
from stream_infra.operations.tail import Following, TickCursor, items
from tests.aws import aws_in_memory, create_table

SOURCE = "replay-test"


class Here(Endpoints):
    """moto's AWS, in this process."""

    def client(self, service: Any) -> Any:
        if service == "lambda":
            return self
        import boto3  # inside of moto

        return boto3.client(service)

    def get_function_configuration(self, **_of: str) -> dict[str, dict[str, dict[str, str]]]:
        return {"Environment": {"Variables": {"PARTITIONS": "4"}}}


@pytest.fixture
def here() -> Iterator[Here]:
    with aws_in_memory():
        endpoints = Here(None, None, None, None)
        endpoints.client("kinesis").create_stream(StreamName=names.STREAM, ShardCount=1)
        for table, sort in ((names.WINDOWS_TABLE, "sk"), (names.ANOMALIES_TABLE, "timestamp")):
            hash_key = "pk" if sort == "sk" else "ticker"
            create_table(table, hash_key, sort, client=endpoints.client("dynamodb"))
        yield endpoints


def recording(path: Path) -> Path:
    path.write_text(
        "ts,symbol,price\n1381152600000,AAA,10\n1381152601000,BBB,20\nnow,AAA,10\n1381152602000,AAA,11\n"
    )
    return path


@pytest.mark.parametrize("speed", [None, 1e6])
def test_the_usable_ticks_are_sent_with_their_own_times_and_the_others_named(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speed: float | None
) -> None:
    monkeypatch.setattr(
        "consumers.stores.windows.Ledger.counts_since",
        lambda *_: TickCounts(ticks_in=3, in_windows=2, quarantined=1),
    )
    course = Replay(recording(tmp_path / "ticks.csv"), SOURCE)
    replay.run(course, speed, here, lambda _course: None)
    feed = TickCursor(here.client("kinesis"), names.STREAM, 0)
    sent = items(feed, Following(None, follow=False), lambda _seconds: None, lambda _item: True)
    assert sorted((tick["ticker"], tick["ts"], tick["source"]) for tick in sent) == [
        ("AAA", 1381152600000, SOURCE),
        ("AAA", 1381152602000, SOURCE),
        ("BBB", 1381152601000, SOURCE),
    ]
    (row,) = course.rejected.first
    assert (course.ticks, course.rejected.count) == (3, 1)
    assert (row.file, row.line) == ("ticks.csv", 4)
    assert "ts" in row.reason
    assert course.as_dict()["balance"]["in_windows"] == 2


def test_a_record_that_came_twice_does_not_end_the_wait_early(tmp_path: Path) -> None:
    looks = iter(
        [
            TickCounts(ticks_in=4, in_windows=2, duplicate=2),
            TickCounts(ticks_in=4, in_windows=2, duplicate=2),
            TickCounts(ticks_in=6, in_windows=3, duplicate=2, quarantined=1),
        ]
    )
    course = Replay(tmp_path, SOURCE, ticks=4)
    replay.wait(course, lambda: next(looks), lambda _course: None, sleep=lambda _seconds: None)
    assert course.balance.ticks_in == 6
    assert next(looks, None) is None


def test_a_stall_says_what_is_missing_and_where_to_look(tmp_path: Path) -> None:
    clock = itertools.count(0, 30)
    course = Replay(tmp_path, SOURCE, ticks=10)
    with pytest.raises(ReplayStalledError, match=r"3 of 10 ticks of replay-test.*dlq list"):
        replay.wait(
            course,
            lambda: TickCounts(ticks_in=7, in_windows=7),
            lambda _course: None,
            clock=lambda: float(next(clock)),
            sleep=lambda _seconds: None,
        )


def test_a_file_without_a_usable_tick_is_an_error(here: Here, tmp_path: Path) -> None:
    (tmp_path / "none.csv").write_text("ts,symbol,price\nnow,AAA,10\n")
    with pytest.raises(MonitorError, match=r"none\.csv.*no tick in it can be used: it has 1 row"):
        replay.run(Replay(tmp_path / "none.csv", SOURCE), None, here, lambda _course: None)


def test_a_file_of_another_format_is_an_error_that_says_which_are_allowed(here: Here, tmp_path: Path) -> None:
    (tmp_path / "ticks.xlsx").write_text("")
    with pytest.raises(MonitorError, match=r"\.csv"):
        replay.run(Replay(tmp_path / "ticks.xlsx", SOURCE), None, here, lambda _course: None)
