"""A bar chart on a logarithmic axis as SVG, for people without a plotting library."""

from __future__ import annotations

import math
from html import escape

_ROW, _LEFT, _WIDTH, _TOP = 30, 300, 560, 56
_OURS, _PEERS = "#0b7285", "#adb5bd"


def bars(title: str, subtitle: str, rates: dict[str, float], ours: set[str]) -> str:
    """Ticks a second by contender, the fastest first."""
    ordered = sorted(rates.items(), key=lambda item: -item[1])
    low = 10 ** math.floor(math.log10(min(rates.values())))
    span = math.log10(max(rates.values()) * 1.3 / low)
    height = _TOP + _ROW * len(ordered) + 16
    width = _LEFT + _WIDTH + 110
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        ' font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="22" font-size="16" font-weight="bold">{escape(title)}</text>',
        f'<text x="12" y="42" fill="#495057">{escape(subtitle)}</text>',
    ]
    for row, (name, rate) in enumerate(ordered):
        y = _TOP + _ROW * row
        length = _WIDTH * math.log10(rate / low) / span
        color = _OURS if name in ours else _PEERS
        parts += [
            f'<text x="{_LEFT - 10}" y="{y + 17}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{_LEFT}" y="{y + 3}" width="{length:.1f}" height="{_ROW - 10}" fill="{color}"/>',
            f'<text x="{_LEFT + length + 6:.1f}" y="{y + 17}">{rate:,.0f}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
