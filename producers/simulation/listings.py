"""What the simulated market lists: plausible prices, volumes and volatilities, and whom each moves with.

The numbers are round and invented; only their orders of magnitude resemble the companies'.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from producers.simulation.paths import hashed, seed_of, uniform

SECTORS = ("technology", "consumer", "finance", "energy", "health", "staples", "industry")


class Listing(NamedTuple):
    """A ticker's character: dollars, shares a day, and daily volatilities as shares of the price."""

    price: float
    daily_volume: float
    sector: str
    beta: float
    own_volatility: float
    half_spread: float  # share of the price


# symbol: (price in dollars, million shares a day, sector, beta, own daily volatility in percent)
_KNOWN: dict[str, tuple[float, float, str, float, float]] = {
    "AAPL": (230.0, 55.0, "technology", 1.15, 0.9),
    "MSFT": (440.0, 22.0, "technology", 1.05, 0.8),
    "NVDA": (140.0, 220.0, "technology", 1.7, 1.9),
    "GOOGL": (180.0, 26.0, "technology", 1.1, 1.0),
    "META": (580.0, 14.0, "technology", 1.25, 1.3),
    "AVGO": (190.0, 25.0, "technology", 1.4, 1.5),
    "AMD": (150.0, 45.0, "technology", 1.7, 1.8),
    "INTC": (24.0, 65.0, "technology", 1.2, 1.9),
    "ORCL": (170.0, 9.0, "technology", 1.0, 1.2),
    "CRM": (300.0, 6.0, "technology", 1.2, 1.2),
    "ADBE": (510.0, 3.5, "technology", 1.2, 1.2),
    "CSCO": (55.0, 18.0, "technology", 0.85, 0.8),
    "IBM": (215.0, 4.0, "technology", 0.7, 0.9),
    "QCOM": (165.0, 8.0, "technology", 1.3, 1.3),
    "NFLX": (720.0, 3.5, "technology", 1.2, 1.5),
    "AMZN": (200.0, 40.0, "consumer", 1.2, 1.1),
    "TSLA": (300.0, 95.0, "consumer", 1.9, 2.4),
    "HD": (400.0, 3.5, "consumer", 0.95, 0.8),
    "MCD": (290.0, 3.5, "consumer", 0.6, 0.7),
    "NKE": (80.0, 11.0, "consumer", 1.0, 1.2),
    "SBUX": (97.0, 8.5, "consumer", 0.9, 1.0),
    "DIS": (105.0, 10.0, "consumer", 1.1, 1.0),
    "F": (11.0, 55.0, "consumer", 1.3, 1.4),
    "GM": (52.0, 14.0, "consumer", 1.3, 1.3),
    "JPM": (230.0, 9.0, "finance", 1.05, 0.8),
    "BAC": (44.0, 35.0, "finance", 1.15, 0.9),
    "WFC": (68.0, 16.0, "finance", 1.1, 1.0),
    "GS": (560.0, 2.2, "finance", 1.25, 0.9),
    "MS": (125.0, 6.0, "finance", 1.25, 0.9),
    "C": (66.0, 13.0, "finance", 1.3, 1.0),
    "V": (300.0, 6.0, "finance", 0.9, 0.7),
    "MA": (510.0, 2.6, "finance", 0.95, 0.7),
    "AXP": (275.0, 2.8, "finance", 1.15, 0.8),
    "BRK.B": (455.0, 3.5, "finance", 0.75, 0.5),
    "XOM": (118.0, 15.0, "energy", 0.75, 0.8),
    "CVX": (155.0, 8.0, "energy", 0.8, 0.8),
    "COP": (110.0, 6.0, "energy", 0.95, 1.0),
    "SLB": (43.0, 11.0, "energy", 1.1, 1.2),
    "UNH": (580.0, 3.2, "health", 0.6, 1.0),
    "JNJ": (158.0, 7.0, "health", 0.45, 0.6),
    "LLY": (850.0, 3.0, "health", 0.7, 1.4),
    "PFE": (28.0, 35.0, "health", 0.6, 0.9),
    "MRK": (103.0, 9.0, "health", 0.5, 0.8),
    "ABBV": (185.0, 5.5, "health", 0.55, 0.8),
    "KO": (66.0, 13.0, "staples", 0.5, 0.55),
    "PEP": (165.0, 5.0, "staples", 0.5, 0.6),
    "PG": (168.0, 6.0, "staples", 0.45, 0.55),
    "WMT": (82.0, 16.0, "staples", 0.6, 0.7),
    "COST": (900.0, 1.9, "staples", 0.8, 0.8),
    "BA": (155.0, 9.0, "industry", 1.3, 1.5),
    "CAT": (385.0, 2.6, "industry", 1.1, 0.9),
    "GE": (180.0, 5.0, "industry", 1.15, 1.0),
    "HON": (220.0, 3.0, "industry", 0.9, 0.7),
    "UPS": (135.0, 4.0, "industry", 0.9, 0.9),
    "SPY": (590.0, 60.0, "industry", 1.0, 0.05),
    "QQQ": (500.0, 35.0, "technology", 1.15, 0.15),
    "DIA": (435.0, 3.0, "industry", 0.9, 0.1),
    "IWM": (225.0, 28.0, "finance", 1.2, 0.3),
}


@lru_cache(maxsize=65_536)
def listing(symbol: str) -> Listing:
    """Return the character of any ticker: from the table, or else drawn from the hash of its name."""
    bits = seed_of("listing", symbol)
    draw = [uniform(hashed(bits, position)) for position in range(6)]
    half_spread = (0.4 + 1.6 * draw[0]) * 1e-4
    if symbol in _KNOWN:
        price, millions, sector, beta, own = _KNOWN[symbol]
        return Listing(price, millions * 1e6, sector, beta, own / 100, half_spread)
    return Listing(
        price=round(8.0 * 50.0 ** draw[1], 2),
        daily_volume=5e5 * 40.0 ** draw[2],
        sector=SECTORS[int(draw[3] * len(SECTORS))],
        beta=0.5 + 1.2 * draw[4],
        own_volatility=0.006 + 0.016 * draw[5],
        half_spread=half_spread * 2,
    )
