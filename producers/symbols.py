"""How tickers and the names of sources are written."""

from __future__ import annotations

import re
from functools import lru_cache

_SOURCE = re.compile(r"[A-Za-z0-9._-]{1,64}")
# As vendors write them: BRK.B, M&M.NS, BINANCE:BTCUSDT, OANDA:EUR_USD, BTC/USD, ^GSPC, ES=F, ES1!, and option
# symbols of the OCC (AAPL250117C00150000) and of Deribit (BTC-27DEC24-100000-C).
SYMBOL_CHARACTERS = "A-Z0-9.^=/_:&-"
SYMBOL_PATTERN = f"[{SYMBOL_CHARACTERS}]{{1,31}}[!{SYMBOL_CHARACTERS}]?"
SYMBOL_RULE = "1 to 32 of A-Z 0-9 . ^ = / _ : & -, the last may be !"
_SYMBOL = re.compile(SYMBOL_PATTERN)
_PADDED_OPTION = re.compile(r"\b([A-Z0-9]{1,5}) +([0-9]{6}[CP][0-9]{8})\b", re.IGNORECASE)
"""An option of the OCC with its root filled up to six characters, as its symbology has it."""
SOURCE_RULE = "1 to 64 of A-Z a-z 0-9 . _ -"


@lru_cache(maxsize=65_536)
def is_symbol(symbol: str) -> bool:
    """Return whether `symbol` is written as a ticker may be (`SYMBOL_RULE`)."""
    return _SYMBOL.fullmatch(symbol) is not None


def in_capitals(text: str) -> str:
    """Return a ticker as it is written here: in capitals, an option of the OCC without the blanks in it.

    What is not ASCII stays, and is no ticker: the capital of 'ß' is 'SS'.

    Examples
    --------
    >>> in_capitals("aapl  261218c00250000")
    'AAPL261218C00250000'
    >>> in_capitals("brk.b"), is_symbol(in_capitals("ıbm"))
    ('BRK.B', False)
    """
    return without_padding(text.upper()) if text.isascii() else text


def without_padding(text: str) -> str:
    """Return a ticker, or a list of them, in which options of the OCC stand without the blanks in them."""
    return _PADDED_OPTION.sub(r"\1\2", text)


def is_source(source: str) -> bool:
    """Return whether `source` is written as the name of a source may be: 1 to 64 of A-Z a-z 0-9 . _ -."""
    return _SOURCE.fullmatch(source) is not None
