"""What people read: the email and the SMS of a message. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from consumers.alerts.event import TEST_SOURCE, AlertEvent, began_ms
from consumers.alerts.model import Held, MarketMove, Move, Sample
from consumers.alerts.rendering import gsm7
from consumers.contracts.anomaly import Anomaly, iso_ms
from producers.origin import origin_of

SUBJECT_CHARACTERS = 100
"""SNS takes subjects of printable ASCII up to this length (API reference of Publish)."""
NAMED = 2
"""Series that the subject of a digest and its SMS name."""
NAMED_TICKERS = 5
"""Tickers that a market-wide alert names in its subject and its SMS."""
LINES = 20
"""Series that a digest lists; the others are counted."""


@dataclass(frozen=True, slots=True)
class Texts:
    """A message in its forms: `subject` and `email` for mail, `sms` one GSM-7 segment."""

    subject: str
    email: str
    sms: str


@dataclass(frozen=True, slots=True)
class Part:
    """A series in a digest: `held` are the counted anomalies of this ticker and kind."""

    origin: str
    ticker: str
    kind: str
    held: Held

    @property
    def worst(self) -> int:
        """Rank of the worst that is named; -1 if none is."""
        return self.held.samples[0].rank if self.held.samples else -1


def alert(event: AlertEvent, dashboard_url: str) -> Texts:
    """An anomaly that was just found."""
    return _single(event, "", dashboard_url)


def escalation(event: AlertEvent, dashboard_url: str) -> Texts:
    """An anomaly that got worse."""
    return _single(event, "now ", dashboard_url)


def back_to_normal(event: AlertEvent, dashboard_url: str) -> Texts:
    """The end of an anomaly."""
    anomaly = event.anomaly
    label, kind = _label(anomaly.source), _words(anomaly.kind)
    after = f"after {_duration(event.duration_seconds or 0)}"
    link = _link(dashboard_url, anomaly, event.at_ms)
    email = _lines(
        f"{label}{anomaly.ticker}: {kind} is over, back to normal {after}.",
        "",
        f"Ended      {_moment(event.at_ms)}",
        f"Began      {_moment(began_ms(anomaly))}",
        f"Source     {anomaly.source}",
        *_see(link),
    )
    return Texts(
        _subject(f"{label}{anomaly.ticker} {kind}: back to normal {after}"),
        email,
        _sms(f"{label}OK {anomaly.ticker} {kind} over {after}, {_clock(event.at_ms)}", link),
    )


SINGLE: dict[str, Callable[[AlertEvent, str], Texts]] = {
    "alert": alert,
    "escalation": escalation,
    "back_to_normal": back_to_normal,
}
"""How a message about one event is written."""


def market_wide(event: AlertEvent, market: MarketMove, dashboard_url: str) -> Texts:
    """Anomalies of many tickers within a minute, of which `event` was the one that made it so many."""
    label = _label(event.anomaly.source)
    severity = max(market.moves, key=lambda move: move.rank).severity.upper()
    share = f"{len(market.tickers):,} of {market.watched:,} tickers"
    named = ", ".join(market.tickers[:NAMED_TICKERS])
    others = len(market.tickers) - NAMED_TICKERS
    names = f"{named} and {others:,} more" if others > 0 else named
    link = _home(dashboard_url)
    email = _lines(
        f"{label}The market moves: {share} have anomalies within a minute.",
        "",
        *(_move(move) for move in market.moves),
        "",
        f"Tickers    {names}",
        f"When       {_moment(event.at_ms)}",
        f"Source     {event.anomaly.source}",
        *_see(link),
    )
    return Texts(
        _subject(f"{label}{severity}: market-wide, {share} within a minute ({names})"),
        email,
        _sms(
            f"{label}{severity} market-wide: {share} within a minute ({names}), {_clock(event.at_ms)}", link
        ),
    )


def _move(move: Move) -> str:
    return f"{_moment(move.at_ms)}  {move.ticker} {_words(move.kind)}, {move.severity}: {move.explanation}"


def digest(
    parts: Sequence[Part], dashboard_url: str, *, more_parts: int = 0, more_anomalies: int = 0
) -> Texts:
    """What was held, as one message.

    Args:
        parts: the worst series, at most `LINES`, at least one.
        more_parts, more_anomalies: further series that are not listed, and the anomalies that they hold.
    """
    anomalies = sum(part.held.anomalies for part in parts) + more_anomalies
    told = _count(anomalies, "more anomaly", "more anomalies") if anomalies else "Changes"
    link = _home(dashboard_url)
    first = min(part.held.first_ms for part in parts)
    last = max(part.held.last_ms for part in parts)
    names = _names(parts, more_parts)
    tail = [
        f"and {_count(more_anomalies, 'more anomaly', 'more anomalies')} of {more_parts:,} other kinds or tickers"
    ]
    email = _lines(
        f"{told}, {_moment(first)} to {_moment(last)}:",
        "",
        *(line for part in parts for line in _part_lines(part)),
        *(tail if more_parts else []),
        *_see(link),
    )
    return Texts(_subject(f"{told}: {names}"), email, _sms(f"{told}: {names}, {_span(first, last)}", link))


def _names(parts: Sequence[Part], more_parts: int) -> str:
    named = ", ".join(
        f"{_class_label(part.origin)}{part.ticker} {_words(part.kind)}{_worst(part)}"
        for part in parts[:NAMED]
    )
    others = len(parts[NAMED:]) + more_parts
    return f"{named} and {_count(others, 'other', 'others')}" if others else named


def _span(first_ms: int, last_ms: int) -> str:
    if last_ms - first_ms < 86_400_000:
        return f"{_clock(first_ms)}-{_clock(last_ms)}"
    return f"{_moment(first_ms)[:10]} to {_moment(last_ms)[:10]}"


def _single(event: AlertEvent, change: str, dashboard_url: str) -> Texts:
    anomaly = event.anomaly
    label, kind = _label(anomaly.source), _words(anomaly.kind)
    severity = change.capitalize() + event.severity.upper()
    link = _link(dashboard_url, anomaly, event.at_ms)
    unit = str(anomaly.window.get("unit", ""))
    value, expected = _measure(anomaly.value, unit), _measure(anomaly.expected, unit)
    against = f"{value} against {expected} expected"
    email = _lines(
        f"{label}{anomaly.ticker}: {kind}, {change}{event.severity}",
        "",
        anomaly.explanation,
        "",
        f"Value      {value}",
        f"Expected   {expected} ± {_measure(anomaly.tolerance, unit)}",
        f"Score      {_number(anomaly.score)} (alerts from {_number(anomaly.threshold)})",
        f"When       {_moment(event.at_ms)}",
        f"Source     {anomaly.source}",
        *_see(link),
    )
    return Texts(
        _subject(f"{label}{severity}: {anomaly.ticker} {kind}, {against}"),
        email,
        _sms(f"{label}{severity} {anomaly.ticker} {kind}: {against}, {_clock(event.at_ms)}", link),
    )


def _part_lines(part: Part) -> list[str]:
    held = part.held
    counts = [_count(held.anomalies, "anomaly", "anomalies")] if held.anomalies else []
    counts += [f"{held.late} late"] if held.late else []
    counts += [f"{held.replayed} replayed"] if held.replayed else []
    counts += [_count(held.escalations, "escalation", "escalations")] if held.escalations else []
    counts += [f"{held.ended} back to normal"] if held.ended else []
    lines = [f"{_class_label(part.origin)}{part.ticker} {_words(part.kind)}: {', '.join(counts)}"]
    lines += [f"  {_sample(sample)}" for sample in held.samples]
    rest = held.anomalies - sum(sample.counted for sample in held.samples)
    return [*lines, *([f"  and {rest} more"] if rest > 0 else [])]


def _sample(sample: Sample) -> str:
    anomaly = sample.anomaly
    return f"{_moment(began_ms(anomaly))}  {sample.severity}: {anomaly.explanation}"


def _worst(part: Part) -> str:
    return f" ({part.held.samples[0].severity})" if part.held.samples else ""


def _label(source: str) -> str:
    if source == TEST_SOURCE:
        return "[TEST] "
    return _class_label(origin_of(source))


def _class_label(name: str) -> str:
    return {"simulated": "[SIMULATED] ", "replay": "[REPLAY] "}.get(name, "")


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _number(value: float) -> str:
    if 1e6 <= abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:,.2f}" if 100 <= abs(value) < 1e6 else f"{value:.4g}"


def _measure(value: float, unit: str) -> str:
    """A value of an anomaly in its unit; returns and spreads are shares of the price."""
    if unit in {"return", "spread"}:
        return f"{_number(value * 100)} %"
    if unit in {"shares", "ticks"}:
        return f"{value:,.0f} {unit}"
    return f"{_number(value)} s" if unit == "seconds" else _number(value)


def _count(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _moment(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _clock(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%H:%M:%S}Z"


def _link(dashboard_url: str, anomaly: Anomaly, at_ms: int) -> str:
    if not dashboard_url:
        return ""
    query = urlencode({"ticker": anomaly.ticker, "at": iso_ms(at_ms), "source": anomaly.source}, safe=":")
    return f"{_home(dashboard_url)}?{query}"


def _home(dashboard_url: str) -> str:
    return dashboard_url.rstrip("/") + "/" if dashboard_url else ""


def _see(link: str) -> list[str]:
    return ["", f"See it: {link}"] if link else []


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def _subject(text: str) -> str:
    plain = gsm7.spell(text).encode("ascii", "replace").decode().replace("\n", " ")
    return plain if len(plain) <= SUBJECT_CHARACTERS else plain[: SUBJECT_CHARACTERS - 3].rstrip() + "..."


def _sms(text: str, link: str) -> str:
    """The text, with the link if both fit into one segment: half a link leads nowhere."""
    spelled = gsm7.spell(text)
    whole = gsm7.spell(f"{text} {link}") if link else spelled
    if gsm7.septets(whole) <= gsm7.SEGMENT_SEPTETS:
        return whole
    return gsm7.cut(spelled)
