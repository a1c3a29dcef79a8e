"""The raw archive: what a scan has published, as gzipped JSON Lines that `replay` reads back.

Up to 50 tickers there is an object per ticker and scan, `raw-data/<TICKER>/<yyyy>/<mm>/<dd>/<HHMMSS>Z.jsonl.gz`.
Beyond that one object per scan holds all, `raw-data/_all/...`: at 5,000 tickers an object for each would
cost some $200 a month in requests.
"""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from botocore.exceptions import ClientError

from producers.quote_batch import QuoteBatch

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_TICKERS_APART = 50
ALL = "_all"  # no ticker: those have no small letters
_encode = msgspec.json.Encoder().encode


class Archive:
    """Collects the ticks of a scan and writes them when it ends."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._lines: dict[str, list[bytes]] = {}

    def add(self, batch: QuoteBatch) -> None:
        """Add the quotes of a poll."""
        columns = (batch.ts, batch.price, batch.bid, batch.ask, batch.day_volume, batch.quote_ts)
        names = ("ts", "price", "bid", "ask", "day_volume", "quote_ts")
        for symbol, *values in zip(batch.symbol, *columns, strict=True):
            row: dict[str, Any] = {"symbol": symbol, **dict(zip(names, values, strict=True))}
            known = {name: value for name, value in row.items() if value is not None}
            self._lines.setdefault(symbol, []).append(_encode(known))

    def write(self, started_ms: int) -> list[str]:
        """Write what was added and return the keys of the objects.

        Parameters
        ----------
        started_ms
            When the scan started (epoch ms), which names the objects.
        """
        if len(self._lines) <= MAX_TICKERS_APART:
            parts = {folder_of(symbol): lines for symbol, lines in self._lines.items()}
        else:
            parts = {ALL: [line for lines in self._lines.values() for line in lines]}
        self._lines = {}
        return [self._put(folder, started_ms, lines) for folder, lines in parts.items()]

    def _put(self, folder: str, started_ms: int, lines: list[bytes]) -> str:
        body = gzip.compress(b"\n".join(lines) + b"\n", compresslevel=6, mtime=0)
        while True:
            key = archive_key(folder, started_ms)
            try:
                self._client.put_object(Bucket=self._bucket, Key=key, Body=body, IfNoneMatch="*")
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") != "PreconditionFailed":
                    raise
                started_ms += 1000  # two scans began in one second: the name after it is free
            else:
                return key


def folder_of(symbol: str) -> str:
    """Return the folder of a ticker's objects."""
    name = quote(symbol, safe="^=")
    return name if name.strip(".") else name.replace(".", "%2E")  # . and .. mean something in a path


def archive_key(folder: str, started_ms: int) -> str:
    """Return the key of the ticks of a folder (a ticker, or `_all`) of a scan."""
    started = datetime.fromtimestamp(started_ms / 1000, UTC)
    return f"raw-data/{folder}/{started:%Y/%m/%d/%H%M%S}Z.jsonl.gz"
