"""The life of an alert: what is said at once, what waits for a digest, and what is not said at all.

Pure: the state, the event and the time go in, the new state and the message come out. The rules:

- The first anomaly of a series (a ticker, a kind, and whether quotes are real) is told at once. It starts the
  series' cooldown; more of the same are held, counted, and told together when it ends. A digest starts the
  cooldown anew, so a series is re-armed by one cooldown without anomalies.
- What is worse than all that was told in the cooldown breaks through.
- Late, stale and replayed anomalies are held, whatever else is going on, and start no cooldown.
- In any 60 minutes no more than `messages_per_hour` messages are made. What finds no room is held. Digests
  may use the last place, single alerts all but that, and words that all is normal half of them.
- The end of an anomaly is told when the anomaly was, if it lasted; else it changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from consumers.alerts.event import AlertEvent, began_ms
from consumers.alerts.settings import AlertSettings
from consumers.anomaly import Anomaly

HOUR_MS = 3_600_000
SAMPLES = 3
"""Anomalies of a series that a digest names; the others are counted."""

MessageKind = Literal["alert", "escalation", "back_to_normal", "digest"]


@dataclass(frozen=True, slots=True)
class Sample:
    """An anomaly that a digest will name, with the severity that it has reached.

    Attributes:
        counted: it is one of the held anomalies, not one that was told before and got worse.
    """

    anomaly: Anomaly
    severity: str
    rank: int
    counted: bool


@dataclass(frozen=True, slots=True)
class Held:
    """What of a series waits for a digest.

    Attributes:
        anomalies: how many of them; `late` and `replayed` of these came late or from a replay.
        escalations: of alerts told before; `ended` likewise counts those that are back to normal.
        first_ms, last_ms: the span of all that is held, epoch ms UTC.
        samples: the worst, at most `SAMPLES`, the worst first.
    """

    anomalies: int = 0
    late: int = 0
    replayed: int = 0
    escalations: int = 0
    ended: int = 0
    first_ms: int = 0
    last_ms: int = 0
    samples: tuple[Sample, ...] = ()

    @property
    def live(self) -> int:
        """Anomalies that were neither late nor replayed."""
        return self.anomalies - self.late - self.replayed


@dataclass(frozen=True, slots=True)
class Series:
    """What is remembered of a ticker and kind.

    Attributes:
        version: grows with every change, so that concurrent ones are noticed.
        quiet_until_ms: end of the cooldown.
        told_rank: rank of the worst that was told in the cooldown; -1 for nothing.
        digest: how many digests took what was held.
        due_ms: when what is held is to be told; None if nothing is held.
    """

    version: int = 0
    quiet_until_ms: int = 0
    told_rank: int = -1
    digest: int = 0
    held: Held | None = None
    due_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """What is remembered of one anomaly.

    Attributes:
        version: as in `Series`.
        seen: keys of the events taken; a repeated one changes nothing.
        fate: "told" in a message of its own, "held" for the digest number `digest`, "" not yet known.
        told_rank: rank of the severity last told; -1 for none.
        made_ms: when the message about an event was made, epoch ms UTC, by the event's key.
    """

    version: int = 0
    seen: frozenset[str] = frozenset()
    fate: Literal["", "told", "held"] = ""
    digest: int = 0
    told_rank: int = -1
    made_ms: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Budget:
    """When the messages of the last hour were made, epoch ms UTC."""

    version: int = 0
    made_ms: tuple[int, ...] = ()

    def take(self, now_ms: int, places: int) -> Budget | None:
        """The budget after one more message, or None if there were `places` in the last 60 minutes."""
        recent = tuple(made for made in self.made_ms if made > now_ms - HOUR_MS)
        if len(recent) >= places:
            return None
        return Budget(self.version + 1, (*recent, now_ms))


@dataclass(frozen=True, slots=True)
class State:
    """All that a decision about one event depends on."""

    alert: Alert = field(default_factory=Alert)
    series: Series = field(default_factory=Series)
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True, slots=True)
class Decision:
    """The state after an event, and the kind of the message to send now, if any."""

    state: State
    message: MessageKind | None = None


def decide(event: AlertEvent, state: State, now_ms: int, settings: AlertSettings) -> Decision:
    """What an event leads to. An event that was taken before leads to nothing and changes nothing."""
    if event.key in state.alert.seen:
        return Decision(state)
    seen = replace(state.alert, version=state.alert.version + 1, seen=state.alert.seen | {event.key})
    state = replace(state, alert=seen)
    if event.change == "ended":
        return _end(event, state, now_ms, settings)
    if event.change == "detected" and state.alert.fate:  # its escalation overtook it, and told or held it
        return Decision(state)
    if not _is_news(event, state, now_ms):
        return Decision(state) if _is_known(state) else Decision(_hold(event, state, now_ms, settings))
    budget = state.budget.take(now_ms, settings.messages_per_hour - 1)
    if budget is None or _for_digest_only(event, now_ms, settings):
        return Decision(_hold(event, state, now_ms, settings))
    kind: MessageKind = "alert" if event.change == "detected" else "escalation"
    return _send(kind, event, replace(_tell(event, state, now_ms, settings), budget=budget), now_ms)


def close(series: Series, now_ms: int, settings: AlertSettings) -> Series:
    """The series after a digest took what it held."""
    held = series.held or Held()
    closed = replace(series, version=series.version + 1, digest=series.digest + 1, held=None, due_ms=None)
    if held.live + held.escalations == 0:
        return closed
    worst = max((sample.rank for sample in held.samples if not sample.anomaly.late), default=-1)
    return replace(
        closed,
        quiet_until_ms=max(series.quiet_until_ms, now_ms + settings.cooldown_ms),
        told_rank=max(_told_rank(series, now_ms), worst),
    )


def _told_rank(series: Series, now_ms: int) -> int:
    return series.told_rank if now_ms < series.quiet_until_ms else -1


def _is_news(event: AlertEvent, state: State, now_ms: int) -> bool:
    return event.rank > max(_told_rank(state.series, now_ms), state.alert.told_rank)


def _is_known(state: State) -> bool:
    return state.alert.fate == "told" or (
        state.alert.fate == "held" and state.alert.digest != state.series.digest
    )


def _for_digest_only(event: AlertEvent, now_ms: int, settings: AlertSettings) -> bool:
    return (
        event.anomaly.late or event.source_class == "replay" or event.at_ms < now_ms - settings.stale_after_ms
    )


def _tell(event: AlertEvent, state: State, now_ms: int, settings: AlertSettings) -> State:
    series = state.series
    if state.alert.fate == "held" and state.alert.digest == series.digest:
        series = _release(event, series)
    return replace(
        state,
        alert=replace(state.alert, fate="told", told_rank=event.rank),
        series=replace(
            series,
            version=series.version + 1,
            told_rank=max(event.rank, _told_rank(series, now_ms)),
            quiet_until_ms=max(series.quiet_until_ms, now_ms + settings.cooldown_ms),
        ),
    )


def _release(event: AlertEvent, series: Series) -> Series:
    """Take an anomaly out of what is held, as it is told now."""
    held = series.held or Held()
    late, replayed = _origin(event)
    held = replace(
        held,
        anomalies=held.anomalies - 1,
        late=held.late - late,
        replayed=held.replayed - replayed,
        samples=tuple(sample for sample in held.samples if sample.anomaly.id != event.anomaly.id),
    )
    if held.anomalies + held.escalations + held.ended == 0:
        return replace(series, held=None, due_ms=None)
    return replace(series, held=held)


def _origin(event: AlertEvent) -> tuple[int, int]:
    replayed = event.source_class == "replay"
    return int(event.anomaly.late and not replayed), int(replayed)


def _hold(event: AlertEvent, state: State, now_ms: int, settings: AlertSettings) -> State:
    known, waiting = _is_known(state), state.alert.fate == "held"
    held = state.series.held or Held(first_ms=event.at_ms, last_ms=event.at_ms)
    late, replayed = _origin(event)
    new = int(not known and not waiting)
    held = replace(
        held,
        anomalies=held.anomalies + new,
        late=held.late + late * new,
        replayed=held.replayed + replayed * new,
        escalations=held.escalations + int(known and event.change == "escalated"),
        ended=held.ended + int(event.change == "ended"),
        first_ms=min(held.first_ms, event.at_ms),
        last_ms=max(held.last_ms, event.at_ms),
        samples=_samples(held.samples, event, counted=not known),
    )
    alert = state.alert
    if known:
        alert = replace(alert, told_rank=max(alert.told_rank, event.rank))
    else:
        alert = replace(alert, fate="held", digest=state.series.digest)
    return replace(state, alert=alert, series=_waiting(state.series, held, now_ms, settings))


def _waiting(series: Series, held: Held, now_ms: int, settings: AlertSettings) -> Series:
    due = series.due_ms
    if due is None:
        due = series.quiet_until_ms if series.quiet_until_ms > now_ms else now_ms + settings.cooldown_ms
    return replace(series, version=series.version + 1, held=held, due_ms=due)


def _samples(samples: tuple[Sample, ...], event: AlertEvent, *, counted: bool) -> tuple[Sample, ...]:
    if event.change == "ended":
        return samples
    others = [sample for sample in samples if sample.anomaly.id != event.anomaly.id]
    others.append(Sample(event.anomaly, event.severity, event.rank, counted))
    others.sort(key=lambda sample: (-sample.rank, -sample.anomaly.score, began_ms(sample.anomaly)))
    return tuple(others[:SAMPLES])


def _end(event: AlertEvent, state: State, now_ms: int, settings: AlertSettings) -> Decision:
    lasted = (event.duration_seconds or 0) >= settings.back_to_normal_after_minutes * 60
    if state.alert.fate != "told" or not lasted:
        return Decision(state)
    budget = state.budget.take(now_ms, max(1, settings.messages_per_hour // 2))
    if budget is None or _for_digest_only(event, now_ms, settings):
        return Decision(_hold(event, state, now_ms, settings))
    return _send("back_to_normal", event, replace(state, budget=budget), now_ms)


def _send(kind: MessageKind, event: AlertEvent, state: State, now_ms: int) -> Decision:
    made = {**state.alert.made_ms, event.key: now_ms}
    return Decision(replace(state, alert=replace(state.alert, made_ms=made)), kind)
