"""When markets trade: the calendars of exchanges, of crypto (``24/7``) and of FX (``fx``), and which one a ticker has.

A scheduler's rule knows neither time zones nor holidays, so it looks here. Sessions, lunch breaks, half days,
holidays and daylight saving come from calendars.json, which `generate` makes of exchange_calendars; nothing else
has to be there at run time. Beyond its years the last year it knows is repeated, week for week.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from itertools import accumulate, count
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec

from producers.errors import ArgumentError

Session = Literal["regular", "extended", "always"]
SESSIONS: tuple[Session, ...] = get_args(Session)
ALWAYS_OPEN: Final = "24/7"
FX: Final = "fx"
NEW_YORK: Final = "XNYS"

_FILE = Path(__file__).with_name("calendars.json")
_DAY = timedelta(days=1)
_YEAR_DAYS = 364  # whole weeks
# Minutes of trading before the opening and after the close, where there is any that quotes are sold of.
_EXTENDED: Final[Mapping[str, tuple[int, int]]] = {"XNYS": (330, 240), "XNAS": (330, 240)}

# How vendors write a listing: Yahoo's suffixes (https://help.yahoo.com/kb/SLN2310.html), and prefixes of venues.
_SUFFIXES: Final[Mapping[str, str]] = {
    "TO": "XTSE", "NE": "XTSE", "CN": "XTSE", "V": "XTSX", "SA": "BVMF", "MX": "XMEX", "BA": "XBUE", "SN": "XSGO",
    "CL": "XBOG", "LM": "XLIM", "CME": "CMES", "CBT": "CMES", "CMX": "CMES", "NYM": "CMES", "NYB": "CMES",
    "L": "XLON", "IL": "XLON", "IR": "XDUB", "PA": "XPAR", "AS": "XAMS", "BR": "XBRU", "LS": "XLIS", "DE": "XETR",
    "F": "XFRA", "BE": "XFRA", "BM": "XFRA", "DU": "XFRA", "HA": "XFRA", "HM": "XFRA", "MU": "XFRA", "SG": "XFRA",
    "MI": "XMIL", "TI": "XMIL", "MC": "XMAD", "SW": "XSWX", "VI": "XWBO", "ST": "XSTO", "HE": "XHEL", "CO": "XCSE",
    "OL": "XOSL", "WA": "XWAR", "PR": "XPRA", "BD": "XBUD", "IS": "XIST", "SR": "XSAU", "JO": "XJSE",
    "NS": "XBOM", "BO": "XBOM", "KA": "XKAR", "HK": "XHKG", "SS": "XSHG", "SZ": "XSHG", "T": "XTKS", "KS": "XKRX",
    "KQ": "XKRX", "TW": "XTAI", "TWO": "XTAI", "SI": "XSES", "KL": "XKLS", "JK": "XIDX", "BK": "XBKK", "PS": "XPHS",
    "AX": "XASX", "NZ": "XNZE", "AT": "ASEX", "TA": "XTAE", "RO": "XBSE", "IC": "XICE", "TL": "XTAL", "RG": "XRIS",
    "VS": "XLIT", "ME": "XMOS", "XA": "XASX", "AQ": "XLON", "XC": "XLON", "NX": "XPAR", "XD": "XPAR",
}  # fmt: skip
_WITHOUT_CALENDAR = frozenset(["AE", "CA", "CM", "CR", "KW", "QA", "VN"])
"""Suffixes of exchanges that exchange_calendars does not know: of the Emirates, Egypt, Sri Lanka, Venezuela, Kuwait,
Qatar and Vietnam."""
# Yahoo's indices say no exchange (https://finance.yahoo.com/markets/world-indices/); those not listed are New York's.
_INDICES: Final[Mapping[str, str]] = {
    "^FTSE": "XLON", "^FTMC": "XLON", "^FTAS": "XLON", "^GDAXI": "XETR", "^MDAXI": "XETR", "^SDAXI": "XETR",
    "^TECDAX": "XETR", "^STOXX": "XETR", "^STOXX50E": "XETR", "^FCHI": "XPAR", "^SBF120": "XPAR",
    "^N100": "XPAR", "^AEX": "XAMS", "^BFX": "XBRU",
    "^IBEX": "XMAD", "^SSMI": "XSWX", "^ATX": "XWBO", "^OMX": "XSTO", "^OMXS30": "XSTO",
    "^OMXC25": "XCSE", "^OMXH25": "XHEL",
    "^N225": "XTKS", "^HSI": "XHKG", "^HSCE": "XHKG", "^KS11": "XKRX", "^KS200": "XKRX", "^KQ11": "XKRX",
    "^TWII": "XTAI", "^STI": "XSES", "^KLSE": "XKLS", "^JKSE": "XIDX", "^NSEI": "XBOM", "^NSEBANK": "XBOM",
    "^BSESN": "XBOM", "^INDIAVIX": "XBOM", "^AXJO": "XASX", "^AORD": "XASX", "^NZ50": "XNZE", "^GSPTSE": "XTSE",
    "^BVSP": "BVMF", "^MXX": "XMEX", "^MERV": "XBUE",
}  # fmt: skip
# Venues as TradingView and Finnhub write them before a colon, and X: and C: of Polygon; market identifier codes are
# known as well.
_VENUES: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ["BINANCE", "BINANCEUS", "BITFINEX", "BITGET", "BITMEX", "BITSTAMP", "BITTREX", "BYBIT", "COINBASE", "CRYPTO",
         "DERIBIT", "GATEIO", "GEMINI", "HITBTC", "HUOBI", "KRAKEN", "KUCOIN", "MEXC", "OKEX", "OKX", "POLONIEX",
         "UPBIT", "X"], ALWAYS_OPEN),
    **dict.fromkeys(["OANDA", "FXCM", "FOREX", "FX", "FX_IDC", "FXPRO", "PEPPERSTONE", "C"], FX),
    "NYSE": "XNYS", "AMEX": "XNYS", "NASDAQ": "XNYS", "TSX": "XTSE", "TSXV": "XTSX", "NEO": "XTSE", "CSE": "XTSE",
    "BMFBOVESPA": "BVMF", "BMV": "XMEX", "BCBA": "XBUE", "BCS": "XSGO", "BVC": "XBOG", "CME": "CMES",
    "CME_MINI": "CMES", "CBOT": "CMES", "CBOT_MINI": "CMES", "NYMEX": "CMES", "COMEX": "CMES", "LSE": "XLON",
    "EURONEXT": "XPAR", "XETR": "XETR", "FWB": "XFRA", "MIL": "XMIL", "BME": "XMAD", "SIX": "XSWX", "VIE": "XWBO",
    "OMXSTO": "XSTO", "OMXHEX": "XHEL", "OMXCOP": "XCSE", "OMXICE": "XICE", "OMXTSE": "XTAL", "OMXRSE": "XRIS",
    "OMXVSE": "XLIT", "OSL": "XOSL", "GPW": "XWAR", "PSECZ": "XPRA", "BET": "XBUD", "BVB": "XBSE", "ATHEX": "ASEX",
    "MOEX": "XMOS", "BIST": "XIST", "TADAWUL": "XSAU", "TASE": "XTAE", "JSE": "XJSE", "NSE": "XBOM", "BSE": "XBOM",
    "PSX": "XKAR", "HKEX": "XHKG", "SSE": "XSHG", "SZSE": "XSHG", "TSE": "XTKS", "KRX": "XKRX", "TWSE": "XTAI",
    "TPEX": "XTAI", "SGX": "XSES", "MYX": "XKLS", "IDX": "XIDX", "SET": "XBKK", "PSE": "XPHS", "ASX": "XASX",
    "NZX": "XNZE",
}  # fmt: skip
_PAIR = re.compile(r"([A-Z0-9]{2,12})[-/]([A-Z]{3,4})")
_FIAT = frozenset(
    ["USD", "EUR", "GBP", "JPY", "CHF", "AUD", "NZD", "CAD", "SEK", "NOK", "DKK", "CNY", "CNH", "HKD", "SGD",
     "AED", "ARS", "BRL", "CLP", "COP", "CZK", "HUF", "IDR", "ILS", "INR", "KRW", "MXN", "MYR", "PEN", "PHP", "PLN",
     "RON", "RUB", "SAR", "THB", "TRY", "TWD", "VND", "ZAR", "XAU", "XAG", "XPT", "XPD"]
)  # fmt: skip
"""Currencies and metals of ISO 4217, which trade as FX does."""
_COINS = frozenset(["USDT", "USDC", "BTC", "ETH"])
"""Coins in which others are quoted."""


class _Calendar(msgspec.Struct):
    """An exchange's sessions, as `generate` says it."""

    weekdays: list[int]
    first: int
    last: int
    runs: list[list[int]]
    closed: list[int]
    special: dict[int, list[int]]

    def minutes(self, day: int) -> list[int] | None:
        """Return the session of a day (its ordinal) in minutes from midnight UTC, None if there is none."""
        if day > self.last:
            day -= -(-(day - self.last) // _YEAR_DAYS) * _YEAR_DAYS
        elif day < self.first:
            day += -(-(self.first - day) // _YEAR_DAYS) * _YEAR_DAYS
        if day in self.special:
            return self.special[day]
        if (day + 6) % 7 not in self.weekdays:  # day 1, in the year 1, was a Monday
            return None
        index = bisect_right(self.closed, day)
        if index and self.closed[index - 1] == day:
            return None
        return self.runs[max(0, bisect_right(self.runs, [day, 10_000]) - 1)][1:]


def markets() -> list[str]:
    """Return the names of all markets: market identifier codes (ISO 10383), ``24/7`` and ``fx``."""
    return [ALWAYS_OPEN, FX, *sorted(_calendars())]


def check_market(name: str) -> None:
    """Check that there is a market of this name.

    Raises
    ------
    ArgumentError
        If there is none; names those that there are.
    """
    if name not in (known := markets()):
        raise ArgumentError(f"unknown market {name!r}", allowed=f"one of {', '.join(known)}")


def is_open(session: Session, at: datetime, market: str = NEW_YORK) -> bool:
    """Return whether a market's session is on at a time (aware); it holds its opening instant and not its closing.

    Extended hours are those of the exchanges that have them; elsewhere they are the regular ones.
    """
    if session == "always" or market == ALWAYS_OPEN:
        return True
    at = at.astimezone(UTC)
    if market == FX:
        return _is_fx_open(at)
    # A session may begin on the UTC day before its own, or end on the one after.
    days = (at.date() + offset * _DAY for offset in (-1, 0, 1))
    return any(begins <= at < ends for day in days for begins, ends in trading_hours(session, day, market))


def closed_hours(session: Session, at: datetime, market: str = NEW_YORK) -> tuple[datetime, datetime] | None:
    """Return since when a market is closed at a time (aware), and when it opens; None while it is open.

    A lunch break is such a pause too.

    Examples
    --------
    >>> sunday = datetime(2025, 11, 30, 12, tzinfo=UTC)
    >>> [f"{moment:%a %H:%M}" for moment in closed_hours("regular", sunday) or ()]
    ['Fri 18:00', 'Mon 14:30']
    >>> closed_hours("regular", sunday, ALWAYS_OPEN) is None
    True
    """
    if session == "always" or is_open(session, at, market):
        return None
    at = at.astimezone(UTC)
    if market == FX:
        friday = at.astimezone(new_york(at.date())).date()
        friday -= timedelta(days=(friday.weekday() - 4) % 7)
        ends, begins = (
            datetime(day.year, day.month, day.day, 17, tzinfo=new_york(day))
            for day in (friday, friday + 2 * _DAY)
        )
        return ends.astimezone(UTC), begins.astimezone(UTC)
    # A session may begin on the UTC day before its own, or end on the one after.
    before, after = (at.date() - n * _DAY for n in count(-1)), (at.date() + n * _DAY for n in count(-1))
    closings = (ends for day in before for _, ends in trading_hours(session, day, market)[::-1] if ends <= at)
    openings = (begins for day in after for begins, _ in trading_hours(session, day, market) if begins > at)
    return next(closings), next(openings)


def trading_hours(
    session: Literal["regular", "extended"], day: date, market: str = NEW_YORK
) -> list[tuple[datetime, datetime]]:
    """Return the parts of an exchange's session of its day `day`, as opening and closing times (UTC).

    There are two parts where there is a lunch break, and none on a day without trading.

    Raises
    ------
    ArgumentError
        If there is no such exchange.
    """
    calendar = _calendars().get(market)
    if calendar is None:
        check_market(market)
        raise ArgumentError(f"market {market} has no sessions: it never closes, or by the week")
    minutes = calendar.minutes(day.toordinal())
    if minutes is None:
        return []
    before, after = _EXTENDED.get(market, (0, 0)) if session == "extended" else (0, 0)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    times = [
        midnight + timedelta(minutes=minute)
        for minute in [minutes[0] - before, *minutes[1:-1], minutes[-1] + after]
    ]
    return list(zip(times[::2], times[1::2], strict=True))


def market_of(symbol: str, listing: str = NEW_YORK) -> str:
    """Return the market of a ticker of a source whose tickers are listed at `listing` unless their form says otherwise.

    Examples
    --------
    >>> [market_of(ticker) for ticker in ("AAPL", "BRK.B", "VOD.L", "0700.HK", "OANDA:EUR_USD", "EURUSD=X", "ES=F")]
    ['XNYS', 'XNYS', 'XLON', 'XHKG', 'fx', 'fx', 'CMES']
    >>> market_of("BTC-USD"), market_of("BTC/USD", "24/7"), market_of("USD/TRY"), market_of("BRK-B"), market_of("^N225")
    ('24/7', '24/7', 'fx', 'XNYS', 'XTKS')
    """
    if listing == ALWAYS_OPEN:
        return ALWAYS_OPEN
    venue, colon, rest = symbol.partition(":")
    if colon:
        known = _VENUES.get(venue) or (venue if venue in _calendars() else "")
        return known or market_of(rest, listing)
    if market := _INDICES.get(symbol):
        return market
    for mark, market in (("=X", FX), ("=F", "CMES"), ("!", "CMES")):
        if symbol.endswith(mark):
            return market
    if (pair := _PAIR.fullmatch(symbol)) and pair[2] in _FIAT | _COINS:
        return FX if _FIAT.issuperset(pair.groups()) else ALWAYS_OPEN
    stem, dot, suffix = symbol.rpartition(".")
    return _SUFFIXES.get(suffix, listing) if dot and stem else listing


def has_no_calendar(symbol: str) -> bool:
    """Return whether a ticker is of an exchange of which no calendar is known, so that its market is a guess.

    >>> has_no_calendar("FPT.VN"), has_no_calendar("SBER.ME"), has_no_calendar("BRK.B")
    (True, False, False)
    """
    return symbol.rpartition(".")[2] in _WITHOUT_CALENDAR and "." in symbol[1:]


def new_york(day: date) -> timezone:
    """Return New York's offset in the trading hours of a day; it changes on Sundays, outside of them.

    It is the rule in force since 2007 (Energy Policy Act of 2005), so that no time zone database has to be there.
    """
    first_sunday_of_march = _first_sunday(date(day.year, 3, 1))
    summer = first_sunday_of_march + timedelta(days=7) <= day < _first_sunday(date(day.year, 11, 1))
    return timezone(timedelta(hours=-4 if summer else -5))


def _is_fx_open(at: datetime) -> bool:
    """Whether it is between Sunday and Friday, 17:00 in New York."""
    local = at.astimezone(new_york(at.date()))
    hours = local.weekday() * 24 + local.hour
    return not 4 * 24 + 17 <= hours < 6 * 24 + 17


def _first_sunday(day: date) -> date:
    return day + timedelta(days=6 - day.weekday())


@lru_cache(maxsize=1)
def _calendars() -> dict[str, _Calendar]:
    calendars = msgspec.json.decode(_FILE.read_bytes(), type=dict[str, _Calendar])
    for calendar in calendars.values():
        calendar.closed = list(accumulate(calendar.closed))
    return calendars
