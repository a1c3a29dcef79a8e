"""The watch list: what operators set, in force within a minute; what is bad is named."""

from __future__ import annotations

from typing import cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from mypy_boto3_ssm import SSMClient

from producers.watch_list import (
    REREAD_MS,
    WatchListError,
    WatchListReader,
    WatchListUnavailableError,
    WatchListWriter,
    parse,
)
from tests.producers.fakes import Aws, Clock


@pytest.mark.parametrize(
    ("value", "symbols"),
    [
        ("AAPL", ("AAPL",)),
        ("AAPL,MSFT", ("AAPL", "MSFT")),
        (" aapl , msft ,\n AAPL,,brk.b ", ("AAPL", "MSFT", "BRK.B")),
        ("AAPL\nMSFT\r\n^GSPC\nEURUSD=X", ("AAPL", "MSFT", "^GSPC", "EURUSD=X")),
    ],
)
def test_lists_as_people_write_them(value: str, symbols: tuple[str, ...]) -> None:
    assert parse(value, "parameter p") == (symbols, ())


def test_a_bad_item_is_rejected_by_name_and_does_not_stop_the_others() -> None:
    found = parse("AAPL,$BAD,MSFT,WAYTOOLONGFORATICKER-EVENAMONGTHEOPTIONS", "parameter p")
    assert found.symbols == ("AAPL", "MSFT")
    assert len(found.rejected) == 2
    assert "parameter p: '$BAD' is no ticker; must be 1 to 32 of A-Z" in found.rejected[0]


@pytest.mark.parametrize("value", ["", " , ,", "$$$"])
def test_a_list_without_a_ticker_is_rejected(value: str) -> None:
    with pytest.raises(
        WatchListError, match=r"parameter p is .*names no ticker; must be a comma-separated list"
    ):
        parse(value, "parameter p")


def test_too_long_a_list_is_rejected() -> None:
    with pytest.raises(WatchListError, match="names 50001 tickers; must be at most 50000"):
        parse(",".join(f"S{i}" for i in range(50_001)), "parameter p")


def test_a_list_that_the_scanner_would_reject_is_not_written(aws: Aws) -> None:
    aws.watch("AAPL")
    writer = WatchListWriter(aws.ssm, aws.s3, aws.parameter, "bucket")
    with pytest.raises(WatchListError, match="would name 50001 tickers; must be at most 50000"):
        writer.write([f"S{i}" for i in range(50_001)], "")
    assert WatchListReader(aws.ssm, aws.s3, aws.parameter, int)().symbols == ("AAPL",)


@pytest.fixture
def reader(aws: Aws, clock: Clock) -> WatchListReader:
    return WatchListReader(aws.ssm, aws.s3, aws.parameter, clock)


def test_a_change_is_in_force_after_half_a_minute_and_not_asked_for_before(
    aws: Aws, clock: Clock, reader: WatchListReader
) -> None:
    aws.watch("AAPL")
    assert reader().symbols == ("AAPL",)
    aws.watch("MSFT,KO")
    clock.now_ms += REREAD_MS - 1
    assert reader().symbols == ("AAPL",)
    clock.now_ms += 1
    assert reader().symbols == ("MSFT", "KO")


def test_a_long_list_lies_in_s3(aws: Aws, reader: WatchListReader) -> None:
    symbols = [f"S{i}" for i in range(5_000)]
    aws.s3.put_object(Bucket=aws.bucket, Key="lists/all.txt", Body="\n".join(symbols).encode())
    aws.watch(f"s3://{aws.bucket}/lists/all.txt")
    assert list(reader().symbols) == symbols


@pytest.mark.parametrize(
    ("value", "reasons"),
    [
        ("s3://", ["no reference to an object", "must be"]),
        ("s3://stock-scan-data-123456789012/", ["no reference to an object"]),
        ("s3://stock-scan-data-123456789012/none.txt", ["none.txt", "cannot be read", "NoSuchKey"]),
        ("s3://no-such-bucket-here/list.txt", ["no-such-bucket-here", "NoSuchBucket"]),
        ("s3://stock-scan-data-123456789012/binary", ["no UTF-8 text"]),
    ],
)
def test_a_bad_reference_is_named(aws: Aws, reader: WatchListReader, value: str, reasons: list[str]) -> None:
    aws.s3.put_object(Bucket=aws.bucket, Key="binary", Body=b"\xff\xfe")
    aws.watch(value)
    with pytest.raises(WatchListError) as caught:
        reader()
    assert all(reason in str(caught.value) for reason in ["/stock-tracker/ticker", *reasons])


def test_a_parameter_that_is_not_there_is_named(reader: WatchListReader) -> None:
    with pytest.raises(WatchListError, match="parameter /stock-tracker/ticker does not exist; must be"):
        reader()


class FailingSsm:
    """An SSM that answers once and then is not to be reached."""

    def __init__(self, ssm: SSMClient, error: Exception) -> None:
        self.exceptions = ssm.exceptions
        self._answers = iter([{"Parameter": {"Value": "AAPL"}}])
        self._error = error

    def get_parameter(self, **_: object) -> object:
        for answer in self._answers:
            return answer
        raise self._error


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "GetParameter"),
        EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
    ],
)
def test_a_scan_goes_on_with_its_list_when_ssm_is_away_for_a_while(
    aws: Aws, clock: Clock, error: Exception
) -> None:
    ssm = cast("SSMClient", FailingSsm(aws.ssm, error))
    reader = WatchListReader(ssm, aws.s3, aws.parameter, clock)
    assert reader().symbols == ("AAPL",)
    clock.now_ms += REREAD_MS
    assert reader().symbols == ("AAPL",)
    with pytest.raises(WatchListUnavailableError, match="parameter /stock-tracker/ticker cannot be read"):
        WatchListReader(ssm, aws.s3, aws.parameter, clock)()


FORMS = (
    "AAPL", "BRK.B", "M&M.NS", "L&TFH.NS", "BINANCE:BTCUSDT", "OANDA:EUR_USD", "BTC/USD", "^GSPC", "ES=F", "ES1!",
    "0700.HK", "VOD.L", "AAPL250117C00150000", "BTC-27DEC24-100000-C", "O:SPXW251219C06000000", "A" * 32,
)  # fmt: skip


def test_tickers_are_taken_as_vendors_write_them() -> None:
    found = parse(",".join(FORMS), "p")
    assert (found.symbols, found.rejected) == (FORMS, ())


@pytest.mark.parametrize(
    "text", ["\ufeffAAPL,MSFT", "\ufeffAAPL\r\nMSFT\r\n", "AAPL\n\ufeffMSFT", "\ufeff AAPL , MSFT"]
)
def test_the_mark_that_windows_puts_first_costs_no_ticker(text: str) -> None:
    found = parse(text, "p")
    assert (found.symbols, found.rejected) == (("AAPL", "MSFT"), ())


def test_an_option_is_one_ticker_with_the_blanks_that_fill_it_up() -> None:
    text = "\ufeffKO aapl  261218c00250000,MSFT, F     270115P00010000\nSPXW  261218P05800000"
    assert parse(text, "a list").symbols == (
        "KO", "AAPL261218C00250000", "MSFT", "F270115P00010000", "SPXW261218P05800000",
    )  # fmt: skip
