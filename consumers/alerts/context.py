"""What the market did at the moment of an incident, and whether that explains the ticker's move. Pure.

No score of a detector goes by it: an anomaly is one whatever the market does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import isfinite
from statistics import fmean, median
from typing import Literal

MINUTES = 5
"""Over which moves are compared."""
OTHERS = 3
"""Tickers beside its own of which a median says something."""
BETA_RETURNS = 30
"""Returns of minutes, of the ticker and of the index at once, from which a beta says something."""
EXPLAINED = 0.5
"""Share of a ticker's move from which the market, or its sector, explains it."""

Verdict = Literal["company", "sector-wide", "market"]
BESIDE: dict[Verdict, str] = {
    "company": "not the market",
    "sector-wide": "as its sector",
    "market": "as the market",
}
"""What a verdict says of a move, where there is room."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the market did in the minutes before an incident; moves are returns, None where one is not known.

    Attributes
    ----------
    why
        Why there is no verdict; "" where there is one.
    move
        The ticker's own.
    median, others
        The median of the other watched tickers' moves, and of how many; the index is none of them.
    index, index_move
        The index ticker that is watched; "" for none.
    beta
        How much the ticker usually moves with the index: by the minutes before these.
    residual
        The move less what was to expect: beta times the index's move, or the median where no beta is known.
    sector, sector_move
        The group of tickers in the settings that holds the ticker, and the median of its others.
    """

    verdict: Verdict | None = None
    why: str = ""
    move: float | None = None
    median: float | None = None
    others: int = 0
    index: str = ""
    index_move: float | None = None
    beta: float | None = None
    residual: float | None = None
    sector: str = ""
    sector_move: float | None = None


def context_of(
    ticker: str | None,
    moves: Mapping[str, float],
    *,
    index: str = "",
    beta: float | None = None,
    sectors: Mapping[str, Collection[str]] | None = None,
) -> Context:
    """Return the context of a ticker's move; of the whole market for None.

    Parameters
    ----------
    moves
        Returns over `MINUTES` by ticker, of those whose prices are known then and now.

    Examples
    --------
    >>> context_of("A", {"A": -0.03, "B": 0.001, "C": 0.0, "D": -0.002}).verdict
    'company'
    >>> context_of("A", {"A": -0.03, "B": -0.02}).why
    'prices of 1 other ticker are known, a median needs 3'
    """
    others = [move for of, move in moves.items() if of not in {ticker, index}]
    middle = median(others) if len(others) >= OTHERS else None
    index_move = moves.get(index) if index != ticker else None
    if ticker is None:
        return Context("market", "", None, middle, len(others), index, index_move)
    move = moves.get(ticker)
    usual = beta if index_move is not None and beta is not None and isfinite(beta * index_move) else None
    expected = middle if usual is None or index_move is None else usual * index_move
    sector, sector_move = _sector(ticker, moves, sectors or {})
    verdict, why = _verdict(ticker, move, expected, sector_move, len(others))
    residual = None if move is None or expected is None else move - expected
    return Context(
        verdict,
        why,
        move,
        middle,
        len(others),
        index if index != ticker else "",
        index_move,
        usual,
        residual,
        sector,
        sector_move,
    )


def beta_of(closes: Mapping[int, float], index_closes: Mapping[int, float]) -> float | None:
    """Return the beta of a ticker to the index, by closes of minutes (keys: numbers of minutes); None if unknown."""
    pairs = [
        (closes[at] / closes[at - 1] - 1, index_closes[at] / index_closes[at - 1] - 1)
        for at in closes
        if at - 1 in closes and at in index_closes and at - 1 in index_closes
    ]
    if len(pairs) < BETA_RETURNS:
        return None
    try:
        own_mean, index_mean = fmean(own for own, _ in pairs), fmean(of for _, of in pairs)
    except OverflowError:  # of prices of next to nothing
        return None
    together = sum((own - own_mean) * (of - index_mean) for own, of in pairs)
    alone = sum((of - index_mean) * (of - index_mean) for _, of in pairs)
    beta = together / alone if alone > 0 else float("nan")
    return beta if isfinite(beta) else None


def sentence(context: Context, subject: str) -> str:
    """Return what the market did, and what that makes of a subject's move, as a sentence."""
    facts = []
    if context.move is not None:
        facts.append(f"{subject} {percent(context.move)}")
    if context.median is not None:
        others = "all" if context.move is None else "the other"
        facts.append(f"{others} {context.others:,} tickers {percent(context.median)} (median)")
    if context.index_move is not None:
        usual = f" (beta {context.beta:.2f})" if context.beta is not None else ""
        facts.append(f"{context.index} {percent(context.index_move)}{usual}")
    if context.sector_move is not None:
        facts.append(f"{context.sector} {percent(context.sector_move)}")
    if context.residual is not None:
        facts.append(f"residual {percent(context.residual)}")
    said = f"In {MINUTES} min {', '.join(facts)}" if facts else ""
    if context.verdict is not None:
        return f"{BESIDE[context.verdict].capitalize()}{': ' if said else ''}{said[:1].lower()}{said[1:]}."
    unknown = f"Not compared with the market: {context.why}"
    return f"{unknown}. {said}." if said else f"{unknown}."


def percent(move: float) -> str:
    """Return a return, with its sign: 0.0213 is +2.13%, and what rounds to none has no sign.

    >>> percent(0.0213), percent(-0.00004)
    ('+2.13%', '0.00%')
    """
    text = f"{move * 100:+.2f}%"
    return text if text.strip("+-0.%") else "0.00%"


def _verdict(
    ticker: str, move: float | None, expected: float | None, sector_move: float | None, others: int
) -> tuple[Verdict | None, str]:
    if move is None:
        return None, f"the price of {ticker} at that time or {MINUTES} minutes earlier is unknown"
    if expected is None:
        of = "1 other ticker are" if others == 1 else f"{others} other tickers are"
        return None, f"prices of {of} known, a median needs {OTHERS}"
    if move == 0:
        return None, f"{ticker} did not move"
    if _explains(expected, move):
        return "market", ""
    if sector_move is not None and _explains(sector_move, move):
        return "sector-wide", ""
    return "company", ""


def _explains(part: float, move: float) -> bool:
    return (part > 0) == (move > 0) and abs(part) >= EXPLAINED * abs(move)


def _sector(
    ticker: str, moves: Mapping[str, float], sectors: Mapping[str, Collection[str]]
) -> tuple[str, float | None]:
    for name, tickers in sectors.items():
        if ticker in tickers:
            known = [moves[of] for of in tickers if of != ticker and of in moves]
            return name, median(known) if known else None
    return "", None
