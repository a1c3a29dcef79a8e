"""What arrives from the bus `stock-market`: the opening, the escalation and the end of an anomaly, or a test."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from consumers.alerts.model import AnomalySummary, Pending
from consumers.contracts.anomaly import SEVERITIES, Anomaly, ms_of_iso
from consumers.contracts.detector import UNIT_CHARACTERS
from consumers.contracts.events import VERSION
from consumers.contracts.kinds import EVERY_KIND
from consumers.contracts.wording import one_line, without_aside
from producers.errors import MonitorError
from producers.origin import Origin, origin_of
from producers.symbols import SOURCE_RULE, SYMBOL_RULE, is_source, is_symbol

Change = Literal["detected", "escalated", "ended"]
_CHANGES: dict[str, Change] = {
    "AnomalyDetected": "detected",
    "AnomalyEscalated": "escalated",
    "AnomalyEnded": "ended",
}
TEST_EVENT = "AlertTest"
"""Detail type of what `stock-monitor alerts test` puts on the bus. No tick leads to one."""
DELIVERY_EVENT = "AlertDelivery"
"""Detail type of a delivery among the dead letters: moved back to the queue, it is tried again. No rule lets one in."""
FUTURE_MS = 60_000
"""How far ahead of our clock an event may be."""
EXPLANATION_CHARACTERS = 300


class AlertEventError(MonitorError, ValueError):
    """A message in the queue is no event of ours; says what is wrong, where, and what is allowed."""


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """One change in the life of an anomaly.

    Attributes
    ----------
    anomaly
        With the severity from now on.
    at_ms
        When it changed (market time), epoch ms UTC.
    late
        Found by a redrive, after the fact.
    """

    change: Change
    anomaly: AnomalySummary
    at_ms: int
    source: str
    late: bool = False

    @classmethod
    def of(cls, change: Change, anomaly: Anomaly, at_ms: int) -> AlertEvent:
        """Return the event of a change, at `at_ms`, to an anomaly as the detector has it."""
        summary = AnomalySummary(
            id=anomaly.id,
            ticker=anomaly.ticker,
            kind=anomaly.kind,
            severity=anomaly.severity,
            began_ms=ms_of_iso(anomaly.timestamp.partition("#")[0]),
            value=anomaly.value,
            expected=anomaly.expected,
            unit=one_line(str(anomaly.window.get("unit", ""))),
            explanation=one_line(without_aside(anomaly.explanation)[:EXPLANATION_CHARACTERS]),
        )
        return cls(change, summary, at_ms, anomaly.source, anomaly.late)

    @property
    def key(self) -> str:
        """What distinguishes the changes of one anomaly; a repeated delivery has the same."""
        return f"escalated-{self.anomaly.severity}" if self.change == "escalated" else self.change

    @property
    def rank(self) -> int:
        """Place of the severity: 0 is low."""
        return self.anomaly.rank

    @property
    def origin(self) -> Origin:
        """Whether the quotes were live, simulated, replayed or a backfill."""
        return origin_of(self.source)


@dataclass(frozen=True, slots=True)
class AlertTest:
    """A person's request for a test message, made at `at_ms` (epoch ms UTC); `id` distinguishes requests."""

    id: str
    at_ms: int


_ID = re.compile(r"[!-~]{1,256}")


class _Moment(msgspec.Struct):
    """What a change says beside the anomaly: when it was; an opening says no more than the anomaly does."""

    at: str | None = None


class _TestData(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(pattern=f"^{_ID.pattern}$")]
    at: str


class _Metadata(msgspec.Struct):
    version: int


class _Detail(msgspec.Struct):
    metadata: _Metadata
    data: msgspec.Raw


class _Envelope(msgspec.Struct, rename={"detail_type": "detail-type"}):
    detail_type: str
    detail: _Detail


def parse(body: str, now_ms: int) -> AlertEvent | AlertTest | Pending:
    """Return the event in a message of the queue (the EventBridge event as JSON).

    Parameters
    ----------
    now_ms
        The time now, epoch ms UTC: an event of the future is rejected.

    Raises
    ------
    AlertEventError
        Not JSON, another event, another version, or a field that is not what the detector writes.
    """
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
        if envelope.detail.metadata.version != VERSION:
            raise AlertEventError(
                f"{envelope.detail.metadata.version}", where="detail.metadata.version", allowed=str(VERSION)
            )
        if envelope.detail_type == TEST_EVENT:
            test = msgspec.json.decode(envelope.detail.data, type=_TestData)
            return AlertTest(test.id, _moment("at", test.at, now_ms))
        if envelope.detail_type == DELIVERY_EVENT:
            return msgspec.json.decode(envelope.detail.data, type=Pending)
        change = _CHANGES.get(envelope.detail_type)
        if change is None:
            allowed = f"one of {', '.join([*_CHANGES, TEST_EVENT])}"
            raise AlertEventError(repr(envelope.detail_type[:40]), where="detail-type", allowed=allowed)
        return _event(change, envelope.detail.data, now_ms)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise AlertEventError(str(error), where="event") from error


def _event(change: Change, data: msgspec.Raw, now_ms: int) -> AlertEvent:
    anomaly, at = msgspec.json.decode(data, type=Anomaly), msgspec.json.decode(data, type=_Moment).at
    unit = anomaly.window.get("unit", "")
    for field, value, right, allowed in (
        ("id", anomaly.id, _ID.fullmatch(anomaly.id), "1 to 256 printable characters of ASCII"),
        ("ticker", anomaly.ticker, is_symbol(anomaly.ticker), SYMBOL_RULE),
        ("kind", anomaly.kind, anomaly.kind in EVERY_KIND, f"one of {', '.join(EVERY_KIND)}"),
        ("severity", anomaly.severity, anomaly.severity in SEVERITIES, f"one of {', '.join(SEVERITIES)}"),
        ("source", anomaly.source, is_source(anomaly.source), SOURCE_RULE),
        ("value", anomaly.value, math.isfinite(anomaly.value), "a finite number"),
        ("expected", anomaly.expected, math.isfinite(anomaly.expected), "a finite number"),
        ("window.unit", unit, isinstance(unit, str) and len(unit) <= UNIT_CHARACTERS, "a short text"),
    ):
        if not right:
            raise AlertEventError(repr(value)[:80], where=field, allowed=allowed)
    began_ms = _moment("timestamp", anomaly.timestamp.partition("#")[0], now_ms)
    at_ms = began_ms if at is None else _moment("at", at, now_ms)
    if at_ms < began_ms:
        raise AlertEventError(at or "", where="at", allowed=f"no earlier than {anomaly.timestamp}")
    return AlertEvent.of(change, anomaly, at_ms)


def _moment(field: str, text: str, now_ms: int) -> int:
    try:
        ms = ms_of_iso(text)
    except (ValueError, TypeError, OverflowError) as error:  # TypeError: a time without its offset from UTC
        raise AlertEventError(repr(text)[:80], where=field, allowed="an ISO 8601 time in UTC") from error
    if not 0 <= ms <= now_ms + FUTURE_MS:
        raise AlertEventError(text[:40], where=field, allowed="between 1970 and now")
    return ms
