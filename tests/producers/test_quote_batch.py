"""The wire contract: what is written is read back, and what is bad is named."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.quote_batch import QuoteBatch, QuoteBatchError, decode, encode, without_fresh_times
from producers.quote_values import MAX_PRICE, MAX_TS_MS
from producers.symbols import is_symbol

Row = tuple[str, int, float, float | None, float | None, float | None, int | None]
symbols = st.text("ABCXYZ0189.^=/_-", min_size=1, max_size=16)
prices = st.floats(-MAX_PRICE, MAX_PRICE)
times = st.integers(0, MAX_TS_MS)
rows = st.tuples(
    symbols,
    times,
    prices,
    st.none() | prices,
    st.none() | prices,
    st.none() | st.floats(0, 1e18),
    st.none() | times,
)


def batch_of(table: list[Row], missing: list[str]) -> QuoteBatch:
    batch = QuoteBatch("alpaca", [], [], [], [], [], [], [], missing)
    for symbol, ts, price, bid, ask, day_volume, quote_ts in table:
        batch.symbol.append(symbol)
        batch.ts.append(ts)
        batch.price.append(price)
        batch.bid.append(bid)
        batch.ask.append(ask)
        batch.day_volume.append(day_volume)
        batch.quote_ts.append(quote_ts)
    return batch


@given(st.lists(rows, max_size=30), st.lists(symbols, max_size=5))
def test_what_is_encoded_is_decoded(table: list[Row], missing: list[str]) -> None:
    batch = batch_of(table, missing)
    assert decode(encode(batch)) == (batch, [])


def record(**changes: object) -> dict[str, Any]:
    plain = {
        "v": 1, "source": "alpaca", "symbol": ["AAPL", "MSFT"], "ts": [1763996400123, 1763996400123],
        "price": [189.12, 411.5], "bid": [189.11, None], "ask": [189.13, None],
        "day_volume": [1203400, 880120], "quote_ts": [1763996399871, None], "missing": ["NVDA"],
    }  # fmt: skip
    return {name: value for name, value in {**plain, **changes}.items() if value is not ...}


def test_the_example_of_the_contract_is_read() -> None:
    batch, rejected = decode(json.dumps(record()).encode())
    assert rejected == []
    assert batch.symbol == ["AAPL", "MSFT"]
    assert batch.day_volume == [1203400.0, 880120.0]
    assert batch.quote_ts == [1763996399871, None]
    assert batch.missing == ["NVDA"]


def test_a_tick_put_by_hand_is_one_row() -> None:
    batch, rejected = decode(b'{"v":1,"source":"manual","symbol":"AAPL","ts":1763996400123,"price":200}')
    assert rejected == []
    assert batch == QuoteBatch(
        "manual", ["AAPL"], [1763996400123], [200.0], [None], [None], [None], [None], []
    )


@pytest.mark.parametrize("price", [0, -1, -0.01, 1e-300])
def test_a_strange_price_is_for_the_detector_to_judge(price: float) -> None:
    batch, rejected = decode(json.dumps(record(price=[price, 1])).encode())
    assert rejected == []
    assert batch.price == [price, 1]


@pytest.mark.parametrize("column", ["bid", "ask", "day_volume", "quote_ts"])
@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinity_beside_a_price_are_unknown_and_cost_no_row(column: str, odd: float) -> None:
    batch, rejected = decode(json.dumps(record(**{column: [odd, None]})).encode())
    assert (rejected, batch.price) == ([], [189.12, 411.5])
    assert getattr(batch, column) == [None, None]


@pytest.mark.parametrize(
    ("column", "bad", "reason"),
    [
        ("price", float("nan"), "price is NaN; must be a number from -1e+15 to 1e+15"),
        ("price", float("inf"), "price is Infinity"),
        ("price", "12", 'price is "12"'),
        ("price", None, "price is null"),
        ("price", True, "price is true"),
        pytest.param("price", 10**400, "price is 1000", id="price-huge"),
        ("bid", "x", 'bid is "x"'),
        ("ask", False, "ask is false"),
        ("day_volume", -1, "day_volume is -1; must be a number from 0 to 1e+18"),
        ("ts", 1.5, "ts is 1.5; must be a whole number of milliseconds"),
        ("ts", -1, "ts is -1"),
        ("ts", None, "ts is null"),
        ("quote_ts", "now", 'quote_ts is "now"'),
        ("symbol", "aapl", 'symbol is "aapl"; must be 1 to 32 of A-Z'),
        ("symbol", 5, "symbol is 5"),
        ("symbol", "A B", 'symbol is "A B"'),
    ],
)
def test_a_bad_value_rejects_its_row_and_only_its_row(column: str, bad: object, reason: str) -> None:
    changed = record()
    changed[column] = [bad, changed[column][1]]
    batch, rejected = decode(json.dumps(changed).encode())
    assert batch.symbol == ["MSFT"]
    assert batch.price == [411.5]
    assert [(row.row, reason in row.reason) for row in rejected] == [(0, True)]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xff\xfe", "not JSON"),
        (b"price=12", "not JSON"),
        (b"[" * 100_000, "100000 brackets; must be one JSON object of columns, at most 64"),
        (b"[1]", "a JSON list; must be one JSON object"),
        (record(v=2), "version v is 2; must be 1"),
        (record(v=True), "version v is true"),
        (record(v=...), "version v is null"),
        (record(source=...), "source is null"),
        (record(source="a/b"), 'source is "a/b"'),
        (record(price=...), "column price is missing"),
        (record(price=[1]), "column price has 1 values and symbol has 2"),
        (record(bid=[1, 2, 3]), "column bid has 3 values"),
        (record(price=12), "column price is 12; must be lists of equal length"),
        (record(symbol="AAPL"), "must be lists of equal length"),
        (record(missing="NVDA"), 'missing is "NVDA"; must be a list of symbols'),
    ],
)
def test_a_bad_shape_rejects_the_record_and_says_why(payload: object, reason: str) -> None:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    with pytest.raises(QuoteBatchError) as caught:
        decode(data)
    assert reason in str(caught.value)


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(payload: bytes) -> None:
    try:
        decode(payload)
    except QuoteBatchError as error:
        assert str(error)  # noqa: PT017 - most bytes are rejected, some are not


scalars: st.SearchStrategy[object] = st.sampled_from(
    [None, True, 0, -1, 5, 1.5, 10**30, float("nan"), float("-inf"), "", "AAPL", {}]
)
values = scalars | st.lists(scalars, max_size=3)


@given(st.dictionaries(st.sampled_from(sorted(record())), values, max_size=4))
def test_no_json_raises_anything_else(changes: dict[str, object]) -> None:
    try:
        batch, rejected = decode(json.dumps(record(**changes)).encode())
    except QuoteBatchError:
        return
    assert len(batch.price) == len(batch.symbol) == len(batch.bid) == len(batch.quote_ts)
    assert all(map(is_symbol, batch.symbol))
    assert all(row.reason for row in rejected)


def test_nothing_unreadable_is_encoded() -> None:
    with pytest.raises(QuoteBatchError, match=r"source alpaca: row 0 \(AAPL\): price is null"):
        encode(batch_of([("AAPL", 1, float("nan"), None, None, None, None)], []))
    with pytest.raises(QuoteBatchError, match="column ts has 0 values and symbol has 1"):
        encode(QuoteBatch("alpaca", ["AAPL"], [], [1.0], [None], [None], [None], [None], []))


def test_a_time_that_says_no_more_than_fresh_is_left_out() -> None:
    batch = QuoteBatch(
        "acme", ["A", "B", "C", "D"], [10_000] * 4, [1.0] * 4, [None] * 4, [None] * 4, [5.0, 5.5, None, 7],
        [10_000, 7_999, None, 10_500], [],
    )  # fmt: skip
    lean = without_fresh_times(batch)
    assert lean.quote_ts == [None, 7_999, None, 10_500], "what is old or from the future stays"
    payload = encode(lean)
    assert b'"day_volume":[5,5.5,null,7]' in payload
    assert decode(payload)[0] == replace(lean, day_volume=[5.0, 5.5, None, 7.0])


def test_a_whole_number_with_a_point_is_a_whole_number() -> None:
    batch, rejected = decode(json.dumps(record(ts=[1763996400000.0] * 2, quote_ts=[5.0, None])).encode())
    assert rejected == []
    assert (batch.ts, batch.quote_ts) == ([1763996400000] * 2, [5, None])
    assert all(isinstance(value, int) for value in (*batch.ts, batch.quote_ts[0]))


@pytest.mark.parametrize(
    "payload",
    [
        b'{"v":1,"source":"a","symbol":["AAPL"],"ts":[1763996400123],"price":[1.5],"price":[2.5]}',
        b'{"v":1,"source":"a","symbol":["AAPL"],"ts":[1763996400123],"price" :[1.5],"price":[2.5]}',
        b'{"v":1,"source":"a","symbol":["AAPL"],"ts":[1763996400123],"price":[1.5],"\\u0070rice":[2.5]}',
        b'{"v":1,"source":"a","source":"b","symbol":["AAPL"],"ts":[1763996400123],"price":[1.5]}',
        b'{"v":1,"source":"a","symbol":["KO"],"symbol":["AAPL"],"ts":[1763996400123],"price":[1.5]}',
        b'{"v":1,"source":"a","symbol":"AAPL","ts":1763996400123,"price":1.5,"lot":1,"lot":2}',
        b'{"v":1,"source":"a","symbol":"AAPL","ts":1763996400123,"price":1.5,"":1,"":2}',
    ],
)
def test_a_name_that_stands_twice_costs_the_record_as_it_costs_a_row_of_a_file(payload: bytes) -> None:
    """The last one was taken without a word."""
    with pytest.raises(QuoteBatchError, match=r'name "\w*" stands twice; must be there once'):
        decode(payload)


def test_looking_for_a_name_that_stands_twice_takes_no_longer_than_reading() -> None:
    names = ",".join(f'"{n}":1' for n in range(150_000))
    with pytest.raises(QuoteBatchError, match='name "149999" stands twice'):
        decode(f'{{{names},"149999":2}}'.encode())


def test_what_else_a_record_holds_is_left_aside() -> None:
    payload = b'{"v":1,"source":"a","symbol":["AAPL"],"ts":[1763996400123],"price":[1.5],"venue":"XNSE"}'
    batch, rejected = decode(payload)
    assert (batch.symbol, batch.price, rejected) == (["AAPL"], [1.5], [])
