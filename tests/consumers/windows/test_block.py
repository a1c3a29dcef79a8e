"""What the library does for a block is what the Python beside it does, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consumers.detectors.engine.engine import Ticks
from consumers.stream.library import LIBRARY
from consumers.windows import bars, codec, order

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="nothing is compiled")

PRICES = st.one_of(
    st.decimals(0, 100_000, places=2).map(float),
    st.sampled_from(
        [-0.0, 1e-9, 0.1 + 0.2, 12.5, 2.0**51 - 0.5, 2.0**52, -(2.0**51), 1e15, 0.125, 3e-8, -7.25]
    ),
    st.floats(-1e15, 1e15),
)
UNKNOWN = st.just(float("nan"))
SIDES = st.one_of(UNKNOWN, PRICES)
VOLUMES = st.one_of(UNKNOWN, st.integers(0, 10**18).map(float))
TICK = st.tuples(st.integers(0, 5), st.integers(0, 2**40), PRICES, SIDES, SIDES, VOLUMES)


def ticks_of(rows: list[tuple[int, int, float, float, float, float]]) -> Ticks:
    columns = list(zip(*sorted(rows, key=lambda row: row[:2]), strict=True)) or [()] * 6
    slot, ts = (np.array(column, np.int64) for column in columns[:2])
    price, bid, ask, day_volume = (np.array(column, np.float64) for column in columns[2:])
    return Ticks(slot, ts, price, bid, ask, day_volume)


@given(st.lists(TICK, max_size=40))
@example([(0, 1, 1.5, float("nan"), 2.0, float("nan"))] * 9)
@example([(0, 1, 2.0**52, 1.0, 2.0, 3.0)])
def test_the_columns_of_a_block(rows: list[tuple[int, int, float, float, float, float]]) -> None:
    assert LIBRARY is not None
    ticks = ticks_of(rows)
    packed, layout = codec.compiled_columns_of(ticks, LIBRARY)
    assert (packed, layout) == codec.columns_of(ticks)
    back, _ = codec.unpack(codec.pack(ticks, {}))
    assert [column.tobytes() for column in back] == [column.tobytes() for column in ticks]


@given(
    st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 30)), max_size=60),
    st.lists(st.integers(-1, 20), min_size=5, max_size=5),
)
def test_the_rows_that_are_newer(rows: list[tuple[int, int]], last: list[int]) -> None:
    assert LIBRARY is not None
    slot, ts = (np.array([row[i] for row in rows], np.int64) for i in range(2))
    last_ts = np.array(last, np.int64)
    assert (
        order.compiled_newer(slot, ts, last_ts, LIBRARY).tolist() == order.newer(slot, ts, last_ts).tolist()
    )


@given(st.lists(TICK, max_size=40), st.integers(0, 40))
def test_the_bars_of_a_block(rows: list[tuple[int, int, float, float, float, float]], cut: int) -> None:
    assert LIBRARY is not None
    arrays, compiled = bars.new_minutes(6), bars.new_minutes(6)
    for part in (rows[:cut], [(s, ts + 2**40, *of) for s, ts, *of in rows[cut:]]):
        ticks = ticks_of(list({row[:2]: row for row in part}.values()))  # type: ignore[arg-type]
        assert bars.advance_compiled(compiled, ticks, LIBRARY) == bars.advance_arrays(arrays, ticks)
        assert compiled.tobytes() == arrays.tobytes()


def test_columns_that_do_not_lie_together_are_copied_and_the_copies_kept() -> None:
    """Columns of several records are parts of one array: once their copies were freed before the library read them."""
    assert LIBRARY is not None
    rng = np.random.default_rng(8)
    rows = 2_000
    together = np.sort(rng.integers(0, 2**40, rows))
    apart = np.zeros((rows, 3), np.int64)
    apart[:, 1] = together
    ts: Any = apart[:, 1]
    assert not ts.flags.c_contiguous
    for _ in range(20):
        slot = rng.integers(0, 50, rows)
        last_ts = np.full(50, -1)
        assert np.array_equal(
            order.compiled_newer(slot, ts, last_ts, LIBRARY), order.newer(slot, together, last_ts)
        )
        by_slot = np.argsort(slot, kind="stable")
        numbers = np.zeros((rows, 4))
        numbers[:] = rng.integers(1, 99, (rows, 4))
        ticks = Ticks(slot[by_slot], together[by_slot], *numbers.T)
        packed = codec.compiled_columns_of(ticks, LIBRARY)
        assert packed == codec.columns_of(ticks)
        arrays, compiled = bars.new_minutes(50), bars.new_minutes(50)
        closed = bars.advance_compiled(compiled, ticks, LIBRARY)
        assert closed == bars.advance_arrays(arrays, ticks)
        assert compiled.tobytes() == arrays.tobytes()
