"""Gathers the facts from AWS. What is not there is None; what cannot be examined is named, and the rest goes on."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from consumers.contracts.counts import TickCounts
from consumers.stores.charts import ChartTable
from consumers.stores.windows import Ledger
from producers.errors import MonitorError
from producers.feed_problem import KEY as FEED_KEY
from producers.origin import origin_of
from producers.partitions import partition_of
from stream_infra import names
from stream_infra.operations import deployment, pages, permissions, programs, wiring
from stream_infra.operations.endpoints import Endpoints, watch_list
from stream_infra.operations.facts import (
    Bucket,
    Denied,
    EventRule,
    FeedFacts,
    Function,
    LogErrors,
    MonitorFacts,
    QuoteSource,
    SourceMapping,
    Stream,
    TableFacts,
    Windows,
)
from stream_infra.operations.tail import newest_arrivals
from stream_infra.operations.web_client import get_json

if TYPE_CHECKING:
    pass

T = TypeVar("T")
INDEXES = ("DateIndex", "SeverityIndex")
QUEUES = (names.DEAD_LETTER_QUEUE, names.NOTIFIER_DEAD_LETTER_QUEUE, names.NOTIFIER_QUEUE)
TOPICS = (names.ALERTS_TOPIC, names.OPERATIONS_TOPIC)
RULES = (names.SCHEDULE_RULE, names.DIGEST_RULE, names.ANOMALY_RULE, names.FAILED_BATCH_RULE)
RECENTLY = timedelta(minutes=10)
_NEW = timedelta(minutes=2)
HALTED = "its program is halted"
_GONE = ("NotFound", "NonExistent", "NoSuch", "404")
_COUNTED = 1000
_LINES = 10_000
# Lambda's own line of an unhandled error, our structured logs, and the last line of a traceback.
_ERROR = re.compile(r'\[ERROR\]|"level": ?"(?:ERROR|CRITICAL)"|Task timed out|^[\w.]*(?:Error|Exception): ')


class Gatherer:
    """One round of questions to one monitor at one time."""

    def __init__(self, endpoints: Endpoints, now: datetime) -> None:
        self._endpoints = endpoints
        self._now = now
        self._clients: dict[str, Any] = {}
        self._unseen: dict[str, str] = {}

    def facts(self, *, thorough: bool = False) -> MonitorFacts:
        """Return what `status` judges; with `thorough` also what the doctor needs to find causes."""
        endpoints = self._endpoints
        running = programs.process_ids(endpoints.directory)
        halted = programs.halted(running.values())
        facts = MonitorFacts(
            now=self._now,
            local=endpoints.aws is not None,
            deployment=os.environ.get("STOCK_MONITOR_DEPLOYMENT") or "prod",
            aws=endpoints.aws or "",
            # It would not answer, and be waited for for minutes.
            aws_problem=HALTED if running.get("emulator") in halted else self._aws_problem(),
            log_directory=f"{endpoints.directory}/logs",
            programs=running,
            halted=halted,
        )
        if not facts.aws_problem:
            if running.get("emulator"):
                facts = replace(facts, save_problem=self._save_problem(facts.aws))
            facts = self._of_aws(facts, thorough=thorough)
        return replace(
            facts,
            api=pages.api(endpoints.api),
            dashboard=pages.dashboard(endpoints.dashboard),
            outbox=pages.outbox(endpoints.outbox),
            until=datetime.now(UTC),
            unseen=dict(self._unseen),
        )

    def _is_new(self, since: datetime | None) -> bool:
        return since is not None and abs(self._now - since) <= _NEW

    def _of_aws(self, facts: MonitorFacts, *, thorough: bool) -> MonitorFacts:
        found = self._each(names.FUNCTIONS, self._configuration)
        scanner: dict[str, Any] = found.get(names.SCANNER) or {}
        environment = scanner.get("Environment", {}).get("Variables", {})
        deployed = scanner.get("LastModified")
        watched = self._each(("watch list",), lambda _: self._watched()).get("watch list") or ()
        facts = replace(
            facts,
            market_open=self._market_open(environment, watched),
            just_deployed=self._is_new(datetime.fromisoformat(deployed) if deployed else None)
            or self._is_new(programs.since(self._endpoints.directory, "emulator")),
            functions=self._each(found, lambda name: self._function(found[name], thorough=thorough)),
            rules=self._each(RULES if facts.local else (*RULES, names.CANARY_RULE), self._rule),
            queues=self._each(QUEUES, self._depth),
            tables=self._each(names.TABLES, lambda name: self._table(name, thorough=thorough)),
            stream=self._each((names.STREAM,), lambda _: self._stream(thorough=thorough)).get(
                names.STREAM, Stream()
            ),
            windows=self._each(("windows",), lambda _: self._windows(environment)).get("windows"),
            source=self._each(("source",), lambda _: self._source(environment, watched)).get("source"),
            feed=self._each(("feed",), lambda _: self._feed()).get("feed"),
            parameters=self._each((names.TICKER_PARAMETER, names.THRESHOLD_PARAMETER), self._parameter),
        )
        return self._more(facts, found) if thorough else facts

    def _more(self, facts: MonitorFacts, found: dict[str, Any]) -> MonitorFacts:
        arns = [configuration["FunctionArn"] for configuration in found.values() if configuration]
        account = arns[0].split(":")[4] if arns else "000000000000"
        buckets = (names.data_bucket(account), names.dashboard_bucket(account))
        return replace(
            facts,
            stacks=self._each(names.STACKS, self._stack),
            mappings=self._mappings(local=facts.local, account=account),
            buckets=self._each(buckets, self._bucket),
            last_poll=self._each(("last poll",), lambda _: self._last_poll()).get("last poll"),
            subscribers=self._each(
                TOPICS, lambda topic: wiring.subscribers(self._client("sns"), topic, account)
            ),
            topic_keys=self._each(
                TOPICS,
                lambda topic: wiring.topic_key(self._client("sns"), self._client("kms"), topic, account),
            ),
            queue_policies=self._each(
                wiring.SENT_BY_RULES, lambda queue: wiring.queue_policy(self._client("sqs"), queue, account)
            ),
            silent_alarms=self._each(
                ("alarm actions",), lambda _: wiring.silent_alarms(self._client("cloudwatch"))
            ).get("alarm actions")
            or (),
            denied=tuple(self._denied(found, account)),
            alarms=self._each(("alarms",), lambda _: wiring.ringing(self._client("cloudwatch"))).get("alarms")
            or (),
            quarantined=self._each(("quarantine",), lambda _: self._quarantined(account)).get("quarantine")
            or 0,
            errors={
                name: errors
                for name, errors in self._each(names.FUNCTIONS, self._errors).items()
                if errors is not None
            },
        )

    def _each(self, what: Iterable[str], fact: Callable[[str], T]) -> dict[str, T | None]:
        """Gather a fact by name; what AWS does not let us see is in no fact, but in `unseen`."""
        found: dict[str, T | None] = {}
        for name in what:
            try:
                found[name] = fact(name)
            except (ClientError, BotoCoreError) as error:
                if _is_missing(error):
                    found[name] = None
                else:
                    self._unseen[name] = str(error)
        return found

    def _client(self, service: Any) -> Any:
        if service not in self._clients:
            self._clients[service] = self._endpoints.client(service)
        return self._clients[service]

    def _aws_problem(self) -> str:
        try:
            self._client("dynamodb").list_tables(Limit=1)
        except (BotoCoreError, ClientError) as error:
            return str(error)
        return ""

    def _save_problem(self, aws: str) -> str:
        try:
            return str(get_json(f"{aws}{programs.SAVING}")["problem"])
        except MonitorError as error:
            self._unseen["saved data"] = str(error)
            return ""

    def _configuration(self, name: str) -> dict[str, Any]:
        return dict(self._client("lambda").get_function_configuration(FunctionName=name))

    def _stack(self, name: str) -> str:
        found = self._client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        return str(found[0]["StackStatus"])

    def _function(self, found: dict[str, Any] | None, *, thorough: bool) -> Function | None:
        if found is None:
            return None
        name = found["FunctionName"]
        function = Function(
            state=found.get("State", "Active"),
            update=found.get("LastUpdateStatus", "Successful"),
            reason=found.get("StateReason") or found.get("LastUpdateStatusReason") or "no reason given",
            last_ran=self._each((name,), self._last_log).get(name),
        )
        if not thorough:
            return function
        limit = self._client("lambda").get_function_concurrency(FunctionName=name)
        reserved = limit.get("ReservedConcurrentExecutions")
        return replace(
            function,
            reserved=reserved,
            deployed_reserved=deployment.reserved_concurrency(self._client, name) if reserved == 0 else None,
            wrong_handler=self._each(
                (f"{name}:{names.LIVE}",), lambda _: wiring.wrong_handler(self._client("lambda"), found)
            ).get(f"{name}:{names.LIVE}")
            or "",
            throttles=self._sum("AWS/Lambda", "Throttles", FunctionName=name),
        )

    def _last_log(self, function: str) -> datetime | None:
        streams = self._client("logs").describe_log_streams(
            logGroupName=f"/aws/lambda/{function}", orderBy="LastEventTime", descending=True, limit=5
        )["logStreams"]
        times = [stream["lastEventTimestamp"] for stream in streams if "lastEventTimestamp" in stream]
        return _time(max(times)) if times else None

    def _sum(self, namespace: str, metric: str, **dimensions: str) -> float:
        points = self._client("cloudwatch").get_metric_statistics(
            Namespace=namespace,
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            StartTime=self._now - RECENTLY,
            EndTime=self._now + timedelta(minutes=1),
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]
        return float(sum(point["Sum"] for point in points))

    def _rule(self, name: str) -> EventRule:
        bus = names.BUS if name == names.ANOMALY_RULE else "default"
        state = self._client("events").describe_rule(Name=name, EventBusName=bus)["State"]
        targets = self._client("events").list_targets_by_rule(Rule=name, EventBusName=bus)["Targets"]
        return EventRule(state=state, targets=len(targets))

    def _mappings(self, *, local: bool, account: str) -> dict[str, SourceMapping | None]:
        region = self._client("lambda").meta.region_name
        sources = {names.NOTIFIER: f"arn:aws:sqs:{region}:{account}:{names.NOTIFIER_QUEUE}"}
        if not local:  # locally the runner polls, and the mapping is disabled to keep the emulator out
            sources[names.DETECTOR] = f"arn:aws:kinesis:{region}:{account}:stream/{names.STREAM}"
        return self._each(sources, lambda name: self._mapping(sources[name]))

    def _mapping(self, source: str) -> SourceMapping | None:
        # By its source: a mapping of an alias is not listed under the function's name.
        found = self._client("lambda").list_event_source_mappings(EventSourceArn=source)
        for mapping in found["EventSourceMappings"]:
            return SourceMapping(mapping["UUID"], mapping["State"], mapping.get("StateTransitionReason", ""))
        return None

    def _parameter(self, name: str) -> str:
        return str(self._client("ssm").get_parameter(Name=name)["Parameter"]["Value"])

    def _depth(self, name: str) -> int:
        url = self._client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
        wanted = ["ApproximateNumberOfMessages"]
        found = self._client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=wanted)
        return int(found["Attributes"]["ApproximateNumberOfMessages"])

    def _table(self, name: str, *, thorough: bool) -> TableFacts:
        dynamodb = self._client("dynamodb")
        found = dynamodb.describe_table(TableName=name)["Table"]
        if not thorough:
            return TableFacts(state=found["TableStatus"])
        backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        recovery = backups.get("PointInTimeRecoveryDescription", {})
        indexes = {index["IndexName"] for index in found.get("GlobalSecondaryIndexes", [])}
        wanted = INDEXES if name == names.ANOMALIES_TABLE else ()
        return TableFacts(
            state=found["TableStatus"],
            on_demand=found.get("BillingModeSummary", {}).get("BillingMode") == "PAY_PER_REQUEST",
            throttles=self._sum("AWS/DynamoDB", "WriteThrottleEvents", TableName=name),
            recoverable=recovery.get("PointInTimeRecoveryStatus") == "ENABLED",
            missing_indexes=tuple(sorted(set(wanted) - indexes)),
        )

    def _bucket(self, name: str) -> Bucket:
        s3 = self._client("s3")
        versioning = s3.get_bucket_versioning(Bucket=name).get("Status")
        index = s3.list_objects_v2(Bucket=name, Prefix="index.html", MaxKeys=1).get("Contents", [])
        announced = s3.get_bucket_notification_configuration(Bucket=name)
        return Bucket(versioning == "Enabled", bool(index), "EventBridgeConfiguration" in announced)

    def _stream(self, *, thorough: bool) -> Stream:
        found = self._client("kinesis").describe_stream_summary(StreamName=names.STREAM)
        summary = found["StreamDescriptionSummary"]
        return Stream(
            state=summary["StreamStatus"],
            shards=summary["OpenShardCount"],
            arrived=newest_arrivals(self._client("kinesis"), names.STREAM, self._now - RECENTLY),
            throttles=self._sum("AWS/Kinesis", "WriteProvisionedThroughputExceeded", StreamName=names.STREAM)
            if thorough
            else 0,
        )

    def _windows(self, scanner: dict[str, str]) -> Windows:
        from stream_infra.operations.source import traded_now  # noqa: PLC0415  loads calendars

        partitions = int(scanner.get("PARTITIONS", "4"))
        ledger = Ledger(self._client("dynamodb"), names.WINDOWS_TABLE, partitions)
        arrivals = ledger.arrivals()
        own = (counts for source, counts in ledger.totals().items() if origin_of(source) != "verify")
        watched: dict[int, list[str]] = {}
        for ticker in traded_now(scanner, self._watched(), self._now):
            watched.setdefault(partition_of(ticker, partitions), []).append(ticker)
        return Windows(
            committed={n: _time(arrivals[n]) if n in arrivals else None for n in range(partitions)},
            counts=sum(own, TickCounts()),
            ticks={
                quote.symbol: _time(quote.ts)
                for quote in ChartTable(self._client("dynamodb"), names.CHARTS_TABLE).last_quotes(
                    origin_of(scanner.get("SOURCE", "simulated"))
                )
            },
            tickers={partition: tuple(tickers) for partition, tickers in watched.items()},
        )

    def _source(self, scanner: dict[str, str], watched: Sequence[str]) -> QuoteSource | None:
        from stream_infra.operations.source import quote_source  # noqa: PLC0415  loads the sources

        if "SOURCE" not in scanner:
            return None
        return quote_source(scanner, self._client("secretsmanager"), watched, self._now)

    def _market_open(self, scanner: Mapping[str, str], watched: Sequence[str]) -> bool:
        from stream_infra.operations.source import market_open  # noqa: PLC0415  loads calendars

        return market_open(scanner, watched, self._now)

    def _watched(self) -> tuple[str, ...]:
        from producers.watch_list import WatchListError  # noqa: PLC0415

        try:
            return watch_list(self._client)().symbols
        except WatchListError:
            return ()  # the parameter has a check of its own

    def _feed(self) -> FeedFacts | None:
        found = self._client("dynamodb").get_item(TableName=names.WINDOWS_TABLE, Key=FEED_KEY)
        item = {name: value["S"] for name, value in found.get("Item", {}).items() if "S" in value}
        if not item:
            return None
        return FeedFacts(
            source=item.get("source", ""),
            updated=datetime.fromisoformat(item["updated"]),
            breaker=item.get("breaker", "closed"),
            stale_since=item.get("stale_since", ""),
            last_error=item.get("last_error", ""),
            failing=item.get("failing", ""),
            late=item.get("late", ""),
        )

    def _last_poll(self) -> datetime | None:
        found = self._client("dynamodb").get_item(
            TableName=names.WINDOWS_TABLE, Key={"pk": {"S": "scan#lease"}, "sk": {"S": "lease"}}
        )
        last_ts = found.get("Item", {}).get("last_ts")
        return None if last_ts is None else _time(int(last_ts["N"]))

    def _denied(self, functions: dict[str, Any], account: str) -> Iterator[Denied]:
        iam, region = self._client("iam"), self._client("lambda").meta.region_name

        def denied(name: str) -> list[Denied]:
            return permissions.denied(
                iam, name, functions[name]["Role"], permissions.needed(name, region, account)
            )

        for found in self._each([name for name, of in functions.items() if of], denied).values():
            yield from found or ()

    def _quarantined(self, account: str) -> int:
        found = self._client("s3").list_objects_v2(
            Bucket=names.data_bucket(account), Prefix="quarantine/", MaxKeys=_COUNTED
        )
        return int(found["KeyCount"])

    def _errors(self, function: str) -> LogErrors | None:
        paginator = self._client("logs").get_paginator("filter_log_events")
        found = [
            event
            for page in paginator.paginate(
                logGroupName=f"/aws/lambda/{function}",
                startTime=int((self._now - RECENTLY).timestamp() * 1000),
                endTime=int((self._now + _NEW).timestamp() * 1000),
                PaginationConfig={"MaxItems": _LINES},
            )
            for event in page["events"]
            if _ERROR.search(event["message"])
        ]
        if not found:
            return None
        last = max(found, key=lambda event: event["timestamp"])
        return LogErrors(len(found), last["message"].strip(), _time(last["timestamp"]))


def _is_missing(error: ClientError | BotoCoreError) -> bool:
    if not isinstance(error, ClientError):
        return False
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    is_stack = code == "ValidationError" and "does not exist" in str(error)
    return status == 404 or is_stack or any(word in code for word in _GONE)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
