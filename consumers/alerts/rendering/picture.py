"""The chart around the moment of an incident, as a small PNG. Pure.

Candles of a minute from half an hour before the incident began; minutes without a quote are empty and shaded; each
anomaly has its mark. Where the print itself is wrong the scale is that of the other prices, and the misprint is a
hollow mark at the edge, with its value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from math import floor, isfinite, log10

from consumers.alerts.model import MINUTE_MS, AnomalySummary
from consumers.alerts.rendering.png import Canvas, text_width
from consumers.alerts.settings import zone
from consumers.contracts.charts import Bar
from consumers.contracts.kinds import is_misprint, name_of

WIDTH, HEIGHT = 640, 320
BEFORE_MINUTES = 30
MOST_MINUTES = 60
LEAST_BARS = 2
"""With fewer bars there is nothing to see, and no picture."""
_LEFT, _TOP, _RIGHT, _BOTTOM = 12, 44, 132, 40
_TITLE_CHARACTERS = 51
_TICKER_CHARACTERS = 24
_PAPER, _INK, _GREY, _SHADE, _UP, _DOWN, _LOW, _MEDIUM, _HIGH, _CRITICAL = range(10)
_COLOURS = (
    (255, 255, 255),
    (32, 36, 44),
    (122, 128, 138),
    (236, 238, 242),
    (22, 128, 96),
    (198, 52, 62),
    (138, 141, 145),
    (201, 138, 0),
    (217, 72, 15),
    (194, 37, 92),
)
_LeftOf = Callable[[int], int]
_SEVERITY = {"low": _LOW, "medium": _MEDIUM, "high": _HIGH, "critical": _CRITICAL}


@dataclass(frozen=True, slots=True)
class _Scale:
    """Prices to rows of the canvas, within the plot."""

    low: float
    high: float

    def row(self, price: float) -> int:
        """Return the row of a price; of one beyond the scale that of the edge."""
        share = (self.high - price) / (self.high - self.low)
        return _TOP + round(min(1.0, max(0.0, share)) * (HEIGHT - _TOP - _BOTTOM - 1))

    def holds(self, price: float) -> bool:
        """Return whether a price is on it."""
        return self.low <= price <= self.high


def picture(
    ticker: str,
    bars: Sequence[Bar],
    anomalies: Sequence[AnomalySummary],
    time_zone: str,
    label: str = "",
) -> bytes | None:
    """Return the PNG of a ticker's bars with marks at its anomalies; None where there are too few bars.

    Parameters
    ----------
    bars
        Minutes by time; the last `MOST_MINUTES` of them are drawn.
    anomalies
        The worst first: it makes the title.
    label
        What the quotes are, where they are not live.
    """
    if not bars:
        return None
    last_ms = bars[-1].minute_ms
    drawn = [bar for bar in bars if bar.minute_ms > last_ms - MOST_MINUTES * MINUTE_MS and _is_drawable(bar)]
    if len(drawn) < LEAST_BARS:
        return None
    first_ms = drawn[0].minute_ms
    scale = _scale(drawn)
    canvas = Canvas(WIDTH, HEIGHT, _COLOURS)
    step = (WIDTH - _LEFT - _RIGHT) / ((drawn[-1].minute_ms - first_ms) // MINUTE_MS + 1)

    def left_of(ms: int) -> int:
        return _LEFT + floor((ms - first_ms) // MINUTE_MS * step)

    _shade_gaps(canvas, drawn, left_of)
    _write_prices(canvas, scale, drawn[-1])
    for one in anomalies:
        _mark_time(canvas, left_of(one.began_ms), step, _SEVERITY[one.severity])
    for bar in drawn:
        _candle(canvas, scale, bar, left_of(bar.minute_ms), step)
    _write_times(canvas, first_ms, drawn[-1].minute_ms, time_zone)
    canvas.text((WIDTH - _RIGHT - text_width(label)) // 2, HEIGHT - _BOTTOM + 12, label, _GREY)
    _write_title(canvas, ticker, anomalies)
    for one in anomalies:
        if one.unit == "price" and is_misprint(one.kind) and one.began_ms >= first_ms:
            _mark_misprint(canvas, scale, one, left_of(one.began_ms), step)
    return canvas.png()


def decimals(prices: Sequence[float]) -> int:
    """Return the digits behind the point that tell prices of this range and size apart.

    Examples
    --------
    >>> decimals([189.1, 190.2]), decimals([1.08712, 1.0874]), decimals([1e-8, 1.2e-8]), decimals([0.0])
    (2, 6, 11, 2)
    """
    largest = max((abs(price) for price in prices), default=0.0)
    if largest <= 0 or not isfinite(largest):
        return 2
    span = max(prices) - min(prices) or largest / 100
    return min(12, max(2 if largest >= 1 else 0, 2 - floor(log10(span)), 4 - floor(log10(largest)) - 1))


def _is_drawable(bar: Bar) -> bool:
    return all(isfinite(price) for price in (bar.open, bar.high, bar.low, bar.close))


def _scale(bars: Sequence[Bar]) -> _Scale:
    """Return the scale of the bulk of prices: a range that three in four opens and closes span, thrice on each side."""
    bulk = sorted(price for bar in bars for price in (bar.open, bar.close))
    eighth = len(bulk) // 8
    inner_low, inner_high = bulk[eighth], bulk[-1 - eighth]
    room = 3 * (inner_high - inner_low) or abs(inner_high) * 0.002 or 1e-9
    # What several bars agree on is no misprint: after a jump both levels are to be seen.
    agreed = [price for price in bulk if sum(abs(price - other) <= room for other in bulk) >= 4] or bulk
    low, high = agreed[0] - room, agreed[-1] + room
    shown = [price for bar in bars for price in (bar.low, bar.high) if low <= price <= high]
    low, high = min([*shown, agreed[0]]), max([*shown, agreed[-1]])
    margin = (high - low) * 0.06 or abs(high) * 0.001 or 1e-9
    return _Scale(low - margin, high + margin)


def _shade_gaps(canvas: Canvas, bars: Sequence[Bar], left_of: _LeftOf) -> None:
    for before, after in pairwise(bars):
        if after.minute_ms - before.minute_ms > MINUTE_MS:
            left = left_of(before.minute_ms + MINUTE_MS)
            canvas.fill(left, _TOP, left_of(after.minute_ms), HEIGHT - _BOTTOM, _SHADE)


def _candle(canvas: Canvas, scale: _Scale, bar: Bar, left: int, step: float) -> None:
    colour = _UP if bar.close >= bar.open else _DOWN
    width = max(1, floor(step * 0.7))
    middle = left + width // 2
    canvas.fill(middle, scale.row(bar.high), middle + max(1, width // 8), scale.row(bar.low) + 1, colour)
    top, bottom = scale.row(max(bar.open, bar.close)), scale.row(min(bar.open, bar.close))
    canvas.fill(left, top, left + width, max(bottom, top + 1) + 1, colour)


def _mark_time(canvas: Canvas, left: int, step: float, colour: int) -> None:
    """Draw a triangle above the minute of an anomaly, and a line down from it."""
    if left < _LEFT:
        return
    middle = left + max(1, floor(step * 0.7)) // 2
    for row in range(9):
        canvas.fill(middle - 8 + row, _TOP - 14 + row, middle + 9 - row, _TOP - 13 + row, colour)
    for top in range(_TOP - 4, HEIGHT - _BOTTOM, 6):
        canvas.fill(middle, top, middle + 1, top + 3, colour)


def _mark_misprint(canvas: Canvas, scale: _Scale, one: AnomalySummary, left: int, step: float) -> None:
    """Draw a hollow mark at a print that nobody traded at: at the edge where it is beyond the scale, with its value."""
    middle, row = left + max(1, floor(step * 0.7)) // 2, scale.row(one.value)
    colour = _SEVERITY[one.severity]
    canvas.fill(middle - 5, row - 5, middle + 6, row + 6, colour)
    canvas.fill(middle - 3, row - 3, middle + 4, row + 4, _PAPER)
    if not scale.holds(one.value):
        text = _fitted(one.value, decimals([scale.low, scale.high]))
        at = (
            middle + 10 if middle + 10 + text_width(text) < WIDTH - _RIGHT else middle - 10 - text_width(text)
        )
        canvas.text(at, row - 7, text, colour)


def _write_prices(canvas: Canvas, scale: _Scale, last: Bar) -> None:
    """Write the scale's prices at its right, the last price in ink."""
    right = WIDTH - _RIGHT + 8
    digits = decimals([scale.low, scale.high])
    last_row = scale.row(last.close)
    for part in range(5):
        price = scale.low + (scale.high - scale.low) * (part + 0.5) / 5
        row = scale.row(price)
        canvas.fill(_LEFT, row, WIDTH - _RIGHT, row + 1, _SHADE)
        if abs(row - last_row) > 16:
            canvas.text(right, row - 7, _fitted(price, digits), _GREY)
    canvas.fill(_LEFT, last_row, WIDTH - _RIGHT + 4, last_row + 1, _GREY)
    canvas.text(right, last_row - 7, _fitted(last.close, digits), _INK)


def _fitted(price: float, digits: int) -> str:
    """Return a price as the room at the right takes it."""
    text = f"{price:,.{digits}f}"
    return text if text_width(text) <= _RIGHT - 10 else f"{price:.4g}".upper()


def _write_times(canvas: Canvas, first_ms: int, last_ms: int, time_zone: str) -> None:
    begin, end = (_clock(ms, time_zone) for ms in (first_ms, last_ms))
    row = HEIGHT - _BOTTOM + 12
    canvas.text(_LEFT, row, begin, _GREY)
    name = datetime.fromtimestamp(last_ms / 1000, UTC).astimezone(zone(time_zone)).tzname() or "UTC"
    canvas.text(WIDTH - _RIGHT - text_width(end), row, end, _GREY)
    canvas.text(WIDTH - _RIGHT + 8, row, name[:9], _GREY)


def _write_title(canvas: Canvas, ticker: str, anomalies: Sequence[AnomalySummary]) -> None:
    words, colour = ticker, _INK
    if anomalies:
        worst = anomalies[0]
        words = f"{ticker[:_TICKER_CHARACTERS]} {name_of(worst.kind)}, {worst.severity}"
        colour = _SEVERITY[worst.severity]
    canvas.text(_LEFT, 8, words[:_TITLE_CHARACTERS], colour)


def _clock(ms: int, time_zone: str) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone(time_zone)).strftime("%H:%M")
