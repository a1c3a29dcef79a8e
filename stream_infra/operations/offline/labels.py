"""A user's own labels of what happened in recordings, and how well the detectors found it.

Labels are CSV with the columns `ticker`, `start`, `end`, `kind` and, if there are several right answers, `accept`:
further kinds, separated by blanks. A label is found if an anomaly of an accepted kind begins between its start and
five ticks after its end. An anomaly outside of all labels of its ticker is false, and so is a label in which only
anomalies of other kinds began.
"""

from __future__ import annotations

import csv
import io
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from consumers.contracts.kinds import KINDS
from producers.recorded_csv import separator_of
from producers.recorded_values import BadRowError, time_ms
from producers.symbols import SYMBOL_RULE, in_capitals, is_symbol
from stream_infra.operations.errors import InputError
from stream_infra.operations.files import read_text
from stream_infra.operations.offline.backtest import opened_ms

if TYPE_CHECKING:
    from consumers.contracts.anomaly import Anomaly
    from stream_infra.operations.offline.backtest import Recording

REQUIRED = ("ticker", "start", "end", "kind")
COLUMNS = (*REQUIRED, "accept")
# A spread must last for three ticks, a new level for two, a gap ends with the next one.
GRACE_TICKS = 5


class Label(NamedTuple):
    """What happened to a ticker, from `start_ms` to `end_ms` (epoch, both included)."""

    ticker: str
    start_ms: int
    end_ms: int
    kind: str
    accepted: frozenset[str]
    line: int


class KindCounts(NamedTuple):
    """Labels of a kind, how many were found, and its anomalies that no label of theirs explains."""

    labels: int
    found: int
    false: int

    @property
    def recall(self) -> float | None:
        """Part of the labels that was found, None without labels."""
        return self.found / self.labels if self.labels else None

    @property
    def precision(self) -> float | None:
        """Part of what was announced that is true, None where nothing was."""
        announced = self.found + self.false
        return self.found / announced if announced else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of both, None where there is nothing to judge."""
        judged = self.labels + self.found + self.false
        return 2.0 * self.found / judged if judged else None


class Evaluation(NamedTuple):
    """How well one threshold found the labels of recordings of `symbol_days` days."""

    total: KindCounts
    by_kind: Mapping[str, KindCounts]
    missed: Sequence[Label]
    symbol_days: int

    @property
    def false_per_day(self) -> float:
        """False anomalies a symbol and day."""
        return self.total.false / max(1, self.symbol_days)


def read_labels(path: Path, recording: Recording) -> list[Label]:
    """Read the labels of a recording.

    Raises
    ------
    InputError
        If the file cannot be read or has no label, or a value is not allowed; names the row and column.
    """
    try:
        text = read_text(path)
        mark = separator_of(text.partition("\n")[0])
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
        labels = list(_labels(path, rows, recording))
    except csv.Error as error:
        raise InputError(f"is no CSV: {error}", where=str(path)) from error
    if not labels:
        raise InputError("holds no label", where=str(path), allowed="a row for each event")
    return labels


def _labels(path: Path, rows: Any, recording: Recording) -> Iterator[Label]:
    header = [name.strip().lower() for name in next(rows, [])]
    if missing := [name for name in REQUIRED if name not in header]:
        allowed = f"a header with {', '.join(REQUIRED)}, and accept if there are several right kinds"
        raise InputError(f"has no column {missing[0]}", where=f"{path}:1", allowed=allowed)
    if unknown := [name for name in header if name not in COLUMNS or header.count(name) > 1]:
        allowed = f"each of {', '.join(COLUMNS)} once"
        raise InputError(f"column {unknown[0]!r}", where=f"{path}:1", allowed=allowed)
    times = {ticker: sorted(of_ticker[0]) for ticker, of_ticker in recording.prices.items()}
    for values in rows:
        if not any(value.strip() for value in values):
            continue
        where = f"{path}:{rows.line_num}"
        if len(values) != len(header):
            allowed = f"{len(header)}, as in the header"
            raise InputError(f"has {len(values)} values", where=where, allowed=allowed)
        row = dict(zip(header, (value.strip() for value in values), strict=True))
        yield _label(row, where, rows.line_num, times)


def _label(row: dict[str, str], where: str, line: int, times: Mapping[str, Sequence[int]]) -> Label:
    def bad(column: str, allowed: str) -> InputError:
        return InputError(f"column {column} is {row[column]!r}", where=where, allowed=allowed)

    ticker = in_capitals(row["ticker"])
    if not is_symbol(ticker):
        raise bad("ticker", SYMBOL_RULE)
    if ticker not in times:
        raise bad("ticker", "a ticker of the recordings")
    start, end = _time(row, "start", where), _time(row, "end", where)
    if end < start:
        raise bad("end", "at or after start")
    ticks = times[ticker]
    if bisect_left(ticks, start) == len(ticks) or end < ticks[0]:
        span = f"{ticks[0]} to {ticks[-1]} ms"
        raise bad("start", f"so that the label overlaps the recording of {ticker}, {span}")
    accepted = {row["kind"], *row.get("accept", "").split()}
    for column, kinds in (("kind", {row["kind"]}), ("accept", accepted)):
        if kinds - set(KINDS):
            raise bad(column, f"of {', '.join(KINDS)}")
    last = min(bisect_right(ticks, end) - 1 + GRACE_TICKS, len(ticks) - 1)
    return Label(ticker, start, max(end, ticks[last]), row["kind"], frozenset(accepted), line)


def _time(row: dict[str, str], column: str, where: str) -> int:
    try:
        return time_ms(f"column {column}", row[column])
    except BadRowError as error:
        raise InputError(str(error), where=where) from error


def evaluate(labels: Sequence[Label], anomalies: Sequence[Anomaly], symbol_days: int) -> Evaluation:
    """Compare what was detected with what happened."""
    found: Counter[str] = Counter()
    false: Counter[str] = Counter()
    missed = []
    begun = [(anomaly.ticker, opened_ms(anomaly), anomaly.kind) for anomaly in anomalies]
    explained = [False] * len(begun)
    for label in labels:
        within = [
            place
            for place, (ticker, ms, _) in enumerate(begun)
            if ticker == label.ticker and label.start_ms <= ms <= label.end_ms
        ]
        for place in within:
            explained[place] = True
        kinds = [begun[place][2] for place in within]
        if label.accepted.intersection(kinds):
            found[label.kind] += 1
        else:
            missed.append(label)
            false.update(kinds[:1])
    false.update(kind for (_, _, kind), ok in zip(begun, explained, strict=True) if not ok)
    wanted = Counter(label.kind for label in labels)
    by_kind = {
        kind: KindCounts(wanted[kind], found[kind], false[kind])
        for kind in KINDS
        if wanted[kind] or false[kind]
    }
    total = KindCounts(len(labels), found.total(), false.total())
    return Evaluation(total, by_kind, missed, symbol_days)


def as_dict(evaluation: Evaluation) -> dict[str, Any]:
    """Return the evaluation for a program; what cannot be judged is null."""
    return {
        **_counts_dict(evaluation.total),
        "false_per_symbol_day": evaluation.false_per_day,
        "by_kind": {kind: _counts_dict(counts) for kind, counts in evaluation.by_kind.items()},
        "missed": [
            {"ticker": label.ticker, "start": label.start_ms, "kind": label.kind, "line": label.line}
            for label in evaluation.missed
        ],
    }


def _counts_dict(counts: KindCounts) -> dict[str, Any]:
    return {
        **counts._asdict(),
        "recall": counts.recall,
        "precision": counts.precision,
        "f1": counts.f1,
    }
