"""Looks at each part of the monitor: does it work, how stale is it, and what is there to do.

A check answers with findings and never raises for what it looks at: a part that does not answer is a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from producers.errors import MonitorError
from stream_infra import names
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.web_client import get, get_json

if TYPE_CHECKING:
    from producers.markets import Session

State = Literal["ok", "idle", "failed"]
STALE_SECONDS = 120
"""A scan runs every minute: two minutes without news are one too many."""
MINUTE_SECONDS = 60
LOCAL_PROGRAMS = ("emulator", "front-door", "event-source-mapping")
_UP = "run `make up`"
_DEPLOY = "run `cdk deploy --all`"


@dataclass(frozen=True)
class Finding:
    """What was found of a part.

    Attributes:
        state: "idle" is fine where there is nothing to do, as while the market is closed.
        action: what to do about it; empty if there is nothing to do.
    """

    part: str
    state: State
    detail: str
    action: str = ""
    age_seconds: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON-able values."""
        return asdict(self)


@dataclass(frozen=True)
class Context:
    """What the checks know.

    Attributes:
        now: the time now.
        remedy: what to run when something is not there.
        market_open: whether quotes are to be expected now.
        scanner: environment of the function stock-scanner.
        just_deployed: whether the functions are so new that there may be no news of them yet.
    """

    endpoints: Endpoints
    now: datetime
    remedy: str
    market_open: bool
    scanner: dict[str, str]
    just_deployed: bool = False


Check = Callable[[Context], Iterator[Finding]]


def examine(endpoints: Endpoints, now: datetime) -> list[Finding]:
    """Look at every part; those that need AWS are left out when AWS does not answer."""
    context = Context(endpoints, now, _DEPLOY if endpoints.aws is None else _UP, market_open=True, scanner={})
    findings = list(_programs(context))
    aws = _aws(context)
    findings.append(aws)
    if aws.state == "ok":
        context = _informed(context)
        for part, check in _CHECKS.items():
            findings += _answers(part, check, context)
    return [*findings, *_web(context)]


def _informed(context: Context) -> Context:
    client = context.endpoints.client("lambda")
    try:
        found = client.get_function_configuration(FunctionName=names.SCANNER)
    except ClientError:
        return replace(context, market_open=market_open({}, context.now))  # its own check says so
    scanner = dict(found.get("Environment", {}).get("Variables", {}))
    age = _age(context, datetime.fromisoformat(found["LastModified"]))
    return replace(
        context,
        market_open=market_open(scanner, context.now),
        scanner=scanner,
        just_deployed=age <= STALE_SECONDS,
    )


def market_open(scanner: dict[str, str], now: datetime) -> bool:
    """Whether the session named in the scanner's environment is open, and quotes are to be expected."""
    from producers.markets import SESSIONS, is_open  # noqa: PLC0415

    session: Session | None = next((known for known in SESSIONS if known == scanner.get("SESSION")), None)
    return session is None or is_open(session, now)


def _answers(part: str, check: Check, context: Context) -> Iterator[Finding]:
    try:
        yield from check(context)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        missing = "NotFound" in code or "NonExistent" in code
        detail = "is not there" if missing else f"answers with an error: {error}"
        action = context.remedy if missing else "see the message"
        yield Finding(part, "failed", detail, action)
    except BotoCoreError as error:
        yield Finding(part, "failed", f"does not answer: {error}", context.remedy)


def _aws(context: Context) -> Finding:
    where = context.endpoints.aws or "AWS"
    try:
        context.endpoints.client("dynamodb").list_tables(Limit=1)
    except (BotoCoreError, ClientError) as error:
        action = "run `make up`" if context.endpoints.aws else "check the credentials and the region"
        return Finding("AWS", "failed", f"{where} does not answer: {error}", action)
    return Finding("AWS", "ok", f"{where} answers")


def _stream(context: Context) -> Iterator[Finding]:
    from stream_infra.operations.tail import newest_arrival  # noqa: PLC0415

    kinesis = context.endpoints.client("kinesis")
    summary = kinesis.describe_stream_summary(StreamName=names.STREAM)["StreamDescriptionSummary"]
    if summary["StreamStatus"] not in {"ACTIVE", "UPDATING"}:
        yield Finding("stream", "failed", f"is {summary['StreamStatus']}", "wait, then look again")
        return
    since = datetime.fromtimestamp(context.now.timestamp() - 2 * STALE_SECONDS, UTC)
    newest = newest_arrival(kinesis, names.STREAM, since)
    what = f"{summary['OpenShardCount']} open shard(s), newest record"
    action = "look at `scanner` and its log: aws logs tail /aws/lambda/stock-scanner"
    yield _fresh(context, "stream", what, newest, action)


def _scanner(context: Context) -> Iterator[Finding]:
    rule = context.endpoints.client("events").describe_rule(Name=names.SCHEDULE_RULE)
    if rule["State"] != "ENABLED":
        action = f"aws events enable-rule --name {names.SCHEDULE_RULE}"
        yield Finding("scanner", "failed", f"its schedule is {rule['State']}", action)
        return
    yield from _function(context, "scanner", names.SCANNER, runs_every_minute=context.market_open)


def _detector(context: Context) -> Iterator[Finding]:
    yield from _function(context, "detector", names.DETECTOR, runs_every_minute=False)
    newest = _newest_quote(context)
    action = "look at its log (aws logs tail /aws/lambda/stock-detector) and at `stock-monitor dlq list`"
    yield _fresh(context, "windows", "newest tick", newest, action)


def _ledger(context: Context) -> Iterator[Finding]:
    from consumers.contracts.counts import TickCounts  # noqa: PLC0415
    from consumers.stores.windows import Ledger  # noqa: PLC0415

    partitions = int(context.scanner.get("PARTITIONS", "4"))
    ledger = Ledger(context.endpoints.client("dynamodb"), names.WINDOWS_TABLE, partitions)
    total = sum(ledger.totals().values(), TickCounts())
    detail = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in total.as_dict().items())
    notes = []
    if total.out_of_order:
        notes.append("out of order: do two producers send the same symbols, or one with a wrong clock?")
    if total.quarantined:
        notes.append("quarantined: stock-monitor quarantine list")
    if total.balance():
        yield Finding("balance of ticks", "ok", detail, "; ".join(notes))
    else:
        action = "ticks are not accounted for, which must not be: report it as a defect"
        yield Finding("balance of ticks", "failed", detail, action)


def _tables(context: Context) -> Iterator[Finding]:
    dynamodb = context.endpoints.client("dynamodb")
    tables = (names.ANOMALIES_TABLE, names.WINDOWS_TABLE, names.CHARTS_TABLE, names.ALERTS_TABLE)
    states = {table: dynamodb.describe_table(TableName=table)["Table"]["TableStatus"] for table in tables}
    bad = {table: state for table, state in states.items() if state not in {"ACTIVE", "UPDATING"}}
    for table, state in bad.items():
        yield Finding("tables", "failed", f"{table} is {state}", "wait, then look again")
    if not bad:
        yield Finding("tables", "ok", f"{len(tables)} active")


def _bus(context: Context) -> Iterator[Finding]:
    client = context.endpoints.client("events")
    rule = client.describe_rule(Name=names.ANOMALY_RULE, EventBusName=names.BUS)
    if rule["State"] == "ENABLED":
        yield Finding("bus", "ok", f"{names.BUS}, its rule {names.ANOMALY_RULE} is enabled")
    else:
        action = f"aws events enable-rule --name {names.ANOMALY_RULE} --event-bus-name {names.BUS}"
        yield Finding("bus", "failed", f"its rule {names.ANOMALY_RULE} is {rule['State']}", action)


def _notifier(context: Context) -> Iterator[Finding]:
    rule = context.endpoints.client("events").describe_rule(Name=names.DIGEST_RULE)
    if rule["State"] != "ENABLED":
        action = f"aws events enable-rule --name {names.DIGEST_RULE}"
        yield Finding("notifier", "failed", f"digests do not close: {names.DIGEST_RULE} is disabled", action)
    yield from _function(context, "notifier", names.NOTIFIER, runs_every_minute=True)
    waiting = _depth(context, names.NOTIFIER_QUEUE)
    if waiting > 1000:
        action = "look at its log: aws logs tail /aws/lambda/stock-notifier"
        yield Finding("notifier queue", "failed", f"{waiting:,} events wait", action)
    else:
        yield Finding("notifier queue", "ok", f"{waiting:,} events wait")


def _dead_letters(context: Context) -> Iterator[Finding]:
    actions = {
        names.DEAD_LETTER_QUEUE: "see them: stock-monitor dlq list; then: stock-monitor dlq redrive",
        names.NOTIFIER_DEAD_LETTER_QUEUE: "read the log of stock-notifier, mend the cause, then move them back: "
        "aws sqs start-message-move-task --source-arn <its ARN>",
    }
    for queue, action in actions.items():
        count = _depth(context, queue)
        state: State = "failed" if count else "ok"
        yield Finding(queue, state, f"{count:,} messages", action if count else "")


def _depth(context: Context, queue: str) -> int:
    sqs = context.endpoints.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(attributes["Attributes"]["ApproximateNumberOfMessages"])


def _function(context: Context, part: str, function: str, *, runs_every_minute: bool) -> Iterator[Finding]:
    client = context.endpoints.client("lambda")
    found = client.get_function_configuration(FunctionName=function)
    state = found.get("State", "Active")
    if state not in {"Active", "Inactive"} or found.get("LastUpdateStatus", "Successful") == "Failed":
        reason = found.get("StateReason") or found.get("LastUpdateStatusReason") or "no reason given"
        yield Finding(part, "failed", f"{function} is {state}: {reason}", context.remedy)
        return
    last = _last_log(context, function)
    ran = f"{function}, last ran"
    if runs_every_minute:
        action = f"look at its log: aws logs tail /aws/lambda/{function}"
        yield _fresh(replace(context, market_open=True), part, ran, last, action)
    elif last is None:
        yield Finding(part, "idle", f"{function} has not run yet")
    else:
        age = _age(context, last)
        yield Finding(part, "ok", f"{ran} {_ago(age)}", age_seconds=age)


def _last_log(context: Context, function: str) -> datetime | None:
    streams = context.endpoints.client("logs").describe_log_streams(
        logGroupName=f"/aws/lambda/{function}", orderBy="LastEventTime", descending=True, limit=5
    )["logStreams"]
    times = [stream["lastEventTimestamp"] for stream in streams if "lastEventTimestamp" in stream]
    return datetime.fromtimestamp(max(times) / 1000, UTC) if times else None


def _newest_quote(context: Context) -> datetime | None:
    from consumers.stores.charts import ChartTable  # noqa: PLC0415
    from producers.origin import origin_of  # noqa: PLC0415

    store = ChartTable(context.endpoints.client("dynamodb"), names.CHARTS_TABLE)
    class_ = origin_of(context.scanner.get("SOURCE", "simulated"))
    newest = max((quote.ts for quote in store.last_quotes(class_)), default=None)
    return None if newest is None else datetime.fromtimestamp(newest / 1000, UTC)


def _fresh(context: Context, part: str, what: str, at: datetime | None, action: str) -> Finding:
    age = None if at is None else _age(context, at)
    detail = f"{what}: none" if age is None else f"{what} {_ago(age)}"
    if age is not None and age <= STALE_SECONDS:
        return Finding(part, "ok", detail, age_seconds=age)
    if not context.market_open:
        return Finding(part, "idle", f"{detail} (the market is closed)", age_seconds=age)
    if at is None and context.just_deployed:
        return Finding(part, "idle", f"{detail} so far (it was deployed just now)")
    return Finding(part, "failed", detail, action, age_seconds=age)


def _age(context: Context, at: datetime) -> float:
    return round(max(0.0, (context.now - at).total_seconds()), 3)


def _ago(seconds: float) -> str:
    if seconds < 2 * MINUTE_SECONDS:
        return f"{seconds:.0f} s ago"
    minutes = round(seconds / MINUTE_SECONDS)
    return f"{minutes} min ago" if minutes < 120 else f"{minutes // 60} h ago"


def _web(context: Context) -> Iterator[Finding]:
    api, dashboard = context.endpoints.api, context.endpoints.dashboard
    if api is None:
        yield Finding("API", "failed", "is not deployed", context.remedy)
    else:
        yield _health(api, context.remedy)
    if dashboard is None:
        yield Finding("dashboard", "idle", "has no known address")
        return
    try:
        get(dashboard)
    except MonitorError as error:
        yield Finding("dashboard", "failed", str(error), context.remedy)
    else:
        yield Finding("dashboard", "ok", dashboard)


def _health(api: str, remedy: str) -> Finding:
    try:
        answer = get_json(f"{api}/health")
    except MonitorError as error:
        return Finding("API", "failed", str(error), remedy)
    if answer.get("status") == "healthy":
        return Finding("API", "ok", f"{api} is healthy")
    action = "look at its log: aws logs tail /aws/lambda/stock-api-handler"
    return Finding("API", "failed", f"{api}/health answers {answer}", action)


def _programs(context: Context) -> Iterator[Finding]:
    for name, pid in _pids(context.endpoints):
        if pid is None:
            log = f"{context.endpoints.directory}/logs/{name}.log"
            yield Finding(name, "failed", "this program does not run", f"{_UP}; its log: {log}")
        else:
            yield Finding(name, "ok", f"runs as process {pid}")


def stopped_programs(endpoints: Endpoints) -> list[str]:
    """Programs of the local monitor that do not run; none on AWS."""
    return [name for name, pid in _pids(endpoints) if pid is None]


def _pids(endpoints: Endpoints) -> Iterator[tuple[str, int | None]]:
    directory = endpoints.directory
    if directory is None:
        return
    embedded = (directory / "aws").is_dir()  # not where `make up` was given another local AWS
    for name in LOCAL_PROGRAMS if embedded else LOCAL_PROGRAMS[1:]:
        yield name, _pid(directory, name)


def _pid(directory: Path, name: str) -> int | None:
    from localstack.processes import Process  # noqa: PLC0415  only there where the monitor runs locally
    from localstack.settings import LocalSettings  # noqa: PLC0415

    return Process(name, LocalSettings(directory, aws_port=0, port=0)).pid()


_CHECKS: dict[str, Check] = {
    "stream": _stream,
    "scanner": _scanner,
    "detector": _detector,
    "balance of ticks": _ledger,
    "tables": _tables,
    "bus": _bus,
    "notifier": _notifier,
    "dead letters": _dead_letters,
}


def healthy(findings: Iterable[Finding]) -> bool:
    """Whether nothing is wrong."""
    return all(finding.state != "failed" for finding in findings)
