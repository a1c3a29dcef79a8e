"""What a step of the windows brings about: anomalies, events, closed bars and last quotes. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from consumers.contracts import events
from consumers.contracts.anomaly import Anomaly, anomaly_id, iso_ms, sort_key
from consumers.contracts.charts import Bar, QuoteColumns
from consumers.contracts.sentences import explain
from consumers.stream.rows import split_key
from consumers.windows import bars

if TYPE_CHECKING:
    from consumers.detectors.engine.engine import Transition
    from consumers.stream.rows import Rows
    from consumers.windows.partition import PartitionState
    from consumers.windows.state import Step


class Effects(NamedTuple):
    """Effects of a step; anomalies must be written before their events are sent. Bars come with origin and symbol."""

    anomalies: list[Anomaly]
    bars: list[tuple[str, str, Bar]]
    events: list[events.Event]


def effects_of(step: Step, *, late: bool = False) -> Effects:
    """Return the effects of `step`; `late` marks anomalies that a redrive found."""
    anomalies: list[Anomaly] = []
    sent: list[events.Event] = []
    for transition in step.transitions:
        anomaly = anomaly_of(transition, step.rows, late=late)
        at_ms = int(step.rows.ts[transition.row])
        if transition.change == "opened":
            anomalies.append(anomaly)
            sent.append(events.detected(anomaly))
        elif transition.change == "escalated":
            sent.append(events.escalated(anomaly, at_ms))
        else:
            sent.append(events.ended(anomaly, at_ms))
    keys = step.state.keys
    bars: list[tuple[str, str, Bar]] = [(*split_key(keys[of.slot]), of.bar) for of in step.closed]
    return Effects(anomalies, bars, sent)


def anomaly_of(transition: Transition, rows: Rows, *, late: bool) -> Anomaly:
    """Return the anomaly of a transition, named by the tick that opened it."""
    _, ticker = split_key(rows.key_of(transition.row))
    source = rows.sources[int(rows.source[transition.row])]
    return Anomaly(
        id=anomaly_id(ticker, transition.opened_ts, transition.kind, source),
        source=source,
        ticker=ticker,
        timestamp=sort_key(transition.opened_ts, transition.kind, source),
        date=iso_ms(transition.opened_ts)[:10],
        kind=transition.kind,
        severity=transition.severity,
        score=transition.score,
        threshold=transition.threshold,
        value=transition.value,
        expected=transition.expected,
        tolerance=transition.tolerance,
        direction=transition.direction,
        late=late,
        explanation=_explanation(transition, ticker),
        window=transition.window,
    )


def last_quotes(state: PartitionState, origin: str) -> QuoteColumns:
    """Return the newest quote of every symbol of an origin, sorted by symbol.

    Where several runs of a replay hold a symbol, the run that sent a tick last is shown.
    """
    slots = _slots_by_symbol(state.keys, origin)
    symbols = [symbol for symbol, _ in slots]
    newest = [max(of, key=state.touched_hour.__getitem__) if len(of) > 1 else of[0] for _, of in slots]
    return bars.quote_columns(symbols, state.minutes[:, newest])


@lru_cache(maxsize=64)
def _slots_by_symbol(keys: tuple[str, ...], origin: str) -> list[tuple[str, list[int]]]:
    """Return the symbols of an origin, sorted, each with its windows, newest first."""
    slots: dict[str, list[int]] = {}
    for slot, key in enumerate(keys):
        of, symbol = split_key(key)
        if of == origin:
            slots.setdefault(symbol, []).insert(0, slot)
    return sorted(slots.items())


def _explanation(transition: Transition, ticker: str) -> str:
    return explain(
        ticker=ticker,
        kind=transition.kind,
        change=transition.change,
        severity=transition.severity,
        score=transition.score,
        threshold=transition.threshold,
        value=transition.value,
        expected=transition.expected,
        tolerance=transition.tolerance,
        direction=transition.direction,
        window=transition.window,
        note=transition.note,
    )
