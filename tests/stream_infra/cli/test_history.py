"""`stock-monitor history` writes what the vendor answers, goes on where it stopped, and `backtest` reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from unittest import mock

import pytest
from typer.testing import CliRunner

from producers.recordings import RejectedTick, read_ticks
from producers.source import MinuteBar, SourceError
from producers.sources import history_of
from producers.vendor_state import RateLimitedError
from stream_infra.cli.commands import backtest, history
from stream_infra.cli.main import app
from stream_infra.operations.errors import InputError
from stream_infra.operations.minute_bars import Written, save, write
from tests.producers.conftest import clock as clock_fixture
from tests.producers.conftest import vendor as vendor_fixture
from tests.producers.conftest import vendor_client as vendor_client_fixture
from tests.producers.fakes import Call, Clock, MakeClient, Reply, VendorStub

vendor, clock, vendor_client = vendor_fixture, clock_fixture, vendor_client_fixture
T = 1_743_512_400_000  # 2025-04-01T13:00:00Z
MINUTE = 60_000


class Made:
    """A history of one bar a minute that fails after so many."""

    def __init__(self, fails_after: int = 10**9) -> None:
        self._left = fails_after

    def minute_bars(self, symbol: str, since_ms: int, until_ms: int) -> Iterator[MinuteBar]:
        first = -(-since_ms // MINUTE) * MINUTE
        for at in range(first, until_ms, MINUTE):
            if not self._left:
                raise SourceError(f"acme fails for {symbol}")
            self._left -= 1
            yield MinuteBar(at, 1.0, 2.0, 0.5, 1.5, 10.0)


def test_what_was_written_is_read_and_not_fetched_again(tmp_path: Path) -> None:
    file = tmp_path / "bars.csv"
    with pytest.raises(SourceError):
        list(write(file, Made(7), ["A", "B"], (T, T + 5 * MINUTE), lambda _: None))
    file.write_bytes(file.read_bytes()[:-5])  # and the last row is cut off
    done = list(write(file, Made(), ["A", "B"], (T, T + 5 * MINUTE), lambda _: None))
    assert done == [Written("A", 0, 5), Written("B", 4, 1)]
    rejected: list[RejectedTick] = []
    ticks = list(read_ticks(file, rejected.append))
    assert rejected == []
    assert [(tick.symbol, tick.ts) for tick in ticks] == [
        (ticker, T + n * MINUTE + MINUTE - 1) for ticker in ("A", "B") for n in range(5)
    ]
    assert ticks[-1].day_volume == 50.0


def test_a_parquet_file_is_continued(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    file, rows = tmp_path / "bars.parquet", tmp_path / "bars.parquet.part.csv"
    with pytest.raises(SourceError):
        save(file, Made(7), ["A", "B"], (T, T + 5 * MINUTE), lambda _: None)
    assert (file.exists(), rows.exists()) == (False, True)
    assert save(file, Made(), ["A", "B"], (T, T + 5 * MINUTE), lambda _: None) == [
        Written("A", 0, 5),
        Written("B", 3, 2),
    ]
    assert save(file, Made(), ["A"], (T, T + 6 * MINUTE), lambda _: None) == [Written("A", 1, 5)]
    assert list(tmp_path.iterdir()) == [file]
    ticks = list(read_ticks(file, lambda row: pytest.fail(str(row))))
    assert sorted((tick.symbol, tick.ts) for tick in ticks) == [
        *(("A", T + n * MINUTE + MINUTE - 1) for n in range(6)),
        *(("B", T + n * MINUTE + MINUTE - 1) for n in range(5)),
    ]


@pytest.mark.parametrize("price", [float("nan"), float("inf"), 1e300])
def test_a_minute_without_a_price_is_left_out_and_counted(tmp_path: Path, price: float) -> None:
    file = tmp_path / "bars.csv"
    bars = [*Made().minute_bars("A", T, T + 2 * MINUTE)]
    odd = mock.Mock(minute_bars=lambda *_: iter([bars[0], bars[1]._replace(close=price)]))
    assert save(file, odd, ["A"], (T, T + 2 * MINUTE), lambda _: None) == [Written("A", 1, 0, unpriced=1)]
    assert len(list(read_ticks(file, lambda row: pytest.fail(str(row))))) == 1
    with (
        mock.patch("producers.sources.history_of", return_value=odd),
        mock.patch("stream_infra.cli.commands.history.span", return_value=(T, T + 2 * MINUTE)),
    ):
        done = CliRunner().invoke(app, ["history", "A", "--source", "acme", "-o", str(tmp_path / "b.csv")])
    assert "A: 1 minute added, 0 were there, 1 have no price and were left out" in done.stderr


@pytest.mark.parametrize("name", ["bars.csv", "bars.parquet"])
def test_the_tickers_of_a_file_are_in_the_order_of_time(tmp_path: Path, name: str) -> None:
    """One after the other they were markets of different times: `alerts dry-run` did not know what the others did."""
    pytest.importorskip("pyarrow")
    for minutes in (3, 5):
        save(tmp_path / name, Made(), ["B", "A"], (T, T + minutes * MINUTE), lambda _: None)
        ticks = list(read_ticks(tmp_path / name, lambda row: pytest.fail(str(row))))
        assert [(tick.ts, tick.symbol) for tick in ticks] == [
            (T + n * MINUTE + MINUTE - 1, ticker) for n in range(minutes) for ticker in ("B", "A")
        ]
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_no_minutes_are_not_a_success(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no minutes of A in that time"):
        save(tmp_path / "a.csv", Made(), ["A"], (T + 1, T + 2), lambda _: None)


def test_a_vendor_that_asks_to_wait_is_waited_for(
    vendor: VendorStub, clock: Clock, vendor_client: MakeClient
) -> None:
    client = vendor_client(vendor.url, "coinbase", 480)
    client._retry_ms = 600_000
    at = datetime.fromtimestamp(clock() / 1000 + 120, UTC)
    vendor.script((429, {"Retry-After": format_datetime(at, usegmt=True)}, b""), (200, {}, b"[1]"))
    began = clock()
    assert client.pages("/candles", {}) == [1]
    assert 119_000 <= clock() - began <= 125_000
    client._retry_ms = 0
    vendor.script((429, {"Retry-After": "120"}, b""))
    with pytest.raises(RateLimitedError):
        client.pages("/candles", {})
    assert clock() - began <= 130_000


def test_backtest_takes_the_arguments_of_history(
    vendor: VendorStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(call: Call) -> Reply:
        begin, end = (datetime.fromisoformat(call.parameters[name]).timestamp() for name in ("start", "end"))
        times = range(int(begin), int(end) + 1, 60)
        rows = [[at, 99.0, 101.0, 100.0, 100.0 + at // 60 % 7 / 10, 10.25] for at in times]
        return 200, {}, json.dumps(rows).encode()

    vendor.answer = answer
    monkeypatch.setenv("COINBASE_URL", vendor.url)
    kept = tmp_path / "btc.csv"
    arguments = ["BTC-USD", "--source", "coinbase", "--from", "2h", "-o", str(kept), "--json"]
    done = CliRunner().invoke(backtest.app, arguments)
    assert done.exception is None, done.output
    assert json.loads(done.stdout)["ticks"] >= 118
    assert kept.exists()
    done = CliRunner().invoke(backtest.app, [str(kept), "-o", "b.csv"])
    assert "-o is given without --source" in str(done.exception)


def test_another_file_is_not_written_into(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="holds something else"):
        list(write(file, Made(), ["A"], (T, T + MINUTE), lambda _: None))
    assert file.read_text() == "a,b\n1,2\n"


@pytest.mark.parametrize("row", ["", "x,A,1,1,1,1,1", f"{T},A,1"])
def test_a_damaged_row_is_named(tmp_path: Path, row: str) -> None:
    file = tmp_path / "bars.csv"
    list(write(file, Made(), ["A"], (T, T + MINUTE), lambda _: None))
    file.write_text(f"{file.read_text()}{row}\n")
    with pytest.raises(InputError, match="line 3 is damaged"):
        list(write(file, Made(), ["A"], (T, T + 2 * MINUTE), lambda _: None))


@pytest.mark.parametrize("name", ["bars.csv", "bars.parquet"])
def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"absent/bars\.\w+: cannot be written: No such file or directory"):
        save(tmp_path / "absent" / name, Made(), ["A"], (T, T + MINUTE), lambda _: None)


def test_candles_of_coinbase(vendor: VendorStub) -> None:
    # docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-candles: the newest first,
    # [time, low, high, open, close, volume], at most 300 a call
    def answer(call: Call) -> Reply:
        assert (call.path, call.parameters["granularity"]) == ("/products/BTC-USD/candles", "60")
        begin, end = (datetime.fromisoformat(call.parameters[name]).timestamp() for name in ("start", "end"))
        times = range(int(begin), int(end) + 1, 60)
        assert len(times) <= 300
        return 200, {}, json.dumps([[at, 0.5, 2.0, 1.0, 1.5, 10.25] for at in reversed(times)]).encode()

    vendor.answer = answer
    bars = list(
        history_of("coinbase", {"COINBASE_URL": vendor.url}).minute_bars("BTC/USD", T, T + 700 * MINUTE)
    )
    assert [bar.ts for bar in bars] == [T + n * MINUTE for n in range(700)]
    assert bars[0] == MinuteBar(T, 1.0, 2.0, 0.5, 1.5, 10.25)


@pytest.mark.parametrize("last", [None, "", "QUFQTA=="], ids=["null", "empty", "the same again"])
def test_bars_of_alpaca_in_pages(vendor: VendorStub, last: str | None) -> None:
    # docs.alpaca.markets/reference/stockbars; the last page's token is null
    def page(minute: int, token: str | None) -> Reply:
        bar = {
            "t": f"2025-04-01T13:0{minute}:00Z",
            "o": 1.0,
            "h": 2.0,
            "l": 0.5,
            "c": 1.5,
            "v": 10,
            "n": 3,
            "vw": 1.4,
        }
        return 200, {}, json.dumps({"bars": {"AAPL": [bar]}, "next_page_token": token}).encode()

    vendor.answer = lambda call: page(1, last) if "page_token" in call.parameters else page(0, "QUFQTA==")
    keys = {"APCA_API_KEY_ID": "PK1", "APCA_API_SECRET_KEY": "s3cr3t", "APCA_API_DATA_URL": vendor.url}
    bars = list(history_of("alpaca", keys).minute_bars("AAPL", T, T + 5 * MINUTE))
    assert [bar.ts for bar in bars] == [T, T + MINUTE]
    assert [call.parameters.get("page_token") for call in vendor.calls] == [None, "QUFQTA=="]


def test_recent_bars_are_those_of_iex_where_the_plan_has_no_others(vendor: VendorStub) -> None:
    # docs.alpaca.markets/docs/market-data-faq: status 403, and this message
    recent = {"message": "subscription does not permit querying recent SIP data"}

    def answer(call: Call) -> Reply:
        if call.parameters.get("feed") != "iex":
            return 403, {}, json.dumps(recent).encode()
        return 200, {}, b'{"bars": {}, "next_page_token": null}'

    vendor.answer = answer
    keys = {"APCA_API_KEY_ID": "PK1", "APCA_API_SECRET_KEY": "s3cr3t", "APCA_API_DATA_URL": vendor.url}
    assert list(history_of("alpaca", keys).minute_bars("AAPL", T, T + 5 * MINUTE)) == []
    with pytest.raises(SourceError, match="denies access"):  # a feed that was chosen is not changed
        list(history_of("alpaca", {**keys, "ALPACA_FEED": "sip"}).minute_bars("AAPL", T, T + MINUTE))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["AAPL", "--source", "finnhub", "-o", "a.csv"],
            "finnhub has no history; must be one of alpaca, coinbase, kraken, yahoo",
        ),
        (["AAPL", "--source", "coinbase", "-o", "a.xls"], "must be a file named .csv or .parquet"),
        (["A$", "--source", "coinbase", "-o", "a.csv"], "is no ticker"),
        (["A", "--source", "coinbase", "--from", "1h", "--to", "2h", "-o", "a.csv"], "must be before"),
    ],
)
def test_what_is_wrong_is_said(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(history.app, arguments)
    assert done.exception is not None
    assert message in str(done.exception)
    assert list(tmp_path.iterdir()) == []
