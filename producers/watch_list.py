"""Which tickers to poll: the SSM parameter that operators set, read again while a scan runs.

Its value is a comma-separated list, or `s3://bucket/key` for a list that is too long for a parameter
(4,096 characters hold about 700 tickers); there a ticker may also stand on a line of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from producers.errors import MonitorError
from producers.parameter import PARAMETER_CHARACTERS, put_parameter
from producers.symbols import SYMBOL_RULE, in_capitals, is_symbol, without_padding

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient

REREAD_MS = 30_000
MAX_SYMBOLS = 50_000
_LONG_LIST = "watch-lists/tickers.csv"
_BETWEEN = re.compile(r"[,\s\ufeff]+")  # U+FEFF: the mark that Windows puts before the first ticker
_S3_REFERENCE = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(\S+)")
_ALLOWED = f"a comma-separated list of tickers ({SYMBOL_RULE}) or s3://bucket/key"


class WatchListError(MonitorError):
    """The list cannot be used or read; names the parameter, what is wrong and what is allowed."""


class WatchListUnavailableError(WatchListError):
    """The list could not be fetched; it may well be there a little later."""


class WatchList(NamedTuple):
    """The tickers to poll, each once, and what on the list is none, with the reason."""

    symbols: tuple[str, ...]
    rejected: tuple[str, ...]


def parse(value: str, origin: str) -> WatchList:
    """Return the tickers in a list that is separated by commas, blanks or line ends; `origin` names it in errors.

    Raises
    ------
    WatchListError
        If no ticker is left, or there are too many.
    """
    found = dict.fromkeys(items(value))
    symbols = tuple(item for item in found if is_ticker(item))
    rejected = tuple(
        f"{origin}: {item[:40]!r} is no ticker; must be {SYMBOL_RULE}"
        for item in found
        if not is_ticker(item)
    )
    if not symbols:
        raise WatchListError(f"{origin} is {value[:80]!r}, which names no ticker; must be {_ALLOWED}")
    if len(symbols) > MAX_SYMBOLS:
        raise WatchListError(f"{origin} names {len(symbols)} tickers; must be at most {MAX_SYMBOLS}")
    return WatchList(symbols, rejected)


def items(value: str) -> list[str]:
    """Return what stands in a list, in capitals, whether it is a ticker or not."""
    return [in_capitals(item) for item in _BETWEEN.split(without_padding(value)) if item]


def is_ticker(item: str) -> bool:
    """Return whether an item of a list is a ticker; a reference to a list, or one that is misspelt, is none."""
    return is_symbol(item) and "://" not in item and not item.startswith("S3:")


def is_reference(value: str) -> bool:
    """Return whether a value names a list in S3 instead of holding it."""
    return _S3_REFERENCE.fullmatch(value.strip()) is not None


class WatchListReader:
    """Reads the watch list in force, at most `REREAD_MS` old."""

    def __init__(self, ssm: SSMClient, s3: S3Client, parameter: str, clock_ms: Callable[[], int]) -> None:
        self._ssm = ssm
        self._s3 = s3
        self._parameter = parameter
        self._clock_ms = clock_ms
        self._list: WatchList | None = None
        self._read_ms = 0

    def __call__(self, *, again: bool = False) -> WatchList:
        """Return the list in force; when it cannot be fetched again, the one fetched before.

        `again` fetches it however short ago that was.

        Raises
        ------
        WatchListError
            If the list cannot be used, or could not be fetched the first time.
        """
        now_ms = self._clock_ms()
        if again or self._list is None or not 0 <= now_ms - self._read_ms < REREAD_MS:
            try:
                self._list = self._read()
            except WatchListUnavailableError:
                if self._list is None:
                    raise
            self._read_ms = now_ms
        return self._list

    def _read(self) -> WatchList:
        origin = f"parameter {self._parameter}"
        try:
            value = self._ssm.get_parameter(Name=self._parameter)["Parameter"]["Value"].strip()
        except self._ssm.exceptions.ParameterNotFound as error:
            raise WatchListError(f"{origin} does not exist; must be {_ALLOWED}") from error
        except (ClientError, BotoCoreError) as error:
            raise WatchListUnavailableError(f"{origin} cannot be read: {error}") from error
        if not value.lower().startswith("s3:"):
            return parse(value, origin)
        reference = _S3_REFERENCE.fullmatch(value)
        if reference is None:
            raise WatchListError(f"{origin} is {value[:80]!r}, no reference to an object; must be {_ALLOWED}")
        bucket, key = reference.groups()
        return parse(self._object(bucket, key, origin), f"{origin} ({value})")

    def _object(self, bucket: str, key: str, origin: str) -> str:
        try:
            return self._s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            kind = (
                WatchListError if code in {"NoSuchKey", "NoSuchBucket", "404"} else WatchListUnavailableError
            )
            raise kind(f"{origin} refers to s3://{bucket}/{key}, which cannot be read: {error}") from error
        except BotoCoreError as error:
            raise WatchListUnavailableError(f"{origin} refers to s3://{bucket}/{key}: {error}") from error
        except UnicodeDecodeError as error:
            raise WatchListError(f"{origin} refers to s3://{bucket}/{key}, which is no UTF-8 text") from error


class WatchListWriter:
    """Writes the watch list to the SSM parameter, or to the object that it names then, for a longer list.

    Parameters
    ----------
    bucket
        The data bucket, for a list that is too long for a parameter.
    """

    def __init__(self, ssm: SSMClient, s3: S3Client, parameter: str, bucket: str) -> None:
        self._ssm = ssm
        self._s3 = s3
        self._parameter = parameter
        self._bucket = bucket

    def write(self, symbols: Sequence[str], note: str) -> None:
        """Write the tickers; the scanner uses them within a minute.

        Parameters
        ----------
        note
            Who changed what: the description of this version in the parameter's history, beside the time.

        Raises
        ------
        WatchListError
            If there is none, or there are more than the scanner would take.
        """
        if not symbols:
            raise WatchListError("the watch list would be empty", allowed="at least one ticker")
        if len(symbols) > MAX_SYMBOLS:
            raise WatchListError(
                f"the watch list would name {len(symbols)} tickers", allowed=f"at most {MAX_SYMBOLS}"
            )
        value = ",".join(symbols)
        if len(value) > PARAMETER_CHARACTERS:
            self._s3.put_object(Bucket=self._bucket, Key=_LONG_LIST, Body=value.encode())
            value = f"s3://{self._bucket}/{_LONG_LIST}"
        put_parameter(self._ssm, self._parameter, value, note)


def change_note(by: str, before: Sequence[str], after: Sequence[str]) -> str:
    """Return who changed what of the watch list, in a sentence.

    Examples
    --------
    >>> change_note("ann@example.org", ["KO", "GE"], ["KO", "IBM"])
    'ann@example.org added IBM, removed GE'
    """
    known, kept = set(before), set(after)
    added = [symbol for symbol in after if symbol not in known]
    removed = [symbol for symbol in before if symbol not in kept]
    parts = [f"{verb} {', '.join(of)}" for verb, of in (("added", added), ("removed", removed)) if of]
    return f"{by} {', '.join(parts) or 'changed nothing but the order'}"
