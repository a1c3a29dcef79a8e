"""The short judgement: does each part work, how stale is it, and what is there to do. Pure: facts in, findings out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from stream_infra import names
from stream_infra.operations.facts import MonitorFacts, WebAddress, Windows
from stream_infra.operations.recovery.parameters import problem_of, rejected_of

State = Literal["ok", "idle", "failed"]
STALE = timedelta(minutes=2)
"""A scan runs every minute: two minutes without news are one too many."""
SILENT = timedelta(minutes=10)
"""A partition may hold a single ticker, and trading in that one may be halted for so long."""
WAITING_EVENTS = 1000
_NAMED = 5
PARAMETER_PARTS = {names.TICKER_PARAMETER: "watch list", names.THRESHOLD_PARAMETER: "threshold"}


@dataclass(frozen=True)
class Finding:
    """What was found of a part.

    Parameters
    ----------
    state
        "idle" is fine where there is nothing to do, as while the market is closed.
    action
        What to do about it; empty if there is nothing to do.
    age_seconds
        Age of its newest sign of life; None if there is none, or age says nothing of it.
    """

    part: str
    state: State
    detail: str
    action: str = ""
    age_seconds: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as JSON-able values."""
        return asdict(self)


def healthy(findings: Iterable[Finding]) -> bool:
    """Return whether nothing is wrong."""
    return all(finding.state != "failed" for finding in findings)


def judge(facts: MonitorFacts) -> list[Finding]:
    """Return a finding of every part; of programs and pages only where AWS does not respond."""
    return [finding for check in _CHECKS for finding in check(facts)]


def _programs(facts: MonitorFacts) -> Iterator[Finding]:
    for name, pid in facts.programs.items():
        if pid is None:
            action = f"run `{facts.redo}`; its log: {facts.log_directory}/{name}.log"
            yield Finding(name, "failed", "this program does not run", action)
        elif pid in facts.halted:
            yield Finding(name, "failed", f"process {pid} is halted by a signal", f"run `{facts.redo}`")
        else:
            yield Finding(name, "ok", f"runs as process {pid}")


def saved_data(facts: MonitorFacts) -> Iterator[Finding]:
    """Find what the local AWS holds to be unsaved: a kill would cost it."""
    if facts.save_problem:
        detail = f"the local AWS cannot save its data: {facts.save_problem}"
        yield Finding("saved data", "failed", detail, f"mend that, then run `{facts.redo}`")


def _aws(facts: MonitorFacts) -> Iterator[Finding]:
    where = facts.aws or "AWS"
    if facts.aws_problem:
        action = f"run `{facts.redo}`" if facts.local else "check the credentials and the region"
        yield Finding("AWS", "failed", f"{where} does not respond: {facts.aws_problem}", action)
    else:
        yield Finding("AWS", "ok", f"{where} responds")
    for what, why in facts.unseen.items():
        yield Finding(what, "failed", f"cannot be examined: {why}", "see the message")


def _stream(facts: MonitorFacts) -> Iterator[Finding]:
    stream = facts.stream
    if stream is None:
        yield _missing(facts, "stream")
    elif stream.state not in {"ACTIVE", "UPDATING"}:
        yield Finding("stream", "failed", f"is {stream.state}", "wait, then look again")
    else:
        newest = facts.newest(stream.arrived.values())
        what = f"{stream.shards} open shard{'s' if stream.shards != 1 else ''}, newest record"
        action = "look at `scanner` and its log: aws logs tail /aws/lambda/stock-scanner"
        yield _fresh(facts, "stream", what, newest, action)


def _parameters(facts: MonitorFacts) -> Iterator[Finding]:
    """Find what operators set and what has no effect, or not all of it; the rest shows in other parts."""
    for name, value in facts.parameters.items():
        part = PARAMETER_PARTS[name]
        back = f"stock-monitor recover parameter {name}"
        if value is None:
            yield _missing(facts, part)
        elif problem := problem_of(name, value):
            yield Finding(part, "failed", problem, back)
        elif rejected := rejected_of(name, value):
            yield Finding(part, "ok", rejected, back)


def _scanner(facts: MonitorFacts) -> Iterator[Finding]:
    yield from _rule(facts, "scanner", names.SCHEDULE_RULE)
    yield from _function(facts, "scanner", names.SCANNER, runs_every_minute=facts.market_open)


def _source(facts: MonitorFacts) -> Iterator[Finding]:
    source = facts.source
    if source is None:
        return
    if source.problem:
        yield Finding("source", "failed", source.problem, "see docs/sources.md")
        return
    keys = f"keys present: {', '.join(source.keys)}" if source.keys else "needs no key"
    broken = f"; cannot be used: {', '.join(source.broken)}" if source.broken else ""
    market = f"market{'s' if len(source.markets) > 1 else ''} {', '.join(source.markets)}"
    what = f"{source.name}, by {source.mode}, {market}; {keys}{broken}"
    feed = facts.feed if facts.market_open and facts.feed and facts.feed.source == source.name else None
    if feed and feed.failing:
        remedy = "run `stock-monitor doctor`; see docs/sources.md"
        yield Finding("source", "failed", f"{what}; the last poll failed: {feed.failing}", remedy)
    else:
        late = f"; of the last scan {feed.late}" if feed and feed.late else ""
        yield Finding("source", "ok", what + late)


def _detector(facts: MonitorFacts) -> Iterator[Finding]:
    yield from _function(facts, "detector", names.DETECTOR, runs_every_minute=False)


def _windows(facts: MonitorFacts) -> Iterator[Finding]:
    windows = facts.windows
    if windows is None:
        yield _missing(facts, "windows")
        return
    log = "look at its log (aws logs tail /aws/lambda/stock-detector) and at `stock-monitor dlq list`"
    ahead = tickers_ahead(facts, windows)
    newest = facts.newest(windows.ticks[ticker] for ticker in ahead or windows.ticks)
    whole = _fresh(
        facts, "windows", f"newest tick{f' of {_listed(tuple(ahead))}' if ahead else ''}", newest, log
    )
    parts = [] if whole.state == "failed" else list(_partitions(facts, windows, log))
    yield from parts or [whole]


def tickers_ahead(facts: MonitorFacts, windows: Windows) -> list[str]:
    """Return the tickers that take no tick before a time of the future has come, of those whose ticks are expected."""
    expected = {ticker for of_partition in windows.tickers.values() for ticker in of_partition}
    ahead = [ticker for ticker, at in windows.ticks.items() if facts.is_ahead(at)]
    return ahead if len(ahead) == len(windows.ticks) else [ticker for ticker in ahead if ticker in expected]


def _partitions(facts: MonitorFacts, windows: Windows, log: str) -> Iterator[Finding]:
    """Judge each partition by itself: one that stands still is hidden by the others' news."""
    arrived = facts.stream.arrived if facts.stream else {}
    quotes_expected = bool(arrived) and facts.market_open and not facts.just_deployed
    for partition, committed in windows.committed.items():
        tickers = windows.tickers.get(partition, ())
        name = f"partition {partition}" + (f" ({_listed(tickers)})" if tickers else "")
        newest = arrived.get(str(partition))
        if newest and facts.is_ahead(newest):
            newest = None  # a clock that was ahead left it
        if newest and (committed is None or newest - committed > STALE):
            since = "holds nothing" if committed is None else f"stands still since {_ago(facts, committed)}"
            yield Finding("windows", "failed", f"{name} {since}, and ticks wait on the stream", log)
        elif (
            quotes_expected
            and not newest
            and tickers
            and (committed is None or facts.now - committed > SILENT)
        ):
            action = "look at the log of the scanner: aws logs tail /aws/lambda/stock-scanner"
            yield Finding("windows", "failed", f"{name}: no tick for {SILENT.seconds // 60} min", action)


def _ledger(facts: MonitorFacts) -> Iterator[Finding]:
    if facts.windows is None:
        return  # said already
    counts = facts.windows.counts
    detail = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.as_dict().items())
    notes = []
    if counts.out_of_order:
        notes.append("out of order: do two producers send the same symbols, or one with a wrong clock?")
    if counts.quarantined:
        notes.append("quarantined: stock-monitor quarantine list")
    if counts.balance():
        yield Finding("balance of ticks", "ok", detail, "; ".join(notes))
    else:
        action = "ticks are not accounted for, which must not be: report it as a defect"
        yield Finding("balance of ticks", "failed", detail, action)


def _tables(facts: MonitorFacts) -> Iterator[Finding]:
    bad = [
        Finding(
            "tables", "failed", f"{name} is {'not there' if table is None else table.state}", _redo(facts)
        )
        for name, table in facts.tables.items()
        if table is None or table.state not in {"ACTIVE", "UPDATING"}
    ]
    yield from bad or [Finding("tables", "ok", f"{len(facts.tables)} active")]


def _bus(facts: MonitorFacts) -> Iterator[Finding]:
    failed = list(_rule(facts, "bus", names.ANOMALY_RULE))
    yield from failed or [Finding("bus", "ok", f"{names.BUS}, its rule {names.ANOMALY_RULE} is enabled")]


def _notifier(facts: MonitorFacts) -> Iterator[Finding]:
    yield from _rule(facts, "notifier", names.DIGEST_RULE)
    yield from _function(facts, "notifier", names.NOTIFIER, runs_every_minute=True)
    waiting = facts.queues.get(names.NOTIFIER_QUEUE)
    if waiting is not None:
        failed = waiting > WAITING_EVENTS
        action = "look at its log: aws logs tail /aws/lambda/stock-notifier" if failed else ""
        yield Finding("notifier queue", "failed" if failed else "ok", f"{waiting:,} events wait", action)


def _dead_letters(facts: MonitorFacts) -> Iterator[Finding]:
    actions = {
        names.DEAD_LETTER_QUEUE: "see them: stock-monitor dlq list; then: stock-monitor dlq redrive",
        names.NOTIFIER_DEAD_LETTER_QUEUE: "read the log of stock-notifier, fix the cause, then move them back: "
        "aws sqs start-message-move-task --source-arn <its ARN>",
    }
    for queue, waiting in facts.queues.items():
        if waiting is None:
            yield _missing(facts, queue)
        elif queue in actions:
            yield Finding(
                queue,
                "failed" if waiting else "ok",
                f"{waiting:,} messages",
                actions[queue] if waiting else "",
            )


def _pages(facts: MonitorFacts) -> Iterator[Finding]:
    log = "look at its log: aws logs tail /aws/lambda/stock-api-handler"
    if facts.api is None:
        yield Finding("API", "failed", "is not deployed", _redo(facts))
    else:
        yield _page(facts, "API", facts.api, log)
    if facts.dashboard is None:
        yield Finding("dashboard", "idle", "has no known address")
    else:
        yield _page(facts, "dashboard", facts.dashboard, _redo(facts))
    if facts.outbox is not None:
        yield _page(facts, "outbox", facts.outbox, "make down && make up")


def _page(facts: MonitorFacts, part: str, page: WebAddress, action: str) -> Finding:
    if not page.problem:
        return Finding(part, "ok", page.url)
    return Finding(part, "failed", page.problem, action if page.responds else _redo(facts))


def _rule(facts: MonitorFacts, part: str, name: str) -> Iterator[Finding]:
    rule = facts.rules.get(name)
    if name in facts.rules and rule is None:
        yield Finding(part, "failed", f"the rule {name} is not there", _redo(facts))
    elif rule is not None and rule.state != "ENABLED":
        bus = f" --event-bus-name {names.BUS}" if name == names.ANOMALY_RULE else ""
        yield Finding(
            part, "failed", f"its rule {name} is {rule.state}", f"aws events enable-rule --name {name}{bus}"
        )


def _function(facts: MonitorFacts, part: str, name: str, *, runs_every_minute: bool) -> Iterator[Finding]:
    if name not in facts.functions:
        return  # said already
    function = facts.functions[name]
    if function is None:
        yield _missing(facts, part)
    elif not function.works:
        detail = f"{name} is {function.state}, its last update {function.update}: {function.reason}"
        yield Finding(part, "failed", detail, _redo(facts))
    elif runs_every_minute:
        action = f"look at its log: aws logs tail /aws/lambda/{name}"
        yield _fresh(facts, part, f"{name}, last ran", function.last_ran, action, always=True)
    elif function.last_ran is None:
        yield Finding(part, "idle", f"{name} has not run yet")
    else:
        yield Finding(part, "ok", f"{name}, last ran {_ago(facts, function.last_ran)}")


def _fresh(
    facts: MonitorFacts, part: str, what: str, at: datetime | None, action: str, *, always: bool = False
) -> Finding:
    """Judge the newest sign of life of a part that has one every minute, `always` or while the market is open."""
    if at is None:
        detail, age = f"{what}: none", None
        if facts.just_deployed:
            return Finding(part, "idle", f"{detail} so far (it was deployed just now)")
    else:
        age = max(facts.now - at, timedelta())  # what came during the examination is new
        detail = f"{what} {_ago(facts, at)}"
        if facts.is_ahead(at):
            clock = "a clock is wrong: compare `date -u` here with that of the producer"
            return Finding(part, "failed", detail, clock, -facts.seconds_ahead(at))
        if age <= STALE:
            return Finding(part, "ok", detail, age_seconds=age.total_seconds())
    seconds = None if age is None else age.total_seconds()
    if facts.just_deployed and at is not None:
        return Finding(part, "idle", f"{detail} (it was started just now)", age_seconds=seconds)
    if not facts.market_open and not always:
        return Finding(part, "idle", f"{detail} (the market is closed)", age_seconds=seconds)
    return Finding(part, "failed", detail, action, seconds)


def _missing(facts: MonitorFacts, part: str) -> Finding:
    return Finding(part, "failed", "is not there", _redo(facts))


def _redo(facts: MonitorFacts) -> str:
    return f"run `{facts.redo}`"


def _ago(facts: MonitorFacts, at: datetime) -> str:
    if facts.is_ahead(at):
        return f"{facts.seconds_ahead(at):,.0f} s in the future"
    seconds = (facts.now - at).total_seconds()
    if seconds < 120:
        return f"{max(0.0, seconds):.0f} s ago"
    minutes = round(seconds / 60)
    return f"{minutes} min ago" if minutes < 120 else f"{minutes // 60} h ago"


def _listed(tickers: tuple[str, ...]) -> str:
    more = f" and {len(tickers) - _NAMED} more" if len(tickers) > _NAMED else ""
    return ", ".join(tickers[:_NAMED]) + more


def _unless_aws_fails(*checks: Any) -> Any:
    def check(facts: MonitorFacts) -> Iterator[Finding]:
        if not facts.aws_problem:
            for one in checks:
                yield from one(facts)

    return check


_CHECKS = (
    _programs,
    saved_data,
    _aws,
    _unless_aws_fails(
        _stream,
        _source,
        _parameters,
        _scanner,
        _detector,
        _windows,
        _ledger,
        _tables,
        _bus,
        _notifier,
        _dead_letters,
    ),
    _pages,
)
