"""The watch list as operators see it, and what the source says of tickers that they add."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from botocore.exceptions import ClientError

from consumers.contracts.wording import price
from consumers.stores.charts import ChartTable
from consumers.stream.rules import PriceRule
from producers.markets import is_open
from producers.markets.listings import Listings
from producers.origin import origin_of
from producers.polling import unquoted
from producers.recorded_csv import separator_of
from producers.secret import environment_with_secret
from producers.source import SourceError
from producers.sources import create, get_pollable
from producers.symbols import SYMBOL_RULE, in_capitals
from producers.watch_list import WatchListError, is_ticker, items
from stream_infra import names
from stream_infra.operations.endpoints import Endpoints, watch_list
from stream_infra.operations.errors import FailedError, InputError

MOST_COVERED = 100
"""Of more tickers the minutes are not read: each is a query."""
WARM_UP_TICKS = 60
"""So many ticks before a verdict: WARMUP_TICKS of the detectors, which are not loaded for a list."""
_HOUR_MS = 3_600_000
_TOP = 20
"""In so many lines the header of a table stands."""
_SHOWN = 160


@dataclass(frozen=True)
class Watched:
    """A ticker of the watch list: its market, whether that trades now, and its newest quote's time, if it has one.

    `is_guess` says that no calendar is known of the exchange that its form names.
    `minutes` of the last hour had quotes, `ticks` came in them; -1 where that was not read.
    """

    ticker: str
    market: str
    is_open: bool
    quoted: datetime | None
    minutes: int = -1
    ticks: int = -1
    is_guess: bool = False

    @property
    def warm_up(self) -> str:
        """How far the warm-up is, by the last hour."""
        if self.ticks < 0:
            return "not read"
        return "done" if self.ticks >= WARM_UP_TICKS else f"{self.ticks} of {WARM_UP_TICKS} ticks"


def tickers_of(words: Sequence[str], where: str = "") -> list[str]:
    """Return what was typed as tickers, each once; `where` it was, for people.

    Raises
    ------
    InputError
        If one is written as no ticker may be.
    """
    found = list(dict.fromkeys(items(",".join(words))))
    if words and not found:
        raise InputError("no ticker is named", where=where, allowed=SYMBOL_RULE)
    if wrong := [ticker for ticker in found if not is_ticker(ticker)]:
        raise InputError(f"{wrong[0]!r} is no ticker", where=where, allowed=SYMBOL_RULE)
    return found


def of_export(text: str, where: str) -> str:
    """Return the column `symbol` or `ticker` of a table, as a broker exports a watch list; another list as it is.

    Raises
    ------
    InputError
        If a value of the column is no ticker, or a table has no such column.
    """
    lines = text.strip().splitlines()
    tops = [_cells(line) for line in lines[:_TOP]]
    for number, (mark, cells) in enumerate(tops, 1):  # brokers put lines about the account before the header
        header = [cell.lower() for cell in cells]
        at = next((header.index(name) for name in ("symbol", "ticker") if name in header), None)
        if at is not None and (number == 1 or len(header) > 1):
            rows = csv.reader(lines[number:], delimiter=mark)
            of = [in_capitals(row[at].strip()) for row in rows if row[at:]]
            if wrong := [ticker for ticker in of if ticker and not is_ticker(ticker)]:
                raise InputError(f"{wrong[0]!r} is no ticker", where=where, allowed=SYMBOL_RULE)
            return "\n".join(of)
    first, *others = [cells for _, cells in tops if any(cells)] or [[]]
    # Names of columns have small letters, and something below them has none.
    has_names = any(cell != cell.upper() for cell in first)
    has_values = any(cell and cell == cell.upper() for cells in others for cell in cells)
    if len(first) > 1 and has_names and has_values and {len(first)} == set(map(len, others)):
        raise InputError(
            f"is a table without a column symbol or ticker (found: {', '.join(first)[:_SHOWN]})",
            where=where,
            allowed="a list of tickers, or a table with such a column",
        )
    return text


def _cells(line: str) -> tuple[str, list[str]]:
    """Return what separates the columns of a line, and what stands in them."""
    mark = separator_of(line)
    return mark, [cell.strip() for row in csv.reader([line], delimiter=mark) for cell in row]


def ticker_of(word: str) -> str:
    """Return what was typed after `--ticker`.

    Raises
    ------
    InputError
        If it is not one ticker.
    """
    found = tickers_of([word], "--ticker")
    if len(found) != 1:
        raise InputError(f"{word!r} is {len(found)} tickers", where="--ticker", allowed="one ticker")
    return found[0]


def note_on(endpoints: Endpoints, ticker: str) -> str:
    """Return a note for whoever names a ticker that is not on the watch list; "" where it is on it."""
    try:
        if ticker in watch_list(endpoints.client)().symbols:
            return ""
    except WatchListError as error:
        return f"Whether {ticker} is watched is not known: {error}"
    return f"{ticker} is not on the watch list, so nothing comes of it yet: stock-monitor watch add {ticker}"


def note_on_level(endpoints: Endpoints, rule: PriceRule) -> str:
    """Return a note where the price is beyond the level of a rule already: it is met when it comes back; else ""."""
    if rule.when not in {"above", "below"}:
        return ""
    try:
        origin = origin_of(_settings(endpoints).get("SOURCE", ""))
        charts = ChartTable(endpoints.client("dynamodb"), names.CHARTS_TABLE)
        quote = charts.last_quotes(origin).get(rule.ticker)
    except ClientError as error:
        return f"Where the price of {rule.ticker} is now is not known: {error}"
    if quote is None or (quote.price < rule.value if rule.when == "above" else quote.price > rule.value):
        return ""
    other = "below" if rule.when == "above" else "above"
    now = f"{rule.ticker} is at {price(quote.price)} already"
    return f"{now}: the rule is met once it was {other} the level and comes back"


def _settings(endpoints: Endpoints) -> Mapping[str, str]:
    """Return the scanner's settings, without its secret."""
    found = endpoints.client("lambda").get_function_configuration(FunctionName=names.SCANNER)
    return found.get("Environment", {}).get("Variables", {})


class ScannerSource:
    """The scanner's source, as its settings and its secret make it."""

    def __init__(self, endpoints: Endpoints, environment: Mapping[str, str]) -> None:
        scanner = _settings(endpoints)
        self.name = scanner.get("SOURCE", "")
        self.bucket = scanner.get("DATA_BUCKET", "")
        self._listings = Listings(scanner.get("MARKETS", ""), get_pollable(self.name).market)
        self._environment = {**environment, **scanner}
        if secret := scanner.get("SOURCE_SECRET"):
            secrets = endpoints.client("secretsmanager")
            self._environment = environment_with_secret(self._environment, secrets, secret)

    def watched(self, tickers: Sequence[str], quoted: Mapping[str, datetime], now: datetime) -> list[Watched]:
        """Return the tickers with their markets; `quoted` holds the times of their newest quotes."""
        return [
            Watched(
                ticker,
                market := self._listings(ticker),
                is_open("regular", now, market),
                quoted.get(ticker),
                is_guess=self._listings.is_guess(ticker),
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
            source = create(self.name, {**self._environment, "POLL_INTERVAL_SECONDS": "20"})
            return unquoted(self.name, source, tickers, now_ms)
        except SourceError as error:
            raise FailedError(
                f"the tickers cannot be validated: {error}; --unchecked adds them all the same"
            ) from error


def covered(rows: Sequence[Watched], charts: ChartTable, origin: str, now: datetime) -> list[Watched]:
    """Return the rows with what the last hour brought, if they are few."""
    if len(rows) > MOST_COVERED:
        return list(rows)
    now_ms = round(now.timestamp() * 1000)
    found = []
    for row in rows:
        bars = charts.bars(origin, row.ticker, now_ms - _HOUR_MS, now_ms)
        found.append(replace(row, minutes=len(bars), ticks=sum(bar.ticks for bar in bars)))
    return found


def utc_of(ts_ms: int) -> datetime:
    """Return a time of epoch ms."""
    return datetime.fromtimestamp(ts_ms / 1000, UTC)
