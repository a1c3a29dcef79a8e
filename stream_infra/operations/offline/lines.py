"""Judges ticks line by line, with the detectors of the Lambda function."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from consumers.contracts.sentences import explain
from consumers.detectors.engine import engine
from consumers.stream.threshold_table import table
from consumers.stream.thresholds import Threshold
from producers.recorded_rows import RecordedTick, RowReader
from producers.recorded_values import BadRowError
from producers.recordings import json_row

_KINDS = len(engine.KINDS)


class LineDetector:
    """Returns one line for every line, in order; what it returns does not depend on how lines are batched.

    Parameters
    ----------
    threshold
        Scores at or above it are anomalies.
    """

    def __init__(self, threshold: Threshold) -> None:
        self._threshold = threshold
        self._reader = RowReader()
        self._slots: dict[str, int] = {}
        self._states = engine.new_states(0)
        self._lines = 0
        self.rejected = 0
        """Lines that could not be used."""
        self.used = 0
        """Ticks that were judged."""

    def judge(self, lines: Sequence[bytes]) -> Iterator[str]:
        """Yield a line of JSON for each line of JSON: score, flag (an anomaly begins with this tick) and kind."""
        return self.judge_ticks([self._read(line) for line in lines])

    def judge_ticks(self, ticks: Sequence[RecordedTick | str]) -> Iterator[str]:
        """Yield a line of JSON for each tick; a text in the place of one says why it cannot be used."""
        judged = self._judged([self._row(tick) for tick in ticks if isinstance(tick, RecordedTick)])
        for tick in ticks:
            if isinstance(tick, RecordedTick):
                self.used += 1
                answer = next(judged)
            else:
                self.rejected += 1
                answer = {"score": 0.0, "flag": False, "kind": None, "error": tick}
            yield json.dumps(answer, separators=(",", ":"))

    def _read(self, line: bytes) -> RecordedTick | str:
        self._lines += 1
        try:
            return self._reader.tick(json_row(line), self._lines)
        except BadRowError as error:
            return f"line {self._lines}: {error}"

    def _row(self, tick: RecordedTick) -> tuple[float, ...]:
        slot = self._slots.setdefault(tick.symbol, len(self._slots))
        return slot, tick.ts, tick.price, _known(tick.bid), _known(tick.ask), _known(tick.day_volume)

    def _judged(self, rows: list[tuple[float, ...]]) -> Iterator[dict[str, Any]]:
        if not rows:
            return iter(())
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
        found = engine.apply(self._states, ticks, table(self._threshold, symbols), scores)
        kinds = scores.argmax(axis=0).tolist()
        answers = [
            {"score": round(score, 4), "flag": False, "kind": engine.KINDS[kind] if score > 0.0 else None}
            for kind, score in zip(kinds, scores.max(axis=0).tolist(), strict=True)
        ]
        # The highest score of a tick comes last, and stays.
        for transition in sorted(found, key=lambda transition: transition.score):
            if transition.change == "opened":
                answers[transition.row] = _alarm(transition, symbols[slot[transition.row]])
        return iter(answers)


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


def _known(value: float | None) -> float:
    return np.nan if value is None else value
