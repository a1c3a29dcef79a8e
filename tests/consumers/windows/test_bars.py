"""Minute bars by arrays are those of a loop over the ticks, for any batches."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from consumers.contracts.charts import Bar
from consumers.detectors.engine.engine import Ticks
from consumers.windows import bars

SYMBOLS = 3
NOON_MS = 1_795_478_400_000
unknown = st.none()
tick = st.tuples(
    st.integers(0, SYMBOLS - 1),
    st.sampled_from([1, 900, 30_000, 60_000, 86_400_000]),
    st.sampled_from([0.0, -1.0, 10.0, 10.5, 11.0]),
    st.sampled_from([None, 0.0, 9.5, 10.0, 10.75]),
    st.sampled_from([None, 10.5, 11.0]),
    st.sampled_from([None, 0.0, 100.0, 250.0, 90.0]),
)
FIELDS = {name: i for i, name in enumerate(bars.FIELDS)}


def by_a_loop(column: dict[str, float], ts: int, price: float, *more: float | None) -> Bar | None:
    """Move a symbol's fields on by one tick; the bar that it ended, if any."""
    bid, ask, volume = more
    if price <= 0.0:
        return None
    minute = float(ts // 60_000 * 60_000)
    ended = None
    if column["ticks"] == 0.0 or column["minute"] != minute:
        ended = bar_of(column) if column["ticks"] else None
        column.update(minute=minute, open=price, high=price, low=price, ticks=0.0)
        column.update(spread_low=-1.0, spread_high=-1.0)
        column["volume_before"] = column["volume"]
    if column["volume_before"] < 0.0 and volume is not None:
        column["volume_before"] = volume
    day = float(ts // 86_400_000)
    if day > column["day"]:
        column.update(previous_close=column["close"], day=day, day_open=price)
    column["high"], column["low"] = max(column["high"], price), min(column["low"], price)
    column.update(close=price, ts=float(ts), ticks=column["ticks"] + 1)
    column.update({side: of for side, of in (("bid", bid), ("ask", ask)) if of is not None and of > 0.0})
    if bid and ask and 0.0 < bid <= ask:
        known = [of for of in (column["spread_low"], ask - bid) if of >= 0.0]
        column.update(spread_low=min(known), spread_high=max(column["spread_high"], ask - bid))
    if volume is not None:
        column["volume"] = volume
    return ended


def bar_of(column: dict[str, float]) -> Bar:
    before, now = column["volume_before"], column["volume"]
    traded = None if before < 0.0 or now < 0.0 else now - before if now >= before else now
    return Bar(
        minute_ms=int(column["minute"]),
        open=column["open"],
        high=column["high"],
        low=column["low"],
        close=column["close"],
        volume=traded,
        ticks=int(column["ticks"]),
        bid=column["bid"] or None,
        ask=column["ask"] or None,
        spread_low=column["spread_low"] if column["spread_low"] >= 0.0 else None,
        spread_high=column["spread_high"] if column["spread_high"] >= 0.0 else None,
    )


@given(st.lists(tick, max_size=60), st.lists(st.integers(1, 20), min_size=1, max_size=60))
def test_bars_are_those_of_a_loop(
    ticks: list[tuple[int, int, float, float | None, float | None, float | None]], sizes: list[int]
) -> None:
    clock = [NOON_MS] * SYMBOLS
    rows = []
    for slot, later, price, bid, ask, volume in ticks:
        clock[slot] += later
        rows.append((slot, clock[slot], price, bid, ask, volume))

    loop = [dict(zip(bars.FIELDS, bars.new_minutes(1)[:, 0].tolist(), strict=True)) for _ in clock]
    expected = [(row[0], bar) for row in rows if (bar := by_a_loop(loop[row[0]], *row[1:])) is not None]

    state, found = bars.new_minutes(SYMBOLS), []
    while rows:
        size = sizes.pop() if sizes else len(rows)
        batch, rows = sorted(rows[:size], key=lambda row: row[0]), rows[size:]
        slots, times, *columns = zip(*batch, strict=True)
        floats = (np.array(column, np.float64) for column in columns)
        found += bars.advance(state, Ticks(np.array(slots), np.array(times), *floats))

    assert sorted(found, key=str) == sorted((bars.ClosedBar(*of) for of in expected), key=str)
    assert state.T.tolist() == [list(column.values()) for column in loop]
