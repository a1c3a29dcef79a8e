"""Judge ticks that come as JSON lines, with the detectors of the Lambda function."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from consumers.contracts.sentences import explain
from consumers.detectors.engine import engine
from consumers.stream.thresholds import Threshold
from producers.quote_batch import MAX_PRICE, MAX_TS_MS, MAX_VOLUME, SYMBOL_RULE, is_symbol

_KINDS = len(engine.KINDS)


class TickLine(msgspec.Struct):
    """A tick as JSON: `volume` is that of this tick, `day_volume` that of the session so far."""

    ts: int  # epoch ms
    symbol: str
    price: float
    bid: float | None = None
    ask: float | None = None
    volume: float | None = None
    day_volume: float | None = None


class _LineError(ValueError):
    """A line is no tick that can be judged; the message says why and what is allowed."""


class LineDetector:
    """Answers every line with one line, in order; what it answers does not depend on how lines are batched."""

    def __init__(self, threshold: Threshold) -> None:
        self._threshold = threshold
        self._slots: dict[str, int] = {}
        self._last_ts: list[int] = []
        self._volumes: list[float] = []
        self._states = engine.new_states(0)
        self._lines = 0
        self.refused = 0

    def judge(self, lines: Sequence[bytes]) -> Iterator[str]:
        """JSON of score, flag (an anomaly begins with this tick) and kind; a reason where a line is refused."""
        answers: list[dict[str, Any]] = []
        rows: list[tuple[float, ...]] = []
        taken: list[int] = []
        for line in lines:
            self._lines += 1
            try:
                rows.append(self._row(line))
            except _LineError as error:
                self.refused += 1
                answers.append(_refusal(f"line {self._lines}: {error}"))
            else:
                taken.append(len(answers))
                answers.append({})
        for place, answer in zip(taken, self._judged(rows), strict=True):
            answers[place] = answer
        return (json.dumps(answer, separators=(",", ":")) for answer in answers)

    def _row(self, line: bytes) -> tuple[float, ...]:
        try:
            tick = msgspec.json.decode(line, type=TickLine)
        except msgspec.MsgspecError as error:
            raise _LineError(
                f'{error}: allowed is {{"ts":1763996400123,"symbol":"AAPL","price":189.12}},'
                " with bid, ask and volume or day_volume where known"
            ) from error
        self._check(tick)
        slot = self._slots.setdefault(tick.symbol, len(self._slots))
        if slot == len(self._last_ts):
            self._last_ts.append(-1)
            self._volumes.append(0.0)
        last = self._last_ts[slot]
        if tick.ts < last:
            raise _LineError(f"ts {tick.ts} of {tick.symbol} is before {last}: allowed are times in order")
        # As in a replay, ticks of one millisecond are put one millisecond apart.
        ts = max(tick.ts, last + 1)
        self._last_ts[slot] = ts
        total = tick.day_volume
        if total is None and tick.volume is not None:
            self._volumes[slot] += tick.volume
            total = self._volumes[slot]
        return slot, ts, tick.price, _known(tick.bid), _known(tick.ask), _known(total)

    @staticmethod
    def _check(tick: TickLine) -> None:
        if not is_symbol(tick.symbol):
            raise _LineError(f"symbol is {tick.symbol!r}: allowed are {SYMBOL_RULE}")
        if not 0 <= tick.ts <= MAX_TS_MS:
            raise _LineError(f"ts is {tick.ts}: allowed are milliseconds since 1970, up to {MAX_TS_MS}")
        for name, low, high in (
            ("price", -MAX_PRICE, MAX_PRICE),
            ("bid", -MAX_PRICE, MAX_PRICE),
            ("ask", -MAX_PRICE, MAX_PRICE),
            ("volume", 0.0, MAX_VOLUME),
            ("day_volume", 0.0, MAX_VOLUME),
        ):
            value = getattr(tick, name)
            if value is not None and not low <= value <= high:
                raise _LineError(f"{name} is {value:g}: allowed is a number from {low:g} to {high:g}")

    def _judged(self, rows: list[tuple[float, ...]]) -> list[dict[str, Any]]:
        if not rows:
            return []
        new = engine.new_states(len(self._slots) - self._states.shape[1])
        self._states = np.concatenate((self._states, new), axis=1)
        slot, ts, *rest = zip(*rows, strict=True)
        ticks = engine.Ticks(
            np.array(slot, np.int64),
            np.array(ts, np.int64),
            *(np.array(column, np.float64) for column in rest),
        )
        symbols = tuple(self._slots)
        scores = np.empty((_KINDS, len(rows)))
        found = engine.apply(self._states, ticks, self._threshold.table(symbols), scores)
        kinds = scores.argmax(axis=0).tolist()
        answers = [
            {"score": round(score, 4), "flag": False, "kind": engine.KINDS[kind] if score > 0.0 else None}
            for kind, score in zip(kinds, scores.max(axis=0).tolist(), strict=True)
        ]
        # The highest score of a tick comes last, and stays.
        for transition in sorted(found, key=lambda transition: transition.score):
            if transition.change == "opened":
                answers[transition.row] = _alarm(transition, symbols[slot[transition.row]])
        return answers


def _alarm(transition: engine.Transition, ticker: str) -> dict[str, Any]:
    fields = transition._asdict()
    del fields["row"], fields["opened_ts"]
    return {
        "score": round(transition.score, 4),
        "flag": True,
        "kind": transition.kind,
        "severity": transition.severity,
        "explanation": explain(ticker=ticker, **fields),
    }


def _refusal(reason: str) -> dict[str, Any]:
    return {"score": 0.0, "flag": False, "kind": None, "error": reason}


def _known(value: float | None) -> float:
    return np.nan if value is None else value
