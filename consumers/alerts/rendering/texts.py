"""What people read: a message as a title, lines and a link. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlencode

from consumers.alerts.context import BESIDE, percent, sentence
from consumers.alerts.links import Action
from consumers.alerts.model import (
    FEED,
    TICKERS,
    AnomalySummary,
    Digest,
    Incident,
    Message,
    MessageKind,
    TickerMove,
)
from consumers.alerts.settings import zone
from consumers.contracts.kinds import RULE, name_of
from consumers.contracts.wording import counted, duration, number, one_line, price

TITLE_CHARACTERS = 99
"""Of a digest's title: what the subject of an email has room for."""
NAMED = 5
"""Tickers that a title names."""
RANKED = 10
"""Tickers that a message ranks."""
_CHANGES = {"escalated": "Now ", "repeated": "Still "}


@dataclass(frozen=True, slots=True)
class Button:
    """What a person can do from a message: words, and the address that offers it."""

    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Content:
    """A message for people, free of any channel's format.

    Attributes
    ----------
    title
        What happened, on one line.
    short
        The title without its last part, for where the whole has no room; "" where it has none to leave out.
    lines
        More of it, a fact a line.
    severity
        The incident's, or the worst of a digest; "" for a test.
    link
        Where to see it; "" where no dashboard is known.
    at
        When, as text with its time zone.
    buttons
        What a person can do about it.
    """

    title: str
    lines: tuple[str, ...]
    severity: str
    link: str
    at: str
    buttons: tuple[Button, ...] = ()
    short: str = ""

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """The link and the buttons, as words and addresses."""
        see = (("See it", self.link),) if self.link else ()
        return (*see, *((button.label, button.url) for button in self.buttons))


def content(
    message: Message, dashboard_url: str, time_zone: str, token: Callable[[Action], str] | None = None
) -> Content:
    """Return what a message says, with times in a time zone and links to the dashboard ("" for none).

    Parameters
    ----------
    token
        Returns the token of a link (see `links`); without it there are no buttons.
    """
    say = _Writer(dashboard_url.rstrip("/"), time_zone)
    said = _content(message, say)
    if token is None or not dashboard_url or message.incident is None:
        return _printable(said)
    buttons = [
        Button(label, f"{said.link}#do={token(action)}")
        for action, label in _actions(message.kind, message.incident)
    ]
    return _printable(replace(said, buttons=tuple(buttons)))


def _actions(kind: MessageKind, incident: Incident) -> Iterator[tuple[Action, str]]:
    if kind in {"opened", "escalated", "repeated"}:
        yield "acknowledge", "Acknowledge for 4 h"
        if not incident.is_wide:
            yield "silence", f"Silence {incident.subject} for 1 h"
    if kind != "acknowledged":
        yield "noise", "Noise"
        yield "useful", "Useful"


def _printable(said: Content) -> Content:
    """Return a message without characters that a mail or a terminal would act upon, such as line ends in a title."""
    title, short, *lines = (one_line(text) for text in (said.title, said.short, *said.lines))
    buttons = tuple(replace(button, label=one_line(button.label)) for button in said.buttons)
    return replace(said, title=title, short=short, lines=tuple(lines), buttons=buttons)


def _content(message: Message, say: _Writer) -> Content:
    if message.digest is not None:
        return say.digest(message, message.digest)
    if message.incident is None or message.cause is None:
        return say.test(message.made_ms)
    if message.kind == "resolved":
        return say.resolved(message.incident)
    if message.kind == "acknowledged":
        return say.acknowledged(message.incident)
    if message.incident.is_wide:
        return say.wide(message, message.incident)
    return say.single(message, message.incident, message.cause)


@dataclass(frozen=True, slots=True)
class _Writer:
    dashboard_url: str
    time_zone: str

    def test(self, at_ms: int) -> Content:
        text = "This is a test message. There is no anomaly."
        return Content("[TEST] Stock monitor", (text,), "", self._home(), self._moment(at_ms))

    def single(self, message: Message, incident: Incident, cause: AnomalySummary) -> Content:
        against, expected = _measure(cause.value, cause.unit), _measure(cause.expected, cause.unit)
        # Of prices none: no good one came before. Of ticks that change nothing: none is usual.
        if cause.expected > 0.0 if cause.unit == "price" else expected != "0 ticks":
            against += f" (expected {expected})"
        others = [one for one in incident.samples if one.id != cause.id]
        more = incident.anomalies - 1 - len(others)
        short = f"{_change(message, incident)}: {cause.ticker} {name_of(cause.kind)}, {against}"
        title = ", ".join([short, *_verdict(incident)])
        if cause.kind == RULE:
            title = short = f"{_change(message, incident)}: {cause.explanation.removesuffix('.')}"
        lines = [
            cause.explanation,
            *(f"{name_of(one.kind)}, {one.severity}: {one.explanation}" for one in others),
            *([f"and {counted(more, 'more anomaly', 'more anomalies')}"] if more > 0 else []),
        ]
        said = self._about(incident, title, lines, cause.began_ms)
        return replace(said, short=short if short != title else "")

    def wide(self, message: Message, incident: Incident) -> Content:
        what = "feed stall" if incident.subject == FEED else "market-wide"
        moved = any(one.move for one in incident.tickers)
        lines = [
            self._first(incident),
            *([f"Largest moves: {_most(incident.tickers)}"] if moved else []),
            *_samples(incident),
        ]
        title = f"{_change(message, incident)}: {what}, {_share(incident)}"
        return self._about(incident, title, lines, incident.opened_ms)

    def acknowledged(self, incident: Incident) -> Content:
        known = incident.acknowledgement
        by = f" by {known.by} until {self._moment(known.until_ms)}" if known is not None else ""
        title = f"{_label(incident.origin)}Acknowledged{by}: {subject_of(incident)}"
        return self._about(incident, title, [], incident.last_ms)

    def resolved(self, incident: Incident) -> Content:
        lasted = duration(round((incident.last_ms - incident.opened_ms) / 1000))
        # Not "a gap after 27 s": a gap is over as its incident begins, and may have been longer.
        about = f"{subject_of(incident)}, peak severity {incident.severity}"
        title = f"{_label(incident.origin)}Resolved after {lasted}: {about}"
        return self._about(incident, title, _samples(incident), incident.last_ms)

    def _about(self, incident: Incident, title: str, lines: list[str], at_ms: int) -> Content:
        if incident.context is not None:
            lines = [*lines, sentence(incident.context, incident.subject)]
        count = counted(incident.anomalies, "anomaly", "anomalies")
        facts = f"Began {self._moment(incident.opened_ms)}, {count}", f"Incident {incident.id}"
        return Content(title, (*lines, *facts), incident.severity, self._link(incident), self._moment(at_ms))

    def digest(self, message: Message, digest: Digest) -> Content:
        first_ms = min(incident.opened_ms for incident in digest.listed)
        last_ms = max(incident.last_ms for incident in digest.listed)
        more = digest.incidents - len(digest.listed)
        count = counted(digest.incidents, "incident", "incidents")
        anomalies = counted(digest.anomalies, "anomaly", "anomalies")
        return Content(
            _fitting(f"{_label(digest.origin)}Digest: {count}", digest),
            (
                f"{count}, {anomalies}, {self._span(first_ms, last_ms)}",
                *(self._line(incident, message.made_ms) for incident in digest.listed),
                *([f"and {counted(more, 'more incident', 'more incidents')}"] if more else []),
            ),
            digest.listed[0].severity,
            self._home(),
            self._moment(last_ms),
        )

    def _line(self, incident: Incident, now_ms: int) -> str:
        about = [incident.severity, incident.state(now_ms)]
        about += [f"{incident.anomalies:,} anomalies"] if incident.anomalies > 1 else []
        about += [*_verdict(incident), *(["found late"] if incident.late else [])]
        subject, explanation = subject_of(incident), incident.samples[0].explanation
        more = (
            "" if explanation.startswith(subject) else f": {explanation}"
        )  # a rule's subject is its sentence
        return f"{self._clock(incident.opened_ms)}  {subject} ({', '.join(about)}){more}"

    def _first(self, incident: Incident) -> str:
        """Return which tickers moved first, and when, with the time zone once."""
        moves = [
            (move.ticker, self._clock(move.first_ms).partition(" ")[0]) for move in incident.tickers[:RANKED]
        ]
        times = ", ".join(f"{ticker} {time}" for ticker, time in moves)
        return f"First to move ({self._clock(incident.opened_ms).partition(' ')[2]}): {times}"

    def _moment(self, ms: int) -> str:
        moment = datetime.fromtimestamp(ms / 1000, zone(self.time_zone))
        return f"{moment:%Y-%m-%d %H:%M:%S} {moment.tzname()}"

    def _span(self, first_ms: int, last_ms: int) -> str:
        """Return a time, or two, of which the second has its day only where that is another one."""
        first, last = self._moment(first_ms), self._moment(last_ms)
        if first == last:
            return first
        return f"{first} to {self._clock(last_ms) if first[:10] == last[:10] else last}"

    def _clock(self, ms: int) -> str:
        return self._moment(ms).partition(" ")[2]

    def _home(self) -> str:
        return f"{self.dashboard_url}/" if self.dashboard_url else ""

    def _link(self, incident: Incident) -> str:
        """Return where the page shows the incident's worst anomaly: its id says the ticker and the moment."""
        if not self.dashboard_url or not incident.samples:
            return self._home()
        return f"{self._home()}?{urlencode({'anomaly': incident.samples[0].id}, safe=':@')}"


def _fitting(start: str, digest: Digest) -> str:
    """Return a title with as many of the worst incidents, two at most, as a subject has room for."""
    for named in (2, 1):
        shown = ", ".join(f"{subject_of(one)} ({one.severity})" for one in digest.listed[:named])
        more = digest.incidents - named
        others = f" and {counted(more, 'other', 'others')}" if more > 0 else ""
        if len(title := f"{start}: {shown}{others}") <= TITLE_CHARACTERS:
            return title
    return start


def subject_of(incident: Incident) -> str:
    """Return what an incident is about: its ticker and worst anomaly, the market or the feed."""
    if incident.is_wide:
        return "feed stall" if incident.subject == FEED else "market-wide move"
    worst = incident.samples[0]
    if worst.kind == RULE:  # what its owner named; "rule" says nothing
        return worst.explanation.removesuffix(".")
    return f"{incident.subject} {name_of(worst.kind)}"


def _change(message: Message, incident: Incident) -> str:
    return f"{_label(incident.origin)}{_CHANGES.get(message.kind, '')}{incident.severity.upper()}"


def _samples(incident: Incident) -> list[str]:
    return [f"{one.severity}: {one.explanation}" for one in incident.samples[:NAMED]]


def _verdict(incident: Incident) -> list[str]:
    return [BESIDE[incident.context.verdict]] if incident.context and incident.context.verdict else []


def _share(incident: Incident) -> str:
    count = len(incident.tickers)
    number = f"{count:,} or more" if count >= TICKERS else f"{count:,}"
    named = ", ".join(move.ticker for move in incident.tickers[:NAMED])
    others = f" and {count - NAMED:,} more" if count > NAMED else ""
    # The list may have become shorter since, and a replay or a producer may bring tickers that are not on it.
    of = f" of {incident.watched:,}" if count <= incident.watched else ""
    return f"{number}{of} tickers within a minute ({named}{others})"


def _most(moves: tuple[TickerMove, ...]) -> str:
    most = sorted((move for move in moves if move.move), key=lambda move: -abs(move.move))
    return ", ".join(f"{one.ticker} {percent(one.move)}" for one in most[:RANKED])


def _label(origin: str) -> str:
    return {"simulated": "[SIMULATED] ", "replay": "[REPLAY] "}.get(origin, "")


def _measure(value: float, unit: str) -> str:
    """Return a value of an anomaly in its unit; returns and spreads are shares of the price."""
    if unit in {"return", "spread"}:
        return f"{number(value * 100)}%"
    if unit == "shares":
        return number(value)
    if unit == "ticks":
        return counted(round(value), "tick")
    return duration(value) if unit == "seconds" else price(value)
