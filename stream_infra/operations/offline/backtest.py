"""What would have fired in recordings, at several thresholds: the trade-off, the anomalies, and a picture."""

from __future__ import annotations

import html
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from consumers.contracts.anomaly import Anomaly, to_json
from consumers.contracts.kinds import name_of
from consumers.contracts.wording import price as price_text
from stream_infra.operations.offline.arrays import TickBlock
from stream_infra.operations.offline.history import Detection
from stream_infra.operations.offline.reading import blocks
from stream_infra.operations.recordings import RejectedRows

if TYPE_CHECKING:
    from consumers.stream.thresholds import Threshold

DAY_MS = 86_400_000
_DAY_BITS = 24
WIDTH, HEIGHT, MARGIN = 1200, 320, 40
_COLOURS = {"low": "#8a8d91", "medium": "#c98a00", "high": "#d9480f", "critical": "#c2255c"}
_STYLE = (
    "body{font:14px system-ui,sans-serif;margin:24px;max-width:1248px}svg{width:100%;height:auto}"
    "path{fill:none;stroke:#3b5b92;stroke-width:1}text{font-size:11px;fill:#555}li{margin:2px 0}"
)


@dataclass
class Recording:
    """How much was read: ticks, tickers, on how many days each was seen, rows left out; prices if they are wanted.

    Attributes
    ----------
    keeps_prices
        Remember times and prices of every ticker, for pictures and labels: 16 bytes a tick.
    """

    keeps_prices: bool = False
    prices: dict[str, tuple[array[int], array[float]]] = field(default_factory=dict)
    days: set[tuple[str, int]] = field(default_factory=set)
    tickers: list[str] = field(default_factory=list)
    ticks: int = 0
    rejected: RejectedRows = field(default_factory=RejectedRows)

    def add(self, block: TickBlock) -> None:
        """Add the ticks of a block."""
        self.tickers += block.new
        slot, ts = block.ticks.slot, block.ticks.ts
        day = ts // DAY_MS
        if day[0] == day[-1] == day.max() == day.min():  # nearly always, and without sorting
            seen = (np.flatnonzero(np.bincount(slot)) << _DAY_BITS | day[0]).tolist()
        else:
            seen = np.unique(slot << _DAY_BITS | day).tolist()
        self.days.update((self.tickers[one >> _DAY_BITS], one & ((1 << _DAY_BITS) - 1)) for one in seen)
        self.ticks += len(ts)
        if self.keeps_prices:
            for at in np.unique(slot).tolist():
                times, prices = self.prices.setdefault(self.tickers[at], (array("q"), array("d")))
                times.frombytes(ts[slot == at].tobytes())
                prices.frombytes(block.ticks.price[slot == at].tobytes())


class Outcome(NamedTuple):
    """What one threshold would have brought."""

    threshold: str
    anomalies: list[Anomaly]

    def by_kind(self) -> dict[str, int]:
        """How many of each kind, the most frequent first."""
        return dict(Counter(anomaly.kind for anomaly in self.anomalies).most_common())


def run(files: Sequence[Path], thresholds: Sequence[Threshold], recording: Recording) -> list[Outcome]:
    """Detect in the files at each threshold, in the order of their times; `recording` counts what was read.

    Raises
    ------
    InputError, RecordingError
        A file cannot be read, or not any further, or holds no tick that can be used.
    """
    detections = [Detection(threshold) for threshold in thresholds]
    outcomes = [Outcome(threshold.text, []) for threshold in thresholds]
    for block in blocks(files, recording.rejected.add):
        recording.add(block)
        for detection, outcome in zip(detections, outcomes, strict=True):
            found = detection.changes(block)
            outcome.anomalies.extend(change.anomaly for change in found if change.change == "detected")
    for outcome in outcomes:
        outcome.anomalies.sort(key=lambda anomaly: anomaly.timestamp)  # a file may have ticker after ticker
    return outcomes


def as_dict(recording: Recording, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the report for a program."""
    return {
        "ticks": recording.ticks,
        "symbol_days": len(recording.days),
        "rejected": [str(row) for row in recording.rejected.first],
        "rejected_rows": recording.rejected.count,
        "thresholds": [
            {
                "threshold": outcome.threshold,
                "anomalies_per_symbol_day": len(outcome.anomalies) / max(1, len(recording.days)),
                "by_kind": outcome.by_kind(),
                "anomalies": [to_json(anomaly) for anomaly in outcome.anomalies],
            }
            for outcome in outcomes
        ],
    }


def picture(recording: Recording, outcome: Outcome) -> str:
    """Return an HTML page that needs nothing else: each ticker's price with a mark for each anomaly, and the list."""
    charts = "".join(
        _chart(ticker, times, prices, [a for a in outcome.anomalies if a.ticker == ticker])
        for ticker, (times, prices) in sorted(recording.prices.items())
    )
    title = f"Backtest at threshold {html.escape(outcome.threshold)}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1>{charts}</html>\n"
    )


def _chart(ticker: str, times: array[int], prices: array[float], anomalies: Sequence[Anomaly]) -> str:
    believable = sorted(price for price in prices if price != 0.0) or [0.0]
    # A bad tick would flatten the rest: the scale leaves out one price in a thousand at either end.
    spare = len(believable) // 1000
    low, high = believable[spare], believable[-1 - spare]
    room = (high - low) * 0.05 or 1.0
    low, high = low - room, high + room
    first, last = times[0], max(times[-1], times[0] + 1)

    def x(ts: int) -> float:
        return MARGIN + (ts - first) / (last - first) * (WIDTH - 2 * MARGIN)

    def y(price: float) -> float:
        inside = min(max(price, low), high)
        return MARGIN + (high - inside) / (high - low) * (HEIGHT - 2 * MARGIN)

    line = " L".join(f"{x(ts):.1f},{y(price):.1f}" for ts, price in _thinned(times, prices))
    price_at = dict(zip(times, prices, strict=True))
    marks, items = [], []
    for anomaly in anomalies:
        ts = opened_ms(anomaly)
        text = html.escape(anomaly.explanation)
        marks.append(
            f'<circle cx="{x(ts):.1f}" cy="{y(price_at.get(ts, low)):.1f}" r="5" fill-opacity=".75"'
            f' fill="{_COLOURS[anomaly.severity]}"><title>{_moment(ts)} {text}</title></circle>'
        )
        items.append(f"<li>{_moment(ts)} <b>{name_of(anomaly.kind)}</b>: {text}</li>")
    name = html.escape(ticker)
    return (
        f'<h2>{name}</h2><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}"><path d="M{line}"/>'
        f"{''.join(marks)}"
        f'<text x="2" y="{y(high):.0f}">{price_text(high)}</text><text x="2" y="{y(low):.0f}">{price_text(low)}</text>'
        f'<text x="{MARGIN}" y="{HEIGHT - 8}">{_moment(first)}</text>'
        f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - 8}" text-anchor="end">{_moment(last)}</text></svg>'
        f"<ul>{''.join(items)}</ul>"
    )


def _thinned(times: array[int], prices: array[float]) -> list[tuple[int, float]]:
    """Lowest and highest price of each pixel's worth of ticks, in order."""
    step = max(1, len(times) // WIDTH)
    found: list[tuple[int, float]] = []
    for start in range(0, len(times), step):
        part = range(start, min(start + step, len(times)))
        ends = {min(part, key=prices.__getitem__), max(part, key=prices.__getitem__)}
        found += [(times[i], prices[i]) for i in sorted(ends)]
    return found


def opened_ms(anomaly: Anomaly) -> int:
    """Return when the anomaly began, in epoch milliseconds."""
    at = datetime.fromisoformat(anomaly.timestamp.partition("#")[0])
    return round(at.timestamp() * 1000)


def _moment(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
