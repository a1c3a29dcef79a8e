"""The life of an alert: what is said at once, what waits for a digest, and what is not said at all.

Pure: the state, the event and the time go in, the new state and the message come out. The rules:

- The first anomaly of a series (a ticker, a kind, and whether quotes are real) is told at once. It starts the
  series' cooldown; more of the same are held, counted, and told together when it ends, with all else that is
  held. A digest starts the cooldown anew, so a series is re-armed by one cooldown without anomalies.
- What is worse than all that was told in the cooldown breaks through.
- Late, stale and replayed anomalies are held, whatever else is going on, and start no cooldown.
- In any 60 minutes no more than `messages_per_hour` messages are made, for real, simulated and replayed quotes
  apart: simulated ones never take the place of real ones. The places go to what people know least of: another kind
  of a ticker told as badly in the hour may use a third of them, first news of a ticker and words that all is normal
  half, what is high or critical and new two thirds, a market-wide alert all but the last, which is a digest's. First
  news that find no place are due at once; digests then share out what is left of the hour (`Budget.take_digest`).
  Tests that a person asks for are sent all the same, and use none.
- What is muted, and by night all but the worst, is held until that ends; silent kinds and tickers are told in
  digests only, and those that are off not at all.
- When a share of the watch list has anomalies within a minute, one market-wide alert tells of it and of the
  singles that were not told yet. More singles are held unless they are worse.
- The end of an anomaly is told when the anomaly was, if it lasted. Where it cannot be told at once, the digest
  to come counts it, but no digest is made for ends alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from consumers.alerts.event import TEST_SOURCE, AlertEvent, began_ms
from consumers.alerts.model import (
    EVERYTHING,
    SAMPLES,
    Decision,
    Held,
    Made,
    Market,
    MarketMove,
    MessageKind,
    Move,
    Mute,
    Sample,
    Series,
    State,
)
from consumers.alerts.settings import AlertSettings

MINUTE_MS = 60_000
LISTED = 20
"""Singles that a market-wide alert lists; those beyond are held and told in a digest."""


def decide(event: AlertEvent, state: State, now_ms: int, settings: AlertSettings) -> Decision:
    """What an event leads to. An event that was taken before leads to nothing and changes nothing."""
    if event.key in state.alert.seen:
        return Decision(state)
    seen = replace(state.alert, version=state.alert.version + 1, seen=state.alert.seen | {event.key})
    state = replace(state, alert=seen)
    if settings.mode(event.anomaly.ticker, event.anomaly.kind) == "off":
        return Decision(state)
    if event.change == "ended":
        return _end(event, state, now_ms, settings)
    if event.change == "detected" and state.alert.fate:  # another message overtook it, and told or held it
        return Decision(_cool(state, now_ms, settings) if state.alert.under_market else state)
    if not _is_news(event, state, now_ms):
        return Decision(state) if _is_known(state) else Decision(_hold(event, state, now_ms, settings))
    return _tell_news(event, state, now_ms, settings)


def is_held_back(event: AlertEvent, mutes: tuple[Mute, ...], now_ms: int, settings: AlertSettings) -> bool:
    """Whether a mute or the night forbids to send anything about an event now."""
    if is_test(event):
        return False
    night = settings.quiet_until_ms(now_ms, event.severity) is not None
    return night or is_muted(mutes, event.anomaly.ticker, event.anomaly.kind, now_ms)


def is_muted(mutes: tuple[Mute, ...], ticker: str, kind: str, now_ms: int) -> bool:
    """Whether an order holds a ticker and kind back now."""
    return any(mute.until_ms > now_ms and mute.covers(ticker, kind) for mute in mutes)


def digests_held_back(mutes: tuple[Mute, ...], now_ms: int, settings: AlertSettings) -> bool:
    """Whether no digest may be sent now: it is night, or all is muted."""
    everything = any(mute.scope == EVERYTHING and mute.until_ms > now_ms for mute in mutes)
    return everything or settings.quiet_until_ms(now_ms, None) is not None


def is_test(event: AlertEvent) -> bool:
    """Whether a person sends it to see an alert arrive."""
    return event.anomaly.source == TEST_SOURCE


def is_live(event: AlertEvent, now_ms: int, settings: AlertSettings) -> bool:
    """Whether an event may be told at once: neither late, nor replayed, nor learned of too late."""
    past = event.anomaly.late or event.origin == "replay"
    return not past and event.at_ms >= now_ms - settings.stale_after_ms


def may_be_told_at_once(event: AlertEvent, now_ms: int, settings: AlertSettings) -> bool:
    """Whether an event is live, and of a ticker and kind that are neither silent nor off."""
    return settings.mode(event.anomaly.ticker, event.anomaly.kind) == "on" and is_live(
        event, now_ms, settings
    )


def _tell_news(event: AlertEvent, state: State, now_ms: int, settings: AlertSettings) -> Decision:
    held_back = is_held_back(event, state.mutes, now_ms, settings)
    if held_back or not may_be_told_at_once(event, now_ms, settings):
        return Decision(_hold(event, state, now_ms, settings))
    room = state.budget.take(Made(now_ms), _places(event.severity, settings, known=False, market=True))
    looks = settings.market_wide is not None and room is not None and not is_test(event)
    if looks and state.moves is None:
        return Decision(state, asks_for_moves=True)
    move = _market_move(event, state, settings) if looks else None
    if _is_under_market(event, state.market, now_ms, moving=move is not None):
        return Decision(_hold(event, state, now_ms, settings))
    made = Made(now_ms) if move else Made(now_ms, event.anomaly.ticker, event.rank)
    known = not move and event.rank <= state.budget.told_rank(made.ticker, now_ms)
    places = _places(event.severity, settings, known=known, market=move is not None)
    budget = state.budget if is_test(event) else state.budget.take(made, places)
    if budget is None:
        return Decision(_hold(event, state, now_ms, settings, urgent=not known))
    told = replace(_tell(event, state, now_ms, settings), budget=budget)
    if move is not None:
        return _send_market(event, move, told, now_ms, settings)
    return _send("alert" if event.change == "detected" else "escalation", event, told, now_ms)


def _places(severity: str, settings: AlertSettings, *, known: bool, market: bool) -> int:
    """How many of the hour's places a message at once finds: most go to what people know least of."""
    places = settings.messages_per_hour
    if market:
        return places - 1
    if severity in {"high", "critical"} and not known:
        return places - max(1, places // 3)
    return max(1, places // 3) if known else places // 2


def is_wide(ticker: str, moves: Iterable[Move], watched: int, settings: AlertSettings) -> bool:
    """Whether a ticker and those of moves are enough for a market-wide alert."""
    if settings.market_wide is None or watched == 0:
        return False
    return len({ticker, *(move.ticker for move in moves)}) >= settings.market_wide.tickers(watched)


def _market_move(event: AlertEvent, state: State, settings: AlertSettings) -> MarketMove | None:
    """The move of the market that the event is part of, if enough tickers moved within a minute."""
    moves = {move.id: (move, alert) for move, alert in state.moves or ()}
    newest_ms = max((move.at_ms for move, _ in moves.values()), default=0)
    last_ms = max(event.at_ms, min(newest_ms, event.at_ms + MINUTE_MS))
    recent = [item for item in moves.values() if last_ms - MINUTE_MS < item[0].at_ms <= last_ms]
    recent.sort(key=lambda item: (-item[0].rank, item[0].at_ms))
    tickers = tuple(dict.fromkeys((event.anomaly.ticker, *(move.ticker for move, _ in recent))))
    if not is_wide(event.anomaly.ticker, (move for move, _ in recent), state.watched, settings):
        return None
    untold = [move for move, alert in recent if not alert.fate and move.id != event.anomaly.id]
    return MarketMove(tickers, state.watched, (Move.of(event), *untold[: LISTED - 1]))


def _is_under_market(event: AlertEvent, market: Market, now_ms: int, *, moving: bool) -> bool:
    if now_ms >= market.quiet_until_ms or event.rank > market.told_rank or is_test(event):
        return False
    return moving or event.at_ms <= market.covers_until_ms


def _send_market(
    event: AlertEvent, move: MarketMove, state: State, now_ms: int, settings: AlertSettings
) -> Decision:
    """Tell the event and the singles of the move in one message; their own events will find them told."""
    listed = {single.id: single for single in move.moves}
    moves = []
    for single, alert in state.moves or ():
        if single.id in listed and single.id != event.anomaly.id:
            told = replace(
                alert, version=alert.version + 1, fate="told", told_rank=single.rank, under_market=True
            )
            moves.append((single, told))
    told_rank = max(single.rank for single in move.moves)
    before = state.market.told_rank if now_ms < state.market.quiet_until_ms else -1
    market = Market(
        version=state.market.version + 1,
        covers_until_ms=event.at_ms + MINUTE_MS,
        quiet_until_ms=now_ms + settings.cooldown_ms,
        told_rank=max(told_rank, before),
    )
    alert = replace(state.alert, under_market=True)
    decision = _send("market_wide", event, replace(state, alert=alert, market=market), now_ms)
    return replace(decision, state=replace(decision.state, moves=tuple(moves)), market=move)


def _cool(state: State, now_ms: int, settings: AlertSettings) -> State:
    """Start the cooldown of a series whose anomaly a market-wide alert told."""
    series = replace(
        state.series,
        version=state.series.version + 1,
        told_rank=max(state.alert.told_rank, _told_rank(state.series, now_ms)),
        quiet_until_ms=max(state.series.quiet_until_ms, now_ms + settings.cooldown_ms),
    )
    return replace(state, series=series)


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
    return is_test(event) or event.rank > max(_told_rank(state.series, now_ms), state.alert.told_rank)


def _is_known(state: State) -> bool:
    return state.alert.fate == "told" or (
        state.alert.fate == "held" and state.alert.digest != state.series.digest
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
    if held.anomalies + held.escalations == 0:
        return replace(series, held=None, due_ms=None)
    return replace(series, held=held)


def _origin(event: AlertEvent) -> tuple[int, int]:
    replayed = event.origin == "replay"
    return int(event.anomaly.late and not replayed), int(replayed)


def _hold(
    event: AlertEvent, state: State, now_ms: int, settings: AlertSettings, *, urgent: bool = False
) -> State:
    """Keep an event for a digest: the one after the cooldown, or the next one if it is urgent."""
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
        first_ms=min(held.first_ms, event.at_ms),
        last_ms=max(held.last_ms, event.at_ms),
        samples=_samples(held.samples, event, counted=not known),
    )
    alert = state.alert
    if known:
        alert = replace(alert, told_rank=max(alert.told_rank, event.rank))
    else:
        alert = replace(alert, fate="held", digest=state.series.digest)
    return replace(state, alert=alert, series=_waiting(state.series, held, now_ms, settings, urgent=urgent))


def _waiting(series: Series, held: Held, now_ms: int, settings: AlertSettings, *, urgent: bool) -> Series:
    due = series.due_ms
    if due is None:
        due = series.quiet_until_ms if series.quiet_until_ms > now_ms else now_ms + settings.cooldown_ms
    due = min(due, now_ms) if urgent else due
    return replace(series, version=series.version + 1, held=held, due_ms=due)


def _samples(samples: tuple[Sample, ...], event: AlertEvent, *, counted: bool) -> tuple[Sample, ...]:
    others = [sample for sample in samples if sample.anomaly.id != event.anomaly.id]
    others.append(Sample(event.anomaly, event.severity, event.rank, counted))
    others.sort(key=lambda sample: (-sample.rank, -sample.anomaly.score, began_ms(sample.anomaly)))
    return tuple(others[:SAMPLES])


def _end(event: AlertEvent, state: State, now_ms: int, settings: AlertSettings) -> Decision:
    state = replace(  # what was acknowledged is over, so that its news is not held back
        state, mutes=tuple(mute for mute in state.mutes if mute.acknowledged != event.anomaly.id)
    )
    lasted = (event.duration_seconds or 0) >= settings.back_to_normal_after_minutes * 60
    if state.alert.fate != "told" or not lasted:
        return Decision(state)
    waits = is_held_back(event, state.mutes, now_ms, settings) or state.alert.under_market
    budget = state.budget.take(Made(now_ms), max(1, settings.messages_per_hour // 2))
    if waits or budget is None or not is_live(event, now_ms, settings):
        return Decision(_add_end(event, state))
    return _send("back_to_normal", event, replace(state, budget=budget), now_ms)


def _add_end(event: AlertEvent, state: State) -> State:
    """Count an end in the digest to come; where none is to come, it is not worth one."""
    held = state.series.held
    if held is None:
        return state
    held = replace(held, ended=held.ended + 1, last_ms=max(held.last_ms, event.at_ms))
    return replace(state, series=replace(state.series, version=state.series.version + 1, held=held))


def _send(kind: MessageKind, event: AlertEvent, state: State, now_ms: int) -> Decision:
    made = {**state.alert.made_ms, event.key: now_ms}
    return Decision(replace(state, alert=replace(state.alert, made_ms=made)), kind)
