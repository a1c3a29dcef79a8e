"""What `stock-monitor tail` shows: of the stream, of the API, of the outbox and of the table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from producers.partitions import partition_of
from producers.publisher import Publisher
from producers.quote_batch import QuoteBatch
from stream_infra.cli.commands import tail
from stream_infra.operations.errors import FailedError, NotDeployedError, UnreachableError
from stream_infra.operations.tail import (
    AnomalyCursor,
    Cursor,
    Following,
    Item,
    OutboxCursor,
    TickCursor,
    items,
    newest_arrivals,
)
from tests.aws import aws_in_memory
from tests.http_server import Handler, serving

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

Answer = Callable[[str, dict[str, str]], Item | None]
Serve = Callable[[Answer], str]
NOW = datetime(2026, 11, 24, 14, 30, tzinfo=UTC)


def _until_quiet(cursor: Cursor, lines: int | None = None) -> list[Item]:
    return list(items(cursor, Following(lines, follow=False), lambda _seconds: None, lambda _item: True))


@pytest.fixture
def stream() -> Iterator[KinesisClient]:
    with aws_in_memory():
        kinesis = boto3.client("kinesis")
        kinesis.create_stream(StreamName="quotes", ShardCount=2)
        yield kinesis


def _batch(ts_ms: int, *symbols: str) -> QuoteBatch:
    count = len(symbols)
    none: list[float | None] = [None] * count
    return QuoteBatch(
        source="simulated",
        symbol=list(symbols),
        ts=[ts_ms] * count,
        price=[1.5] * count,
        bid=none,
        ask=none,
        day_volume=none,
        quote_ts=[None] * count,
        missing=[],
    )


def test_ticks_of_all_shards_come_in_order_and_once(stream: KinesisClient) -> None:
    publisher = Publisher(stream, "quotes", 4)
    cursor = TickCursor(stream, "quotes", 0)
    publisher.publish([_batch(2000, "AAPL", "MSFT", "NVDA", "JPM")])
    publisher.publish([_batch(3000, "AAPL")])
    found = _until_quiet(cursor)
    assert [item["ts"] for item in found] == [2000, 2000, 2000, 2000, 3000]
    assert {item["ticker"] for item in found} == {"AAPL", "MSFT", "NVDA", "JPM"}
    publisher.publish([_batch(4000, "JPM")])
    assert [(item["ticker"], item["ts"]) for item in _until_quiet(cursor)] == [("JPM", 4000)]


def test_what_cannot_be_read_is_shown_as_such_and_the_rest_goes_on(stream: KinesisClient) -> None:
    stream.put_record(StreamName="quotes", PartitionKey="1", Data=b"not a quote")
    bad_row = b'{"v":1,"source":"alpaca","symbol":["AAPL","MSFT"],"ts":[5,5],"price":[1.0,null]}'
    stream.put_record(StreamName="quotes", PartitionKey="1", Data=bad_row)
    found = _until_quiet(TickCursor(stream, "quotes", 0))
    assert [item["ticker"] for item in found if "price" in item] == ["AAPL"]
    errors = [item["error"] for item in found if "error" in item]
    assert len(errors) == 2
    assert any("MSFT" in error for error in errors)
    assert all(str(tail._tick(item)) for item in found)


def test_a_stream_that_is_not_there_is_named(stream: KinesisClient) -> None:
    with pytest.raises(NotDeployedError, match="no stream other"):
        TickCursor(stream, "other", 0).poll()


def test_a_moment_in_the_future_by_the_clock_of_kinesis_begins_with_what_comes(stream: KinesisClient) -> None:
    """Kinesis: "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis"."""

    def reject(params: dict[str, Any], **_: object) -> None:
        if "Timestamp" in params:
            raise stream.exceptions.InvalidArgumentException({}, "GetShardIterator")

    stream.meta.events.register("provide-client-params.kinesis.GetShardIterator", reject)
    publisher = Publisher(stream, "quotes", 4)
    publisher.publish([_batch(1000, "AAPL")])
    cursor = TickCursor(stream, "quotes", 0)
    assert cursor.poll() == ([], True)
    publisher.publish([_batch(2000, "AAPL")])
    assert [item["ts"] for item in cursor.poll()[0]] == [2000]


def test_the_newest_arrival_of_each_partition_key_is_found_in_any_shard(stream: KinesisClient) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    assert newest_arrivals(stream, "quotes", before) == {}
    Publisher(stream, "quotes", 4).publish([_batch(1, "AAPL"), _batch(2, "AMZN")])
    newest = newest_arrivals(stream, "quotes", before)
    assert set(newest) == {str(partition_of(ticker, 4)) for ticker in ("AAPL", "AMZN")}
    assert all(before < at < datetime.now(UTC) + timedelta(seconds=5) for at in newest.values())


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves what a function of (path, query) answers; returns the address."""
    with ExitStack() as servers:

        def start(answer: Answer) -> str:
            class AnswerHandler(Handler):
                def do_GET(self) -> None:
                    url = urlsplit(self.path)
                    body = answer(url.path, {key: value[0] for key, value in parse_qs(url.query).items()})
                    self.answer(200 if body is not None else 500, json.dumps(body).encode())

            return servers.enter_context(serving(AnswerHandler))

        yield start


def _anomaly(minute: int, ticker: str = "AAPL") -> Item:
    at = f"2026-11-24T14:{minute:02d}:00.000Z"
    return {"id": f"{ticker}-{minute}", "ticker": ticker, "timestamp": f"{at}#gap"}


class Api:
    """The API's pages of anomalies, newest first."""

    def __init__(self, page: int = 3) -> None:
        self.there: list[Item] = []
        self.page = page
        self.asked: list[str] = []

    def __call__(self, path: str, query: dict[str, str]) -> Item:
        self.asked.append(path)
        newest_first = sorted(self.there, key=lambda item: item["timestamp"], reverse=True)
        found = [item for item in newest_first if item["timestamp"] >= query["since"]]
        start = int(query.get("cursor", "0"))
        end = start + self.page
        following = str(end) if end < len(found) else None
        return {"anomalies": found[start:end], "count": len(found[start:end]), "next": following}


def test_anomalies_are_shown_once_the_oldest_first_over_all_pages(serve: Serve) -> None:
    api = Api()
    api.there = [_anomaly(minute) for minute in range(8)]
    cursor = AnomalyCursor(serve(api), NOW - timedelta(hours=1), None, fixed=False)
    assert [item["id"] for item in _until_quiet(cursor)] == [f"AAPL-{minute}" for minute in range(8)]
    assert _until_quiet(cursor) == []
    api.there += [_anomaly(20), _anomaly(5, "LATE")]  # found later, for a minute that was shown already
    assert [item["id"] for item in _until_quiet(cursor)] == ["LATE-5", "AAPL-20"]


def test_the_last_lines_are_those_asked_for(serve: Serve) -> None:
    api = Api()
    api.there = [_anomaly(minute) for minute in range(8)]
    url = serve(api)
    cursor = AnomalyCursor(url, NOW - timedelta(hours=1), None, fixed=False)
    assert [item["id"] for item in _until_quiet(cursor, lines=2)] == ["AAPL-6", "AAPL-7"]
    none = AnomalyCursor(url, NOW - timedelta(hours=1), None, fixed=False)
    assert _until_quiet(none, lines=0) == []


def test_one_ticker_is_asked_for_by_its_path(serve: Serve) -> None:
    api = Api()
    _until_quiet(AnomalyCursor(serve(api), NOW, "MSFT", fixed=False))
    assert api.asked == ["/anomalies/MSFT"]


def test_alerts_of_the_outbox_are_shown_once_and_since(serve: Serve) -> None:
    there = list(range(1, 6))

    def message(n: int) -> Item:
        return {"n": n, "sent_at": f"2026-11-24T14:{n:02d}:00Z", "subject": str(n)}

    def outbox(path: str, query: dict[str, str]) -> Item:
        assert path == "/outbox.json"
        return {"messages": [message(n) for n in there if n > int(query["after"])]}

    cursor = OutboxCursor(f"{serve(outbox)}/outbox", NOW.replace(minute=3))
    assert [item["n"] for item in _until_quiet(cursor)] == [3, 4, 5]
    there.append(6)
    assert [item["n"] for item in _until_quiet(cursor)] == [6]


def test_an_address_that_does_not_respond_or_fails_is_named(serve: Serve) -> None:
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9/outbox\.json"):
        OutboxCursor("http://127.0.0.1:9/outbox", NOW).poll()
    with pytest.raises(FailedError, match="returns 500"):
        OutboxCursor(f"{serve(lambda _path, _query: None)}/outbox", NOW).poll()


def test_following_goes_on_and_leaves_out_what_is_not_wanted() -> None:
    class Numbers:
        def __init__(self) -> None:
            self.n = 0

        def poll(self) -> tuple[list[Item], bool]:
            self.n += 1
            return [{"n": self.n}], self.n >= 2

    pauses: list[float] = []
    following = items(Numbers(), Following(1, follow=True), pauses.append, lambda item: item["n"] != 3)
    assert [next(following)["n"] for _ in range(3)] == [2, 4, 5]
    assert pauses == [0.2, 1.0, 1.0, 1.0]
