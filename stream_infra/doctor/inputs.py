"""What is wrong with what comes in: the parameters that operators set, and the source of quotes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stream_infra import names
from stream_infra.doctor.diagnosis import DEPLOY, UP, Diagnosis
from stream_infra.doctor.facts import Facts


def parameters(facts: Facts) -> Iterator[Diagnosis]:
    for name, value in facts.parameters.items():
        is_ticker = name == names.TICKER_PARAMETER
        problem, refused = _watch_list(name, value) if is_ticker else (_threshold(name, value), "")
        back = f"stock-monitor recover parameter {name}"
        if problem:
            yield Diagnosis(
                cause="parameter-unusable" if value is not None else "missing-parameter",
                part="scanner" if is_ticker else "detector",
                finding=problem,
                because="scans fail until it can be used"
                if is_ticker
                else "the last good one stays in force",
                remedy=back if value is not None else (UP if facts.local else DEPLOY),
                section="configuration" if is_ticker else "threshold-refused",
                explains=("scanner", "stream", "windows", names.DEAD_LETTER_QUEUE) if is_ticker else (),
            )
        elif refused:
            yield Diagnosis(
                cause="parameter-partly-unusable",
                part="scanner",
                finding=refused,
                because="the other tickers are polled, this one is not",
                remedy=back,
                section="configuration",
                severity="warning",
            )


def _watch_list(name: str, value: str | None) -> tuple[str, str]:
    from producers.watch_list import WatchListError, parse  # noqa: PLC0415  --help must not pay for it

    if value is None:
        return f"parameter {name} does not exist", ""
    if value.strip().lower().startswith("s3:"):
        return "", ""  # the scanner's own errors tell of it
    try:
        return "", "; ".join(parse(value, f"parameter {name}").refused)
    except WatchListError as error:
        return str(error), ""


def _threshold(name: str, value: str | None) -> str:
    from consumers.thresholds import Threshold, ThresholdError  # noqa: PLC0415  --help must not pay for it

    if value is None:
        return f"parameter {name} does not exist"
    try:
        Threshold.parse(value)
    except ThresholdError as error:
        return f"parameter {name} is {error}"
    return ""


def feed(facts: Facts) -> Iterator[Diagnosis]:
    """A source that is silent, fails, or cannot even be asked."""
    feed, errors = facts.feed, facts.errors.get(names.SCANNER)
    unusable = None
    if errors and (feed is None or errors.at > feed.updated):  # no scan has gone well since
        unusable = re.search(r"\bsource [\w.-]+ [^\"\n]*", errors.last)
    if feed and ((feed.stale_since and facts.market_open) or feed.breaker == "open"):
        since = f" since {feed.stale_since}" if feed.stale_since else ""
        yield Diagnosis(
            cause="feed-dead",
            part="feed",
            finding=f"the source {feed.source} brings nothing new{since}; circuit breaker {feed.breaker}",
            because=feed.last_error or "it answers, with quotes that are old",
            remedy=f"stock-monitor quote AAPL --source {feed.source}",
            section="feed-silence",
            explains=("stream", "windows"),
        )
    elif unusable:
        yield Diagnosis(
            cause="feed-dead",
            part="feed",
            finding="the source of quotes cannot be used",
            because=unusable.group().strip(),
            remedy="aws lambda get-function-configuration --function-name stock-scanner --query Environment",
            section="feed-silence",
            explains=("scanner", "stream", "windows", names.DEAD_LETTER_QUEUE),
        )
