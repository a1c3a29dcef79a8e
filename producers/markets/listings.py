"""Which market each watched ticker has: by the settings, by its form, or by its source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from producers.errors import ArgumentError
from producers.markets import ALWAYS_OPEN, Session, check_market, has_no_calendar, is_open, market_of
from producers.symbols import SYMBOL_RULE, in_capitals, is_symbol


class Listings:
    """Says the market of a ticker.

    Parameters
    ----------
    settings
        Markets of tickers whose form does not say theirs: ``"ABC=XLON,XYZ=XETR"``.
    listing
        The market of a source's tickers unless their form says otherwise.

    Raises
    ------
    ArgumentError
        If a setting is no ticker and market, or names a ticker twice.

    Examples
    --------
    >>> listings = Listings("ABC=XLON", "XNYS")
    >>> listings("ABC"), listings("7203.T"), listings("IBM")
    ('XLON', 'XTKS', 'XNYS')
    """

    def __init__(self, settings: str, listing: str) -> None:
        check_market(listing)
        self._listing = listing
        self._known: dict[str, str] = {}
        for item in filter(None, (item.strip() for item in settings.split(","))):
            name, _, market = item.rpartition("=")
            if not is_symbol(ticker := in_capitals(name)):
                raise ArgumentError(
                    f"{item!r} in the markets of tickers", allowed=f"TICKER=MARKET, a ticker {SYMBOL_RULE}"
                )
            check_market(market)
            if ticker in self._known:
                raise ArgumentError(f"{ticker} is there twice", allowed="one market for a ticker")
            self._known[ticker] = market
        self._set = frozenset(self._known)

    def __call__(self, symbol: str) -> str:
        """Return the market of a ticker."""
        if symbol not in self._known:
            self._known[symbol] = market_of(symbol, self._listing)
        return self._known[symbol]

    def is_guess(self, symbol: str) -> bool:
        """Return whether the market is the source's, because no calendar of the ticker's own exchange is known.

        >>> listings = Listings("FPT.VN=XBKK", "XNYS")
        >>> listings.is_guess("FPT.VN"), listings.is_guess("VNM.VN"), listings.is_guess("BRK.B")
        (False, True, False)
        """
        return self._listing != ALWAYS_OPEN and has_no_calendar(symbol) and symbol not in self._set


def traded(
    tickers: Sequence[str], session: Session, at: datetime, market_of: Callable[[str], str]
) -> Sequence[str]:
    """Return the tickers whose own market is in the session at a time (aware).

    Examples
    --------
    >>> from datetime import UTC
    >>> traded(["IBM", "7203.T", "BTC-USD"], "regular", datetime(2025, 11, 25, 1, tzinfo=UTC), market_of)
    ['7203.T', 'BTC-USD']
    """
    markets = {ticker: market_of(ticker) for ticker in tickers}
    is_on = {market: is_open(session, at, market) for market in set(markets.values())}
    return tickers if all(is_on.values()) else [ticker for ticker in tickers if is_on[markets[ticker]]]
