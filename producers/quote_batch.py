"""Wire contract 1: one poll's quotes for one partition, as one JSON object of equal-length columns.

    {"v":1,"source":"alpaca","symbol":["AAPL","MSFT"],"ts":[1763996400123,1763996400123],
     "price":[189.12,411.5],"bid":[189.11,null],"ask":[189.13,null],"day_volume":[1203400,880120],
     "quote_ts":[1763996399871,null],"missing":["NVDA"]}

`bid`, `ask`, `day_volume`, `quote_ts` and `missing` may be left out: nothing is known then. The scanner
also leaves out a `quote_ts` of the last two seconds before `ts`, which would be a fifth of a tick's bytes.
Scalars in place of columns are one row, so that a tick can be put on the stream by hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from producers.errors import MonitorError, first_repeated, shown
from producers.quote_values import MAX_PRICE, MAX_TS_MS, MAX_VOLUME, known, why_rejected
from producers.symbols import SOURCE_RULE, is_source, is_symbol

VERSION = 1
FRESH_MS = 2_000
# A row takes 22 bytes at least, and a publisher's user record 256 KiB at most.
MAX_ROWS = 20_000
MAX_BRACKETS = 64

_Price = Annotated[float, Meta(ge=-MAX_PRICE, le=MAX_PRICE)]
_Volume = Annotated[float, Meta(ge=0, le=MAX_VOLUME)]
_Ts = Annotated[int, Meta(ge=0, le=MAX_TS_MS)]
OPTIONAL_COLUMNS = ("bid", "ask", "day_volume", "quote_ts")
_MAX_COMMAS = 8 * MAX_ROWS
COLUMNS = ("symbol", "ts", "price", *OPTIONAL_COLUMNS)
_PLAIN = frozenset({int, float, type(None)})
_REQUIRED = 5
"""Names that every payload has: v, source, symbol, ts and price."""
_KINDS = {"ts": int, "price": float, "bid": float, "ask": float, "day_volume": float, "quote_ts": int}


class QuoteBatchError(MonitorError, ValueError):
    """The whole record is unusable: not JSON, another version, or columns that do not fit together."""


class RejectedRow(NamedTuple):
    """A row that was left out: its index in the payload, its symbol as sent, and why."""

    row: int
    symbol: str
    reason: str


class Quote(NamedTuple):
    """One ticker's quote as a source gives it; None is unknown.

    `day_volume` is in units traded so far in the session (cumulative), `quote_ts` the exchange's own time
    (epoch ms UTC).
    """

    price: float
    bid: float | None = None
    ask: float | None = None
    day_volume: float | None = None
    quote_ts: int | None = None


@dataclass(frozen=True, slots=True)
class QuoteBatch:
    """Quotes of one poll, column by column; all columns have the same length.

    `ts` and `quote_ts` are epoch milliseconds UTC (when it was observed; the exchange's own time),
    `day_volume` is the number of shares traded so far in the session (cumulative). None is unknown.
    `missing` names the symbols that were requested and not answered; `reasons` says why, where that is
    known, and is not sent.
    """

    source: str
    symbol: list[str]
    ts: list[int]
    price: list[float]
    bid: list[float | None]
    ask: list[float | None]
    day_volume: list[float | None]
    quote_ts: list[int | None]
    missing: list[str]
    reasons: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.symbol)


class Wire(msgspec.Struct):
    """What a well-formed payload is; anything else takes the slow path, which explains itself."""

    v: int
    source: str
    symbol: msgspec.Raw
    ts: list[_Ts]
    price: list[_Price]
    bid: list[_Price | None] | None = None
    ask: list[_Price | None] | None = None
    day_volume: list[_Volume | None] | None = None
    quote_ts: list[_Ts | None] | None = None
    missing: list[str] | None = None


_decode_wire = msgspec.json.Decoder(Wire).decode
_decode_symbols = msgspec.json.Decoder(list[str]).decode
_encode_json = msgspec.json.Encoder().encode


@lru_cache(maxsize=64)
def _symbols(column: bytes) -> tuple[str, ...] | None:
    """Return the symbols in a column, None if one of them is none: polls bring the same column again and again."""
    symbols = _decode_symbols(column)
    return tuple(symbols) if all(map(is_symbol, symbols)) else None


def encode(batch: QuoteBatch) -> bytes:
    """Return the batch as compact JSON; columns that are unknown throughout are left out.

    Raises
    ------
    QuoteBatchError
        If `decode` would reject any part of it, so that nothing unreadable reaches the stream.
    """
    columns: dict[str, Any] = {
        "v": VERSION,
        "source": batch.source,
        "symbol": batch.symbol,
        "ts": batch.ts,
        "price": batch.price,
    }
    for name in OPTIONAL_COLUMNS:
        column = getattr(batch, name)
        if not column or any(value is not None for value in column):
            columns[name] = column if name != "day_volume" else list(map(_short, column))
    if batch.missing:
        columns["missing"] = batch.missing
    payload = _encode_json(columns)
    _, rejected = decode(payload)
    if rejected:
        row = rejected[0]
        raise QuoteBatchError(
            f"quote batch of source {batch.source}: row {row.row} ({row.symbol}): {row.reason}"
            f" ({len(rejected)} of {len(batch)} rows are bad)"
        )
    return payload


def without_fresh_times(batch: QuoteBatch) -> QuoteBatch:
    """Return the batch without those `quote_ts` that say no more than that the quote is fresh."""
    times = [
        None if at is not None and 0 <= ts - at <= FRESH_MS else at
        for ts, at in zip(batch.ts, batch.quote_ts, strict=True)
    ]
    return replace(batch, quote_ts=times)


def _short(value: float | None) -> float | None:
    """Return the number as JSON writes it with the fewest bytes: 5 and not 5.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def decode(payload: bytes) -> tuple[QuoteBatch, list[RejectedRow]]:
    """Return the quotes in `payload` and the rows that had to be left out, with the reason for each.

    Raises
    ------
    QuoteBatchError
        If the payload as a whole is unusable: not JSON, an unknown version, a missing column, or
        columns of different lengths. The message names what, where and what is allowed.
    """
    _check_size(payload)
    try:
        wire = _decode_wire(payload)
        symbols = _symbols(bytes(wire.symbol))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _decode_slowly(payload)
    batch = None if symbols is None else _fast_batch(wire, list(symbols), payload)
    return (batch, []) if batch is not None else _decode_slowly(payload)


def usable(batch: QuoteBatch) -> tuple[QuoteBatch, list[RejectedRow]]:
    """Return the rows of a batch that the contract allows, and those that it does not, with the reason for each.

    Raises
    ------
    QuoteBatchError
        If the columns differ in length.
    """
    columns = [getattr(batch, name) for name in COLUMNS]
    if len({len(column) for column in columns}) > 1:
        lengths = ", ".join(f"{name} {len(column)}" for name, column in zip(COLUMNS, columns, strict=True))
        raise QuoteBatchError(f"source {batch.source}: columns of lengths {lengths}; must be of equal length")
    if _are_plainly_usable(batch):
        return batch, []
    rows = list(zip(*columns, strict=True))
    reasons = [why_rejected(row) for row in rows]
    if not any(reasons):
        return batch, []
    kept = [index for index, reason in enumerate(reasons) if reason is None]
    rejected = [
        RejectedRow(index, str(rows[index][0])[:64], reason) for index, reason in enumerate(reasons) if reason
    ]
    return select(batch, kept, batch.missing), rejected


def _are_plainly_usable(batch: QuoteBatch) -> bool:
    """Return whether all rows are as `Wire` has them; False says nothing, as a time may be a whole float as well."""
    columns = {name: getattr(batch, name) for name in COLUMNS if name != "symbol"}
    # `convert` would take a Decimal.
    if not all(_PLAIN.issuperset(map(type, column)) for column in columns.values()):
        return False
    try:
        msgspec.convert({"v": VERSION, "source": batch.source, "symbol": msgspec.Raw(), **columns}, Wire)
        return all(map(is_symbol, msgspec.convert(batch.symbol, list[str])))
    except msgspec.ValidationError:
        return False


def select(batch: QuoteBatch, rows: Sequence[int], missing: list[str]) -> QuoteBatch:
    """Return the given rows of a batch, in the given order, with other `missing` symbols."""
    return QuoteBatch(
        batch.source,
        [batch.symbol[row] for row in rows],
        [batch.ts[row] for row in rows],
        [batch.price[row] for row in rows],
        [batch.bid[row] for row in rows],
        [batch.ask[row] for row in rows],
        [batch.day_volume[row] for row in rows],
        [batch.quote_ts[row] for row in rows],
        missing,
    )


def _fast_batch(wire: Wire, symbols: list[str], payload: bytes) -> QuoteBatch | None:
    rows = len(symbols)
    unknown: list[None] = [None] * rows
    batch = QuoteBatch(
        wire.source,
        symbols,
        wire.ts,
        wire.price,
        unknown if wire.bid is None else wire.bid,  # type: ignore[arg-type]
        unknown if wire.ask is None else wire.ask,  # type: ignore[arg-type]
        unknown if wire.day_volume is None else wire.day_volume,  # type: ignore[arg-type]
        unknown if wire.quote_ts is None else wire.quote_ts,  # type: ignore[arg-type]
        wire.missing or [],
    )
    fits = (
        wire.v == VERSION
        and rows <= MAX_ROWS
        and is_source(wire.source)
        and all(len(getattr(batch, name)) == rows for name in COLUMNS)
        and _has_each_name_once(wire, rows, payload)
    )
    return batch if fits else None


def _has_each_name_once(wire: Wire, rows: int, payload: bytes) -> bool:
    """Return whether a payload surely holds no name twice: as many texts as its names, its source and its symbols."""
    names = _REQUIRED + sum(getattr(wire, name) is not None for name in (*OPTIONAL_COLUMNS, "missing"))
    texts = names + 1 + rows + len(wire.missing or ())
    return b"\\" not in payload and payload.count(b'"') == 2 * texts


def _decode_slowly(payload: bytes) -> tuple[QuoteBatch, list[RejectedRow]]:
    record = _json_object(payload)
    _check_version(record)
    source = record.get("source")
    if not isinstance(source, str) or not is_source(source):
        raise QuoteBatchError(f"source is {shown(source)}; must be a name of {SOURCE_RULE}")
    columns = _columns(record)
    if (rows := len(columns["symbol"])) > MAX_ROWS:
        raise QuoteBatchError(f"{rows} rows; must be at most {MAX_ROWS}")
    missing = _missing(record)
    batch = QuoteBatch(source, [], [], [], [], [], [], [], missing)
    rejected: list[RejectedRow] = []
    for row, values in enumerate(zip(*(columns[name] for name in COLUMNS), strict=True)):
        reason = why_rejected(values)
        if reason is not None:
            rejected.append(RejectedRow(row, str(values[0])[:64], reason))
            continue
        for name, value in zip(COLUMNS, values, strict=True):
            kind = _KINDS.get(name)
            getattr(batch, name).append(value if kind is None or value is None else kind(value))
    return batch, rejected


def _check_size(payload: bytes) -> None:
    """Bound what decoding may cost by what a batch can hold, before any of it is decoded."""
    brackets, commas = payload.count(b"[") + payload.count(b"{"), payload.count(b",")
    if brackets > MAX_BRACKETS:
        raise QuoteBatchError(
            f"{brackets} brackets; must be one JSON object of columns, at most {MAX_BRACKETS}, {_preview(payload)}"
        )
    if commas > _MAX_COMMAS:
        raise QuoteBatchError(f"{commas} commas; must be at most {MAX_ROWS} rows, {_preview(payload)}")


def _json_object(payload: bytes) -> dict[str, Any]:
    try:
        record = json.loads(payload, object_pairs_hook=_with_each_name_once)
    except QuoteBatchError:
        raise
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise QuoteBatchError(f"not JSON ({error}); must be one JSON object, {_preview(payload)}") from error
    if not isinstance(record, dict):
        raise QuoteBatchError(f"a JSON {type(record).__name__}; must be one JSON object, {_preview(payload)}")
    return record


def _with_each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if (twice := first_repeated(pairs)) is not None:
        raise QuoteBatchError(f"name {shown(twice)} stands twice; must be there once")
    return dict(pairs)


def _check_version(record: dict[str, Any]) -> None:
    version = record.get("v")
    if isinstance(version, bool) or version != VERSION:
        raise QuoteBatchError(f"version v is {shown(version)}; must be {VERSION}")


def _columns(record: dict[str, Any]) -> dict[str, list[Any]]:
    symbols = record.get("symbol")
    rows = len(symbols) if isinstance(symbols, list) else 1
    columns: dict[str, list[Any]] = {}
    for name in COLUMNS:
        value = record.get(name)
        if value is None and name not in OPTIONAL_COLUMNS:
            raise QuoteBatchError(f"column {name} is missing: symbol, ts and price are required")
        if value is None:
            value = [None] * rows
        elif isinstance(symbols, list) != isinstance(value, list):
            raise QuoteBatchError(
                f"column {name} is {shown(value)}; must be lists of equal length in all columns,"
                " or a single value in all of them"
            )
        column = value if isinstance(value, list) else [value]
        if len(column) != rows:
            raise QuoteBatchError(
                f"column {name} has {len(column)} values and symbol has {rows}; must be of equal length"
            )
        columns[name] = list(map(known, column)) if name in OPTIONAL_COLUMNS else column
    return columns


def _missing(record: dict[str, Any]) -> list[str]:
    missing = record.get("missing")
    if missing is None:
        return []
    if not isinstance(missing, list) or not all(isinstance(item, str) for item in missing):
        raise QuoteBatchError(f"missing is {shown(missing)}; must be a list of symbols")
    return missing


def _preview(payload: bytes) -> str:
    return f"got {payload[:80]!r}"
