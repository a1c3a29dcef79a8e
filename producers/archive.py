"""The raw archive: what a scan has published, as gzipped JSON Lines that `replay` reads back.

Up to 50 tickers there is an object per ticker and scan, `raw-data/<TICKER>/<yyyy>/<mm>/<dd>/<HHMMSS>Z.jsonl.gz`.
Beyond that one object per scan holds all, `raw-data/_all/...`: at 5,000 tickers an object for each would
cost some $200 a month in requests.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec
from botocore.exceptions import ClientError

from producers.quote_batch import QuoteBatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypy_boto3_s3 import S3Client

_LEVEL, _GZIP = 6, 31  # wbits of zlib: with gzip's header
MAX_TICKERS_APART = 50
ALL = "_all"  # no ticker: those have no small letters
LONGEST_SCAN_MS = 120_000
"""An object is named by the start of its scan: it may hold ticks of so long after that."""
_REMEMBERED = 256
_encoder = msgspec.json.Encoder()


class ArchivedTick(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of the archive: `ts` is epoch ms UTC, what was not quoted is None."""

    symbol: str
    ts: int
    price: float
    bid: float | None = None
    ask: float | None = None
    day_volume: float | None = None
    quote_ts: int | None = None


_decode = msgspec.json.Decoder(ArchivedTick).decode


class Archive:
    """Collects the ticks of a scan and writes them when it ends.

    Those of many tickers go to one object, and are compressed poll by poll: 50,000 tickers polled every second would
    take 400 MB as they are.
    """

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._reset()

    def _reset(self) -> None:
        self._ticks: dict[str, list[ArchivedTick]] = {}
        self._together = _Zipped()

    def add(self, batch: QuoteBatch) -> None:
        """Add the quotes of a poll."""
        columns = (
            batch.symbol,
            batch.ts,
            batch.price,
            batch.bid,
            batch.ask,
            batch.day_volume,
            batch.quote_ts,
        )
        ticks = list(map(ArchivedTick, *columns))
        if not self._together and len({*self._ticks, *batch.symbol}) <= MAX_TICKERS_APART:
            for tick in ticks:
                self._ticks.setdefault(tick.symbol, []).append(tick)
            return
        for before in self._ticks.values():
            self._together.add(before)
        self._ticks = {}
        self._together.add(ticks)

    def write(self, started_ms: int) -> list[str]:
        """Write what was added and return the keys of the objects.

        Parameters
        ----------
        started_ms
            When the scan started (epoch ms), which names the objects.
        """
        parts = {folder_of(symbol): _Zipped(ticks) for symbol, ticks in self._ticks.items()}
        if self._together:
            parts = {ALL: self._together}
        self._reset()
        return [self._put(folder, started_ms, zipped.bytes()) for folder, zipped in parts.items()]

    def _put(self, folder: str, started_ms: int, body: bytes) -> str:
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


class _Zipped:
    """Ticks as JSON Lines that gzip compressed; true once there are any."""

    def __init__(self, ticks: Sequence[ArchivedTick] = ()) -> None:
        self._gzip = zlib.compressobj(_LEVEL, wbits=_GZIP)
        self._parts: list[bytes] = []
        self.add(ticks)

    def __bool__(self) -> bool:
        return bool(self._parts)

    def add(self, ticks: Sequence[ArchivedTick]) -> None:
        if ticks:
            self._parts.append(self._gzip.compress(_encoder.encode_lines(ticks)))

    def bytes(self) -> bytes:
        return b"".join((*self._parts, self._gzip.flush()))


class ArchiveReader:
    """Reads what was archived of a ticker; no object ever changes, so that the last ones read are remembered."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._remembered: OrderedDict[tuple[str, str], Sequence[ArchivedTick]] = OrderedDict()

    def ticks(self, symbol: str, since_ms: int, until_ms: int) -> list[ArchivedTick]:
        """Return the ticks since_ms <= ts < until_ms, by time, each time once; what boto3 raises passes through."""
        found = {
            tick.ts: tick
            for folder in (folder_of(symbol), ALL)
            for key in self._keys(folder, since_ms, until_ms)
            for tick in self._read(key, symbol)
            if since_ms <= tick.ts < until_ms
        }
        return [found[ts] for ts in sorted(found)]

    def _keys(self, folder: str, since_ms: int, until_ms: int) -> Iterator[str]:
        last = archive_key(folder, until_ms)
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket,
            Prefix=f"raw-data/{folder}/",
            StartAfter=archive_key(folder, max(0, since_ms - LONGEST_SCAN_MS)),
        )
        for page in pages:
            for item in page.get("Contents", ()):
                if item["Key"] > last:
                    return
                yield item["Key"]

    def _read(self, key: str, symbol: str) -> Sequence[ArchivedTick]:
        name = key, symbol
        if name in self._remembered:
            self._remembered.move_to_end(name)
            return self._remembered[name]
        lines = gzip.decompress(self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read())
        own = re.compile(b'^{"symbol":%s,.*$' % re.escape(_encoder.encode(symbol)), re.MULTILINE)
        ticks = self._remembered[name] = tuple(map(_decode, own.findall(lines)))
        if len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        return ticks


def folder_of(symbol: str) -> str:
    """Return the folder of a ticker's objects."""
    name = quote(symbol, safe="^=")
    return name if name.strip(".") else name.replace(".", "%2E")  # . and .. mean something in a path


def archive_key(folder: str, started_ms: int) -> str:
    """Return the key of the ticks of a folder (a ticker, or `_all`) of a scan."""
    started = datetime.fromtimestamp(started_ms / 1000, UTC)
    return f"raw-data/{folder}/{started:%Y/%m/%d/%H%M%S}Z.jsonl.gz"
