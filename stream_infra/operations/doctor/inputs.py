"""What is wrong with what comes in: the parameters that operators set, and the source of quotes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from stream_infra import names
from stream_infra.operations.doctor.diagnosis import Diagnosis, missing
from stream_infra.operations.facts import MonitorFacts
from stream_infra.operations.health import PARAMETER_PARTS, STALE, tickers_ahead
from stream_infra.operations.recovery.parameters import problem_of, rejected_of


def parameters(facts: MonitorFacts) -> Iterator[Diagnosis]:
    """Find parameters that are not there, cannot be used, or can be used in part."""
    for name, value in facts.parameters.items():
        is_ticker = name == names.TICKER_PARAMETER
        part, section = ("scanner", "configuration") if is_ticker else ("detector", "threshold-rejected")
        explains: tuple[str, ...] = (PARAMETER_PARTS[name],)
        explains += ("scanner", "stream", "windows", names.DEAD_LETTER_QUEUE) if is_ticker else ()
        back = f"stock-monitor recover parameter {name}"
        if value is None:
            yield missing(facts, part, f"the parameter {name}", explains)
        elif finding := problem_of(name, value):
            because = "scans fail until it can be used" if is_ticker else "the last good one stays in force"
            yield Diagnosis("parameter-unusable", part, finding, because, back, section, explains=explains)
        elif finding := rejected_of(name, value):
            because = "the other tickers are polled, this one is not"
            yield Diagnosis(
                "parameter-partly-unusable", part, finding, because, back, section, severity="warning"
            )


def clock(facts: MonitorFacts) -> Iterator[Diagnosis]:
    """Find a producer's clock that is ahead, by its last poll or by what the windows hold, or far behind."""
    windows = facts.windows
    ticks = windows.ticks if windows else {}
    newest = facts.newest(ticks[ticker] for ticker in (windows and tickers_ahead(facts, windows)) or ticks)
    seen = {"the scanner's last poll": facts.last_poll, "the newest tick in the windows": newest}
    for what, at in seen.items():
        if at and facts.is_ahead(at):
            yield Diagnosis(
                cause="clock-ahead",
                part="scanner",
                finding=f"{what} is {facts.seconds_ahead(at):,.0f} s in the future",
                because="the clock of the scanner's machine is, or was, ahead: ticks of the future are rejected;"
                " with the first poll by a right clock all goes on",
                remedy="date -u  # compare it with the clock of the machine",
                section="out-of-order",
                explains=("scanner", "stream", "windows"),
            )
            return
    committed = max((at for at in windows.committed.values() if at), default=None) if windows else None
    if newest and committed and facts.now - committed <= STALE < committed - newest and facts.market_open:
        yield Diagnosis(
            cause="clock-behind",
            part="scanner",
            finding=f"ticks arrive {(committed - newest).total_seconds():,.0f} s after their time",
            because="the clock of their producer is behind, or what waited during an outage is sent now",
            remedy="date -u  # compare it with the clock of the machine",
            section="out-of-order",
            explains=("windows",),
        )


def feed(facts: MonitorFacts) -> Iterator[Diagnosis]:
    """Find a source that is silent, fails, or cannot even be queried."""
    problem = facts.source.problem if facts.source is not None else ""
    if not problem and (silence := _silence(facts)):
        yield silence
    elif problem := problem or _rejected_by_log(facts):
        yield Diagnosis(
            cause="feed-dead",
            part="source",
            finding="the source of quotes cannot be used",
            because=problem,
            remedy="aws lambda get-function-configuration --function-name stock-scanner --query Environment",
            section="feed-silence",
            explains=("scanner", "stream", "windows", names.DEAD_LETTER_QUEUE),
        )


def _silence(facts: MonitorFacts) -> Diagnosis | None:
    feed = facts.feed
    if feed and ((feed.stale_since and facts.market_open) or feed.breaker == "open"):
        since = f" since {feed.stale_since}" if feed.stale_since else ""
        finding = f"the source {feed.source} brings nothing new{since}; circuit breaker {feed.breaker}"
        because = feed.failing or feed.last_error or "it responds, with quotes that are old"
    elif feed and feed.failing and facts.market_open:
        finding, because = f"the last poll of the source {feed.source} failed", feed.failing
    else:
        return None
    watched = facts.windows.tickers.values() if facts.windows else ()
    ticker = min((ticker for of_partition in watched for ticker in of_partition), default="TICKER")
    return Diagnosis(
        cause="feed-dead",
        part="source",
        finding=finding,
        because=because,
        remedy=f"stock-monitor quote {shlex.quote(ticker)} --source {feed.source}",
        section="feed-silence",
        explains=("stream", "windows"),
    )


def _rejected_by_log(facts: MonitorFacts) -> str:
    """Return why scans reject their source, if none has gone well since; "" otherwise."""
    errors = facts.errors.get(names.SCANNER)
    if errors is None or (facts.feed is not None and errors.at <= facts.feed.updated):
        return ""
    found = re.search(r"\bsource [\w.-]+ [^\"\n]*", errors.last)
    return found.group().strip() if found else ""
