"""What the library reads of a payload is what Python decodes, bit for bit; what it leaves, Python decodes."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consumers.stream.columns import Columns, columns_of, read
from consumers.stream.decode import decode_in_time
from producers.quote_batch import QuoteBatch, QuoteBatchError, encode
from producers.quote_values import MAX_PRICE, MAX_TS_MS, MAX_VOLUME

FIRST_MS, ARRIVAL_MS = 100_000_000_000, 1_795_530_600_000
SYMBOLS = st.sampled_from(["AAPL", "BRK.B", "BTC/USD", "^GSPC", "ES1!"])
PRICES = st.one_of(
    st.decimals(0, 1_000_000, places=2).map(float),
    st.floats(-MAX_PRICE, MAX_PRICE, allow_nan=False),
    st.sampled_from([0.0, -0.0, 5e-324, 1e-7, 0.1 + 0.2, MAX_PRICE - 0.125, MAX_PRICE]),
)
VOLUMES = st.one_of(st.none(), st.integers(0, 10**18).map(float), st.floats(0, MAX_VOLUME))
TIMES = st.one_of(st.integers(FIRST_MS, ARRIVAL_MS + 5_000), st.integers(0, MAX_TS_MS))
ROW = st.tuples(
    SYMBOLS,
    TIMES,
    PRICES,
    st.one_of(st.none(), PRICES),
    st.one_of(st.none(), PRICES),
    VOLUMES,
    st.one_of(st.none(), TIMES),
)
MUTATIONS = [
    b"",
    *(bytes([c]) for c in b'0159.,-+eE[]{}":n'),
    b"null",
    b" ",
    b"\x00",
    b"\xff",
    b"\\",
    b"e5",
    b"1e400",
]


def batch_of(
    source: str, rows: list[tuple[str, int, float, Any, Any, Any, Any]], missing: list[str]
) -> QuoteBatch:
    symbol, ts, price, bid, ask, day_volume, quote_ts = map(list, zip(*rows, strict=True))
    return QuoteBatch(source, symbol, ts, price, bid, ask, day_volume, quote_ts, missing)


BATCHES = st.builds(
    batch_of,
    st.sampled_from(["alpaca", "simulated", "replay-monday", "backfill"]),
    st.lists(ROW, min_size=1, max_size=30),
    st.lists(SYMBOLS, max_size=3),
)


def found(payload: bytes) -> Columns | None:
    return read(payload, FIRST_MS, ARRIVAL_MS + 5_000)


def decoded(payload: bytes) -> Columns | None:
    """Return what Python decodes, None where it does not take all rows."""
    try:
        batch, rejected = decode_in_time(payload, ARRIVAL_MS)
    except QuoteBatchError:
        return None
    return None if rejected else columns_of(batch)


def is_same(one: Columns, other: Columns | None) -> bool:
    return (
        other is not None
        and (one.symbols.source, one.symbols.symbol, one.symbols.keys)
        == (other.symbols.source, other.symbols.symbol, other.symbols.keys)
        and np.array_equal(one.values.view(np.int64), other.values.view(np.int64))
    )


@given(BATCHES)
def test_what_is_read_is_what_is_decoded(batch: QuoteBatch) -> None:
    payload = encode(batch)
    columns = found(payload)
    assert columns is None or is_same(columns, decoded(payload))


def test_a_usual_poll_is_read() -> None:
    rows = 300
    prices = [round(100 + i / 7, 2) for i in range(rows)]
    asks: list[float | None] = [*prices]
    batch = QuoteBatch(
        "alpaca", [f"Q{i}" for i in range(rows)], [ARRIVAL_MS - 20] * rows, prices, [*prices[1:], None], asks,
        [float(100 * i) for i in range(rows)], [None, *[ARRIVAL_MS - 5_000] * (rows - 1)], ["GONE", "AWAY"],
    )  # fmt: skip
    columns = found(encode(batch))
    assert columns is not None
    assert is_same(columns, columns_of(batch))


@given(st.integers(0, 2**63).map(lambda bits: struct.unpack("<d", bits.to_bytes(8, "little"))[0]))
@example(0.3)
def test_any_price_is_read_as_python_reads_it_or_left(price: float) -> None:
    payload = b'{"v":1,"source":"a","symbol":["A"],"ts":[1795530600000],"price":[%b]}' % repr(price).encode()
    columns = found(payload)
    assert columns is None or columns.values[1, 0] == float(repr(price)) == price


@given(BATCHES, st.data())
def test_whatever_else_is_sent_is_left_or_read_as_it_is_decoded(
    batch: QuoteBatch, data: st.DataObject
) -> None:
    payload = bytearray(encode(batch))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(payload)))
        payload[at : at + data.draw(st.integers(0, 2))] = data.draw(st.sampled_from(MUTATIONS))
    columns = found(bytes(payload))
    assert columns is None or is_same(columns, decoded(bytes(payload)))


@pytest.mark.parametrize(
    "change",
    [
        (b"1795530600000]", b"1795530605001]"),
        (b"1795530600000]", b"01795530600000]"),
        (b"1795530600000]", b"1795530600]"),
        (b"[5.5]", b"[05.5]"),
        (b"[5.5]", b"[5.]"),
        (b"[5.5]", b"[-0]"),
        (b"[5.5]", b"[1e16]"),
        (b"[5.5]", b"[null]"),
        (b"[5.5]", b"[5.5,5.5]"),
        (b"[5.5]", b"[]"),
        (b"[5.5]", b"[5.5 ]"),
        (b"[5.5]", b'["5.5"]'),
        (b'"v":1', b'"v":2'),
        (b'["A"]', b'["a"]'),
        (b'["A"]', b"[]"),
        (b'"price"', b'"x":[1],"price"'),
        (b"]}", b"]}}"),
        (b"]}", b"]"),
    ],
)
def test_what_is_not_as_the_publisher_writes_it_is_left(change: tuple[bytes, bytes]) -> None:
    payload = msgspec.json.encode(
        {"v": 1, "source": "a", "symbol": ["A"], "ts": [1_795_530_600_000], "price": [5.5]}
    )
    assert found(payload) is not None
    assert found(payload.replace(*change)) is None


@pytest.mark.parametrize("again", [b'"v":1', b'"source":"b"', b'"s\\u006furce":"b"', b'"symbol":["B"]'])
def test_a_name_that_stands_twice_before_the_columns_is_left_to_python(again: bytes) -> None:
    rest = b'"symbol":["A"],"ts":[1795530600000],"price":[5.5]}'
    assert found(b'{"v":1,"source":"a",' + rest) is not None
    payload = b'{"v":1,"source":"a",' + again + b"," + rest
    assert (found(payload), decoded(payload)) == (None, None)
