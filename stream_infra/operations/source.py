"""Whether the scanner can use its source: what the source declares, against its settings and its secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from botocore.exceptions import ClientError

from producers.errors import ArgumentError
from producers.markets import SESSIONS, Session, is_open
from producers.markets.listings import Listings, traded
from producers.secret import SecretsClient, environment_with_secret
from producers.settings import SettingsError
from producers.source import SourceError
from producers.sources import describe, get_pollable
from stream_infra.operations.facts import QuoteSource

_ANY_TICKER = "A"
"""Stands for a watch list that cannot be read: it has the market of its source."""


def traded_now(scanner: Mapping[str, str], tickers: Sequence[str], now: datetime) -> Sequence[str]:
    """Return the tickers of which quotes are to be expected: their own market is in the scanner's session."""
    session: Session | None = next((known for known in SESSIONS if known == scanner.get("SESSION")), None)
    if session is None:
        return tickers
    try:
        market_of = Listings(scanner.get("MARKETS", ""), get_pollable(scanner.get("SOURCE", "")).market)
    except (SourceError, ArgumentError):
        return tickers  # the check of the source says what is wrong
    return traded(tickers, session, now, market_of)


def market_open(scanner: Mapping[str, str], tickers: Sequence[str], now: datetime) -> bool:
    """Return whether quotes of any ticker are to be expected."""
    return bool(traded_now(scanner, tickers or [_ANY_TICKER], now))


def quote_source(
    scanner: Mapping[str, str], secrets: SecretsClient, watched: Sequence[str], now: datetime
) -> QuoteSource:
    """Return what the scanner's source is, and why the scanner cannot use it if that is so.

    Parameters
    ----------
    scanner
        The variables of the function stock-scanner.
    secrets
        A client of Secrets Manager, for the secret that the variables name.
    watched, now
        The tickers, for their markets, and when to say whether these are open.

    Raises
    ------
    ClientError
        If whoever runs this may not read the secret.
    """
    name, secret = scanner.get("SOURCE", ""), scanner.get("SOURCE_SECRET", "")
    try:
        spec = get_pollable(name)
    except SourceError as error:
        return QuoteSource(name, problem=str(error))
    broken = tuple(f"{each.name} ({each.problem})" for each in describe() if each.spec is None)
    try:
        found = QuoteSource(
            name,
            scanner.get("SOURCE_MODE") or spec.modes[0],
            _markets(Listings(scanner.get("MARKETS", ""), spec.market), watched, now) or (spec.market,),
            tuple(key.variable for key in spec.keys),
            broken=broken,
        )
        spec.check_settings(environment_with_secret(scanner, secrets, secret) if secret else scanner)
    except SettingsError as error:
        if isinstance(denied := error.__cause__, ClientError) and "AccessDenied" in str(denied):
            raise denied from error
        return QuoteSource(name, problem=str(error))
    except (SourceError, ArgumentError) as error:
        return QuoteSource(name, problem=str(error))
    return found


def _markets(market_of: Listings, watched: Sequence[str], now: datetime) -> tuple[str, ...]:
    """Return the markets of the tickers, each with whether it is open now."""
    markets = sorted({market_of(ticker) for ticker in watched})
    return tuple(f"{market} {'open' if is_open('regular', now, market) else 'closed'}" for market in markets)
