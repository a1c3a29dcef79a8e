"""Random paths with random access: Brownian motion and traded volume as pure functions of time.

A path over a unit interval is a binary tree. Each node halves its interval, hands one part of the
variance (or volume) to each half, and places the middle by the Brownian bridge between the ends, with
numbers hashed from the node's position. Uneven shares, multiplied level by level, make volatility and
volume cluster as they do in markets. A value costs one walk from the root, whatever the time; the upper
half of the walk is remembered.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from math import sqrt
from typing import NamedTuple

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_LEVELS = 18  # the leaves of a day are a third of a second
_UPPER_LEVELS = 9
_PARTS = 1 << _UPPER_LEVELS
"""Of a path, remembered for many paths that are asked for at one time, and soon again: some minutes of a day."""
_VOLATILITY_UNEVENNESS = 0.16
_VOLUME_UNEVENNESS = 0.26


@lru_cache(maxsize=65_536)
def seed_of(*parts: str | int) -> int:
    """Return a 64-bit seed from names and numbers, the same in every process."""
    text = "/".join(map(str, parts))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def hashed(seed: int, position: int) -> int:
    """Return 64 well-mixed bits for a position (the finaliser of SplitMix64, public domain, S. Vigna)."""
    z = (seed + position * _GOLDEN) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def uniform(bits: int) -> float:
    """Return a number in [0, 1) from 64 bits."""
    return (bits >> 11) * 2.0**-53


def normal(bits: int) -> float:
    """Return a roughly normal number, mean 0 and variance 1, never beyond 3: the sum of three uniform numbers."""
    total = (bits & 0x3FFF) + (bits >> 14 & 0x3FFF) + (bits >> 28 & 0x3FFF)
    return total / 8192.0 - 3.0


def brownian(
    seed: int, x: float, start: float, end: float, *, variance: float, levels: int = _LEVELS
) -> float:
    """Return a Brownian bridge with clustered volatility at `x` in [0, 1], from `start` to `end`.

    `variance` is that of the motion over the whole interval.
    """
    motion = _Motion(1, start, end, variance)
    if levels > _UPPER_LEVELS:
        number, x = _part(x)
        motion, levels = _part_of_motion(seed, number, motion), levels - _UPPER_LEVELS
    (_, start, end, _), x = _motion_around(seed, x, motion, levels)
    return start + x * (end - start)


class _Motion(NamedTuple):
    """A Brownian bridge over the interval of a node, and the variance of the motion over it."""

    node: int
    start: float
    end: float
    variance: float


@lru_cache(maxsize=65_536)
def _part_of_motion(seed: int, number: int, motion: _Motion) -> _Motion:
    return _motion_around(seed, number / _PARTS, motion, _UPPER_LEVELS)[0]


def _motion_around(seed: int, x: float, motion: _Motion, levels: int) -> tuple[_Motion, float]:
    """Return the motion in the part around `x` after so many halvings, and where in the part `x` lies."""
    node, start, end, variance = motion
    for _ in range(levels):
        bits = hashed(seed, node)
        share = 0.5 + _VOLATILITY_UNEVENNESS * ((bits >> 42 & 0x7FF) / 2048.0 - 0.5)
        middle = start + share * (end - start) + sqrt(variance * share * (1.0 - share)) * normal(bits)
        x *= 2.0
        node *= 2
        if x < 1.0:
            end, variance = middle, variance * share
        else:
            start, variance = middle, variance * (1.0 - share)
            x -= 1.0
            node += 1
    return _Motion(node, start, end, variance), x


def traded_share(seed: int, x: float) -> float:
    """Return the share (0 to 1, never falling) of the interval's volume that is traded by `x` in [0, 1]."""
    number, x = _part(x)
    (_, done, rest), x = _trade_around(seed, x, _part_of_trade(seed, number), _LEVELS - _UPPER_LEVELS)
    return done + x * rest


class _Trade(NamedTuple):
    """What is traded before the interval of a node, and in it, as shares of the whole."""

    node: int
    done: float
    rest: float


@lru_cache(maxsize=65_536)
def _part_of_trade(seed: int, number: int) -> _Trade:
    return _trade_around(seed, number / _PARTS, _Trade(1, 0.0, 1.0), _UPPER_LEVELS)[0]


def _trade_around(seed: int, x: float, trade: _Trade, levels: int) -> tuple[_Trade, float]:
    node, done, rest = trade
    for _ in range(levels):
        share = 0.5 + _VOLUME_UNEVENNESS * (uniform(hashed(seed, node)) - 0.5)
        x *= 2.0
        node *= 2
        if x < 1.0:
            rest *= share
        else:
            done += rest * share
            rest *= 1.0 - share
            x -= 1.0
            node += 1
    return _Trade(node, done, rest), x


def _part(x: float) -> tuple[int, float]:
    """Return in which of the parts that are remembered `x` in [0, 1] lies, and where in it."""
    number = min(int(x * _PARTS), _PARTS - 1)
    return number, x * _PARTS - number


def busy_time(x: float) -> float:
    """Return the share of a session's activity that falls before its part `x`: busy at both ends (a U shape)."""
    return x + x * (1.0 - x) * (1.0 - 2.0 * x)
