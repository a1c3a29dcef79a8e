"""The watch list as operators change it: read, validated with the source, and written where the scanner reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from producers.markets import is_open
from producers.markets.listings import Listings
from producers.quote_batch import SYMBOL_RULE, is_symbol
from producers.secret import environment_with_secret
from producers.source import Quotes, SourceError
from producers.sources import create, get_pollable
from producers.watch_list import WatchListReader
from stream_infra import names
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.errors import FailedError, InputError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient

PARAMETER_CHARACTERS = 4096
"""Characters in a value of an SSM parameter of the standard tier:
https://docs.aws.amazon.com/general/latest/gr/ssm.html."""
_LONG_LIST = "watch-lists/tickers.csv"


@dataclass(frozen=True)
class Watched:
    """A ticker of the watch list: its market, whether that trades now, and its newest quote's time, if it has one."""

    ticker: str
    market: str
    is_open: bool
    quoted: datetime | None


class WatchListStore:
    """The watch list in the parameter `/stock-tracker/ticker`, or in the object of S3 that it names.

    Parameters
    ----------
    bucket
        The data bucket, for a list that is too long for a parameter.
    """

    def __init__(self, ssm: SSMClient, s3: S3Client, bucket: str) -> None:
        self._ssm = ssm
        self._s3 = s3
        self._bucket = bucket

    def read(self) -> tuple[str, ...]:
        """Return the tickers, each once.

        Raises
        ------
        WatchListError
            If the list cannot be read or used.
        """
        return WatchListReader(self._ssm, self._s3, names.TICKER_PARAMETER, lambda: 0)().symbols

    def write(self, tickers: Sequence[str]) -> None:
        """Write the tickers; the scanner uses them within a minute.

        Raises
        ------
        InputError
            If there is none.
        """
        if not tickers:
            raise InputError("the watch list would be empty", allowed="at least one ticker")
        value = ",".join(tickers)
        if len(value) > PARAMETER_CHARACTERS:
            self._s3.put_object(Bucket=self._bucket, Key=_LONG_LIST, Body=value.encode())
            value = f"s3://{self._bucket}/{_LONG_LIST}"
        self._ssm.put_parameter(Name=names.TICKER_PARAMETER, Value=value, Type="String", Overwrite=True)


def tickers_of(words: Sequence[str]) -> list[str]:
    """Return what was typed as tickers, each once.

    Raises
    ------
    InputError
        If one is written as no ticker may be.
    """
    found = list(dict.fromkeys(item.upper() for word in words for item in word.split(",") if item))
    if wrong := [ticker for ticker in found if not is_symbol(ticker)]:
        raise InputError(f"{wrong[0]!r} is no ticker", allowed=SYMBOL_RULE)
    return found


class ScannerSource:
    """The scanner's source, as its settings and its secret make it."""

    def __init__(self, endpoints: Endpoints, environment: Mapping[str, str]) -> None:
        found = endpoints.client("lambda").get_function_configuration(FunctionName=names.SCANNER)
        scanner = found.get("Environment", {}).get("Variables", {})
        self.name = scanner.get("SOURCE", "")
        self.bucket = scanner.get("DATA_BUCKET", "")
        self._listings = Listings(scanner.get("MARKETS", ""), get_pollable(self.name).market)
        self._environment = {**environment, **scanner}
        if secret := scanner.get("SOURCE_SECRET"):
            secrets = endpoints.client("secretsmanager")  # type: ignore[call-overload]  # no stubs of this service
            self._environment = environment_with_secret(self._environment, secrets, secret)

    def watched(self, tickers: Sequence[str], quoted: Mapping[str, datetime], now: datetime) -> list[Watched]:
        """Return the tickers with their markets; `quoted` holds the times of their newest quotes."""
        return [
            Watched(
                ticker, market := self._listings(ticker), is_open("regular", now, market), quoted.get(ticker)
            )
            for ticker in tickers
        ]

    def rejected(self, tickers: Sequence[str], now: datetime) -> dict[str, str]:
        """Return those tickers that the source does not quote, with the reason.

        Raises
        ------
        FailedError
            If the source cannot be queried.
        """
        now_ms = round(now.timestamp() * 1000)
        try:
            quotes: Quotes = create(self.name, {**self._environment, "POLL_INTERVAL_SECONDS": "20"}).quotes(
                tickers, now_ms
            )
        except SourceError as error:
            raise FailedError(
                f"the tickers cannot be validated: {error}; --unchecked adds them all the same"
            ) from error
        found = {ticker: quotes.get(ticker) for ticker in tickers}
        return {
            ticker: str(getattr(quote, "reason", "")) or "the source does not answer for it"
            for ticker, quote in found.items()
            if not hasattr(quote, "price") and getattr(quote, "is_asked", True)
        }


def utc_of(ts_ms: int) -> datetime:
    """Return a time of epoch ms."""
    return datetime.fromtimestamp(ts_ms / 1000, UTC)
