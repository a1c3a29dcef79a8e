"""Asks AWS for the facts. What is not there is None; what cannot be looked at is said so, and the rest goes on."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from stream_infra import names
from stream_infra.operations import health
from stream_infra.operations.doctor import permissions
from stream_infra.operations.doctor.facts import (
    Alarm,
    Bucket,
    Denied,
    Facts,
    Feed,
    Function,
    LogErrors,
    Rule,
    SourceMapping,
    Stream,
    Table,
)
from stream_infra.operations.endpoints import Endpoints

T = TypeVar("T")
TABLES = (names.ANOMALIES_TABLE, names.WINDOWS_TABLE, names.CHARTS_TABLE, names.ALERTS_TABLE)
INDEXES = ("DateIndex", "SeverityIndex")
QUEUES = (names.DEAD_LETTER_QUEUE, names.NOTIFIER_DEAD_LETTER_QUEUE, names.NOTIFIER_QUEUE)
TOPICS = (names.ALERTS_TOPIC, names.OPERATIONS_TOPIC)
RULES = (names.SCHEDULE_RULE, names.DIGEST_RULE, names.ANOMALY_RULE, names.FAILED_BATCH_RULE)
RECENTLY = timedelta(minutes=10)
_GONE = ("NotFound", "NonExistent", "NoSuch", "404")
_COUNTED = 1000
_LINES = 10_000
# Lambda's own line of an unhandled error, our structured logs, and the last line of a traceback.
_ERROR = re.compile(r'\[ERROR\]|"level": ?"(?:ERROR|CRITICAL)"|Task timed out|^[\w.]*(?:Error|Exception): ')


@dataclass
class Gatherer:
    """One round of questions to one monitor."""

    endpoints: Endpoints
    now: datetime
    unseen: list[tuple[str, str]] = field(default_factory=list)

    def facts(self) -> Facts:
        """All facts."""
        functions = {name: self._look(name, self._configuration, name) for name in names.FUNCTIONS}
        account = self._account(functions)
        scanner = (functions[names.SCANNER] or {}).get("Environment", {}).get("Variables", {})
        local = self.endpoints.aws is not None
        return Facts(
            now=self.now,
            local=local,
            market_open=health.market_open(scanner, self.now),
            programs=tuple(health.stopped_programs(self.endpoints)),
            stacks={name: self._look(name, self._stack, name) for name in names.STACKS},
            functions={
                name: self._look(name, self._function, name, found) for name, found in functions.items()
            },
            rules={name: self._look(name, self._rule, name) for name in RULES},
            mappings=self._mappings(local=local, account=account),
            parameters={
                name: self._look(name, self._parameter, name)
                for name in (names.TICKER_PARAMETER, names.THRESHOLD_PARAMETER)
            },
            queues={name: self._look(name, self._depth, name) for name in QUEUES},
            tables={name: self._look(name, self._table, name) for name in TABLES},
            buckets={
                name: self._look(name, self._bucket, name)
                for name in (names.data_bucket(account), names.dashboard_bucket(account))
            },
            stream=self._look(names.STREAM, self._stream),
            feed=self._look("scan#feed", self._feed),
            subscribers={name: self._look(name, self._subscribers, name, account) for name in TOPICS},
            denied=self._denied(functions, account),
            alarms=self._look("alarms", self._alarms) or (),
            quarantined=self._look("quarantine", self._quarantined, account) or 0,
            errors={
                name: found for name in names.FUNCTIONS if (found := self._look(name, self._errors, name))
            },
            unseen=tuple(self.unseen),
        )

    def _look(self, what: str, ask: Callable[..., T], *arguments: Any) -> T | None:
        try:
            return ask(*arguments)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            is_stack = code == "ValidationError" and "does not exist" in str(error)
            if status == 404 or is_stack or any(word in code for word in _GONE):
                return None
            self.unseen.append((what, str(error)))
        except BotoCoreError as error:
            self.unseen.append((what, str(error)))
        return None

    def _configuration(self, name: str) -> dict[str, Any]:
        return dict(self.endpoints.client("lambda").get_function_configuration(FunctionName=name))

    @staticmethod
    def _account(functions: dict[str, dict[str, Any] | None]) -> str:
        arns = [found["FunctionArn"] for found in functions.values() if found]
        return arns[0].split(":")[4] if arns else "000000000000"

    def _stack(self, name: str) -> str:
        found = self.endpoints.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        return str(found[0]["StackStatus"])

    def _function(self, name: str, found: dict[str, Any] | None) -> Function | None:
        if found is None:
            return None
        limit = self.endpoints.client("lambda").get_function_concurrency(FunctionName=name)
        return Function(
            state=found.get("State", "Active"),
            update=found.get("LastUpdateStatus", "Successful"),
            reason=found.get("StateReason") or found.get("LastUpdateStatusReason") or "no reason given",
            reserved=limit.get("ReservedConcurrentExecutions"),
            throttles=self._sum("AWS/Lambda", "Throttles", FunctionName=name),
        )

    def _sum(self, namespace: str, metric: str, **dimensions: str) -> float:
        points = self.endpoints.client("cloudwatch").get_metric_statistics(
            Namespace=namespace,
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            StartTime=self.now - RECENTLY,
            EndTime=self.now + timedelta(minutes=1),
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]
        return float(sum(point["Sum"] for point in points))

    def _rule(self, name: str) -> Rule:
        client = self.endpoints.client("events")
        bus = names.BUS if name == names.ANOMALY_RULE else "default"
        state = client.describe_rule(Name=name, EventBusName=bus)["State"]
        targets = client.list_targets_by_rule(Rule=name, EventBusName=bus)["Targets"]
        return Rule(state=state, targets=len(targets))

    def _mappings(self, *, local: bool, account: str) -> dict[str, SourceMapping | None]:
        region = self.endpoints.client("lambda").meta.region_name
        sources = {names.NOTIFIER: f"arn:aws:sqs:{region}:{account}:{names.NOTIFIER_QUEUE}"}
        if not local:  # locally the runner polls, and the mapping is disabled to keep the emulator out
            sources[names.DETECTOR] = f"arn:aws:kinesis:{region}:{account}:stream/{names.STREAM}"
        return {name: self._look(name, self._mapping, source) for name, source in sources.items()}

    def _mapping(self, source: str) -> SourceMapping | None:
        # By its source: a mapping of an alias is not listed under the function's name.
        found = self.endpoints.client("lambda").list_event_source_mappings(EventSourceArn=source)
        for mapping in found["EventSourceMappings"]:
            return SourceMapping(mapping["UUID"], mapping["State"], mapping.get("StateTransitionReason", ""))
        return None

    def _parameter(self, name: str) -> str:
        return self.endpoints.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]

    def _depth(self, name: str) -> int:
        sqs = self.endpoints.client("sqs")
        found = sqs.get_queue_attributes(
            QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"],
            AttributeNames=["ApproximateNumberOfMessages"],
        )
        return int(found["Attributes"]["ApproximateNumberOfMessages"])

    def _table(self, name: str) -> Table:
        dynamodb = self.endpoints.client("dynamodb")
        found = dynamodb.describe_table(TableName=name)["Table"]
        backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        recovery = backups.get("PointInTimeRecoveryDescription", {})
        indexes = {index["IndexName"] for index in found.get("GlobalSecondaryIndexes", [])}
        wanted = INDEXES if name == names.ANOMALIES_TABLE else ()
        return Table(
            state=found["TableStatus"],
            on_demand=found.get("BillingModeSummary", {}).get("BillingMode") == "PAY_PER_REQUEST",
            throttles=self._sum("AWS/DynamoDB", "WriteThrottleEvents", TableName=name),
            recoverable=recovery.get("PointInTimeRecoveryStatus") == "ENABLED",
            missing_indexes=tuple(sorted(set(wanted) - indexes)),
        )

    def _bucket(self, name: str) -> Bucket:
        s3 = self.endpoints.client("s3")
        versioning = s3.get_bucket_versioning(Bucket=name).get("Status")
        index = s3.list_objects_v2(Bucket=name, Prefix="index.html", MaxKeys=1).get("Contents", [])
        return Bucket(versioned=versioning == "Enabled", has_index=bool(index))

    def _stream(self) -> Stream:
        found = self.endpoints.client("kinesis").describe_stream_summary(StreamName=names.STREAM)
        return Stream(
            state=found["StreamDescriptionSummary"]["StreamStatus"],
            throttles=self._sum("AWS/Kinesis", "WriteProvisionedThroughputExceeded", StreamName=names.STREAM),
        )

    def _feed(self) -> Feed | None:
        found = self.endpoints.client("dynamodb").get_item(
            TableName=names.WINDOWS_TABLE, Key={"pk": {"S": "scan#feed"}, "sk": {"S": "feed"}}
        )
        item = {name: value["S"] for name, value in found.get("Item", {}).items() if "S" in value}
        if not item:
            return None
        return Feed(
            source=item.get("source", ""),
            updated=datetime.fromisoformat(item["updated"]),
            breaker=item.get("breaker", "closed"),
            stale_since=item.get("stale_since", ""),
            last_error=item.get("last_error", ""),
        )

    def _subscribers(self, topic: str, account: str) -> int:
        sns = self.endpoints.client("sns")
        arn = f"arn:aws:sns:{sns.meta.region_name}:{account}:{topic}"
        found = sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
        return sum(subscription["SubscriptionArn"].startswith("arn:") for subscription in found)

    def _denied(self, functions: dict[str, dict[str, Any] | None], account: str) -> tuple[Denied, ...]:
        iam, region = self.endpoints.client("iam"), self.endpoints.client("lambda").meta.region_name
        denied: list[Denied] = []
        for name, found in functions.items():
            if found:
                needed = permissions.needed(name, region, account)
                denied += self._look(name, permissions.denied, iam, name, found["Role"], needed) or ()
        return tuple(denied)

    def _alarms(self) -> tuple[Alarm, ...]:
        pages = self.endpoints.client("cloudwatch").get_paginator("describe_alarms")
        return tuple(
            Alarm(alarm["AlarmName"], alarm.get("AlarmDescription", ""), alarm.get("StateReason", ""))
            for page in pages.paginate(StateValue="ALARM")
            for alarm in page["MetricAlarms"]
        )

    def _quarantined(self, account: str) -> int:
        found = self.endpoints.client("s3").list_objects_v2(
            Bucket=names.data_bucket(account), Prefix="quarantine/", MaxKeys=_COUNTED
        )
        return found["KeyCount"]

    def _errors(self, function: str) -> LogErrors | None:
        pages = self.endpoints.client("logs").get_paginator("filter_log_events")
        found = [
            event
            for page in pages.paginate(
                logGroupName=f"/aws/lambda/{function}",
                startTime=int((self.now - RECENTLY).timestamp() * 1000),
                PaginationConfig={"MaxItems": _LINES},
            )
            for event in page["events"]
            if _ERROR.search(event["message"])
        ]
        if not found:
            return None
        last = max(found, key=lambda event: event["timestamp"])
        at = datetime.fromtimestamp(last["timestamp"] / 1000, UTC)
        return LogErrors(len(found), last["message"].strip(), at)
