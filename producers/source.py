"""What a source of quotes is: the base of the files in `producers/sources/`.

A source is one file with a constant ``SOURCE``, a `SourceSpec`. It declares all that the rest of the
monitor needs to know: the settings check, the secret, permissions, the scanner, `doctor` and the tables in
docs/sources.md derive from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from typing import Final, Literal, NamedTuple, Protocol, get_args, runtime_checkable

from producers.declaration import Check, are_some, check, is_count, is_list, is_positive, is_text, takes
from producers.errors import MonitorError
from producers.markets import markets
from producers.quote_batch import Quote
from producers.symbols import SOURCE_RULE, is_source

Asset = Literal["stocks", "etfs", "indices", "fx", "crypto", "futures", "options"]
ASSETS: Final[tuple[Asset, ...]] = get_args(Asset)
Mode = Literal["poll", "stream"]
Column = Literal["bid", "ask", "day_volume", "quote_ts"]
COLUMNS: Final[tuple[Column, ...]] = get_args(Column)
RESERVED_NAMES: Final = frozenset({"live", "backfill", "verify"})
RESERVED_PREFIXES: Final = ("replay-", "verify-")
"""Names of origins that no source may take: the API filters by either."""

SCANNER_VARIABLES: Final = frozenset(
    {
        "BUS_NAME",
        "DATA_BUCKET",
        "MARKETS",
        "PARTITIONS",
        "POLL_INTERVAL_SECONDS",
        "SCAN_TABLE",
        "SESSION",
        "SOURCE",
        "SOURCE_MODE",
        "SOURCE_SECRET",
        "STREAM_NAME",
        "TICKER_PARAMETER",
    }
)
"""What the scanner itself reads from its environment: `producers.settings.ScannerSettings`."""
_VARIABLE = re.compile(r"(?!AWS_|LAMBDA_)[A-Z][A-Z0-9_]{0,63}")
_VARIABLE_RULE = (
    "1 to 64 of A-Z 0-9 _, beginning with a letter, and none of the scanner's own, of AWS_ or of LAMBDA_"
)
_NO_LIMIT = "or None where there is no limit"
_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


def _is_variable(name: object) -> bool:
    return isinstance(name, str) and bool(_VARIABLE.fullmatch(name)) and name not in SCANNER_VARIABLES


class SourceError(MonitorError):
    """A source cannot be used or could not answer; says which, why and what is allowed."""


class SourceSpecError(SourceError, ValueError):
    """A source is declared in part, or wrongly; names the file or package and what is missing."""


class Missing(NamedTuple):
    """Stands for a quote that a poll did not bring, with the reason where one is known.

    `is_asked` is False for a ticker whose turn comes in a later poll: it is not missing then. `is_known` is True for
    one that the source does quote, only not now: it may be added to the watch list.
    """

    reason: str = ""
    is_asked: bool = True
    is_known: bool = False


NOT_ASKED: Final = Missing("its turn comes in a later poll", is_asked=False)
"""What a source returns for a ticker that its rate limit leaves to a later poll."""

Quotes = Mapping[str, Quote | Missing]


@runtime_checkable
class Source(Protocol):
    """Something that can be queried for the current quotes of tickers."""

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:
        """Return the quotes of `symbols` as of `now_ms` (epoch ms UTC).

        A symbol that is left out counts as missing, as one with `Missing` does.

        Raises
        ------
        SourceError
            If the source as a whole cannot answer now.
        """


@runtime_checkable
class HasConnection(Protocol):
    """A source that holds a connection, to be closed when a scan ends."""

    def close(self) -> None:
        """Close the connection."""


class MinuteBar(NamedTuple):
    """What was traded of a ticker in a minute; `ts` is its begin (epoch ms UTC), `volume` in units."""

    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class History(Protocol):
    """A vendor's minute bars of the past."""

    def minute_bars(self, symbol: str, since_ms: int, until_ms: int) -> Iterator[MinuteBar]:
        """Return a ticker's bars that begin from `since_ms` to before `until_ms` (epoch ms UTC), the oldest first.

        Raises
        ------
        SourceError
            If the vendor does not answer, or knows no such ticker.
        """


Environment = Mapping[str, str]
HistoryFactory = Callable[[Environment], History]
SourceFactory = Callable[[Environment], Source]


@dataclass(frozen=True, slots=True)
class Key:
    """A secret that a source needs: the variable of the environment, and field of the secret, that holds it.

    Parameters
    ----------
    variable
        Name in capitals, as the vendor's own SDK has it.
    where
        Where a person gets one, as a clause: ``"make one at https://finnhub.io/register"``.
    """

    variable: str
    where: str

    def __post_init__(self) -> None:
        checks = (
            ("variable", self.variable, _VARIABLE_RULE, _is_variable(self.variable)),
            ("where", self.where, "where to get one, as a clause", is_text(self.where)),
        )
        check(checks, SourceSpecError, f"key {self.variable!r}")


@dataclass(frozen=True, slots=True)
class Option:
    """A variable that changes what a source does, and need not be set.

    Parameters
    ----------
    variable
        Name in capitals.
    about
        What it chooses, as a clause.
    allowed
        The values that it may have; empty allows any.
    """

    variable: str
    about: str
    allowed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checks = (
            ("variable", self.variable, _VARIABLE_RULE, _is_variable(self.variable)),
            ("about", self.about, "what it chooses, as a clause", is_text(self.about)),
            ("allowed", self.allowed, "texts, as a tuple", is_list(self.allowed, str)),
        )
        check(checks, SourceSpecError, f"option {self.variable!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """Declares a source.

    Parameters
    ----------
    name
        The source's name in settings, batches and messages.
    summary
        What it is, as a clause for tables: ``"US stocks and ETFs"``.
    assets
        What it quotes.
    market
        The calendar of a ticker that names no other by its form: a market identifier code such as ``"XNYS"``,
        ``"24/7"`` or ``"fx"``.
    columns
        What its quotes hold besides the price.
    poll, stream
        Make the source from the environment: for polling, and for holding a stream during a scan.
    history
        Makes the vendor's history of minute bars from the environment; None where there is none.
    is_recorded
        True for recordings, which are played by `stock-monitor replay` and never polled.
    keys, options
        What it reads from the environment.
    calls_per_minute
        The vendor's limit for the plan that most people have; None where there is none.
    symbols_per_call, max_symbols
        How many tickers one call, and one poll, can request; None where that is not limited.
    packages
        Distributions that it imports and that the monitor does not bring.
    limits
        What else a user should know before choosing it, as sentences for docs/sources.md.

    Raises
    ------
    SourceSpecError
        If a part is missing or not allowed.
    """

    name: str
    summary: str
    assets: tuple[Asset, ...]
    market: str
    columns: tuple[Column, ...]
    poll: SourceFactory | None = None
    stream: SourceFactory | None = None
    history: HistoryFactory | None = None
    is_recorded: bool = False
    keys: tuple[Key, ...] = ()
    options: tuple[Option, ...] = ()
    calls_per_minute: float | None = None
    symbols_per_call: int | None = None
    max_symbols: int | None = None
    packages: tuple[str, ...] = ()
    limits: str = ""

    def __post_init__(self) -> None:
        check(_checks(self), SourceSpecError, f"source {self.name!r}")

    @property
    def modes(self) -> tuple[Mode, ...]:
        """How the source can be used, the usual way first."""
        return (
            *(("poll",) if self.poll is not None else ()),
            *(("stream",) if self.stream is not None else ()),
        )

    def check(self, environment: Environment) -> None:
        """Check that the installation and the environment have what the source needs.

        Raises
        ------
        SourceError
            If a package is missing, or as `check_settings` does.
        """
        for package in self.missing_packages():
            raise SourceError(f"source {self.name} needs the package {package}: pip install {package}")
        self.check_settings(environment)

    def check_settings(self, environment: Environment) -> None:
        """Check that the environment holds the source's keys, and options that are allowed.

        Raises
        ------
        SourceError
            If a key is missing, or an option is not allowed; says where to get what is missing.
        """
        for key in self.keys:
            self._check_key(key, environment.get(key.variable, "").strip())
        for option in self.options:
            value = environment.get(option.variable, "")
            if value and option.allowed and value not in option.allowed:
                allowed = f"one of {', '.join(option.allowed)}"
                raise SourceError(
                    f"{option.variable} is {value!r}", where=f"source {self.name}", allowed=allowed
                )

    def missing_packages(self) -> list[str]:
        """Return the distributions that the source needs and that are not installed."""
        return [name for name in self.packages if not _is_installed(name)]

    def _check_key(self, key: Key, value: str) -> None:
        if not value:
            raise SourceError(f"source {self.name} needs a key and {key.variable} is not set: {key.where}")
        if not value.isascii() or not value.isprintable():
            raise SourceError(
                f"source {self.name}: {key.variable} holds characters that no key has: check how it was set"
            )


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _checks(spec: SourceSpec) -> Iterator[Check]:
    """Yield every part of a declaration with what it must be."""
    maker = "None, or a function of the environment that makes the source"
    reserved = f"{', '.join(sorted(RESERVED_NAMES))} or what begins with {' or '.join(RESERVED_PREFIXES)}"
    named = f"{SOURCE_RULE}, and not {reserved}"
    yield "name", spec.name, named, _is_name(spec.name)
    yield "summary", spec.summary, "a clause: what it quotes", is_text(spec.summary)
    some = bool(spec.assets) and are_some(spec.assets, ASSETS)
    yield "assets", spec.assets, f"some of {', '.join(ASSETS)}, as a tuple", some
    yield "market", spec.market, f"one of {', '.join(markets())}", spec.market in markets()
    allowed = f"some of {', '.join(COLUMNS)}, as a tuple"
    yield "columns", spec.columns, allowed, are_some(spec.columns, COLUMNS)
    for name, made in (("poll", spec.poll), ("stream", spec.stream), ("history", spec.history)):
        yield name, made, maker, made is None or takes(made, 1)
    yield "is_recorded", spec.is_recorded, "True or False", isinstance(spec.is_recorded, bool)
    yield "poll and stream", None, "left out of a recording", not (spec.is_recorded and spec.modes)
    made_by = "a function of the environment that makes the source, at least one of them"
    yield "poll and stream", None, made_by, bool(spec.is_recorded or spec.modes)
    yield "keys", spec.keys, "Keys, as a tuple", is_list(spec.keys, Key)
    yield "options", spec.options, "Options, as a tuple", is_list(spec.options, Option)
    variables = [key.variable for key in spec.keys] + [option.variable for option in spec.options]
    yield "variables", variables, "each of one key or option", len(set(variables)) == len(variables)
    rate = spec.calls_per_minute
    yield "calls_per_minute", rate, f"a number above 0, {_NO_LIMIT}", rate is None or is_positive(rate)
    for name, limit in (("symbols_per_call", spec.symbols_per_call), ("max_symbols", spec.max_symbols)):
        yield name, limit, f"a whole number from 1, {_NO_LIMIT}", limit is None or is_count(limit)
    are_named = is_list(spec.packages, str) and all(map(_DISTRIBUTION.fullmatch, spec.packages))
    yield "packages", spec.packages, "names of distributions, as a tuple", are_named
    yield "limits", spec.limits, "sentences, or an empty text", isinstance(spec.limits, str)


def _is_name(name: object) -> bool:
    if not isinstance(name, str) or not is_source(name):
        return False
    return name not in RESERVED_NAMES and not name.startswith(RESERVED_PREFIXES)
