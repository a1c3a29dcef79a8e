"""What is wrong with what keeps and carries data: tables, buckets, queues, stream, topics."""

from __future__ import annotations

from collections.abc import Iterator

from stream_infra import names
from stream_infra.operations.doctor.diagnosis import Diagnosis, missing
from stream_infra.operations.facts import MonitorFacts

_TABLE_READERS = {
    names.ANOMALIES_TABLE: ("tables", "detector", "windows", "API"),
    names.WINDOWS_TABLE: ("tables", "scanner", "stream", "detector", "windows", "balance of ticks", "API"),
    names.CHARTS_TABLE: ("tables", "detector", "windows", "API"),
    names.ALERTS_TABLE: ("tables", "notifier", "notifier queue", "API"),
}


def tables(facts: MonitorFacts) -> Iterator[Diagnosis]:
    """Find tables that are missing, throttled or unprotected."""
    for name, table in facts.tables.items():
        explains = _TABLE_READERS[name]
        if table is None:
            yield missing(facts, "tables", f"the table {name}", explains, "restore-a-table")
            continue
        if table.throttles:
            why = (
                "its partitions get more than they take"
                if table.on_demand
                else "it is not on demand any more"
            )
            yield Diagnosis(
                cause="table-throttled",
                part="tables",
                finding=f"{name} throttled {table.throttles:g} writes in the last minutes",
                because=why,
                remedy="stock-monitor status; batches are tried again until they are 6 hours old"
                if table.on_demand
                else f"aws dynamodb update-table --table-name {name} --billing-mode PAY_PER_REQUEST",
                section="table-throttles",
                explains=explains,
            )
        elif not table.on_demand:
            yield Diagnosis(
                cause="table-not-on-demand",
                part="tables",
                finding=f"{name} has a provisioned capacity",
                because="somebody changed its billing mode: it will throttle writes in a burst",
                remedy=f"aws dynamodb update-table --table-name {name} --billing-mode PAY_PER_REQUEST",
                section="table-throttles",
                severity="warning",
            )
        for index in table.missing_indexes:
            yield missing(facts, "tables", f"the index {index} of {name}", ("API",))
        if not table.recoverable:
            yield Diagnosis(
                cause="not-recoverable",
                part="tables",
                finding=f"{name} has no point-in-time recovery",
                because="somebody disabled it: what is deleted by mistake cannot be brought back",
                remedy=f"aws dynamodb update-continuous-backups --table-name {name} "
                "--point-in-time-recovery-specification PointInTimeRecoveryEnabled=true",
                section="restore-a-table",
                severity="warning",
            )


def buckets(facts: MonitorFacts) -> Iterator[Diagnosis]:
    """Find buckets that are missing, empty or without versions."""
    for name, bucket in facts.buckets.items():
        is_site = "dashboard" in name
        if bucket is None:
            explains = ("dashboard",) if is_site else ("scanner", "stream", "detector", "windows")
            yield missing(facts, "dashboard" if is_site else "buckets", f"the bucket {name}", explains)
        elif is_site and not bucket.has_index:
            yield Diagnosis(
                cause="dashboard-empty",
                part="dashboard",
                finding=f"{name} holds no index.html",
                because="the files of the dashboard were deleted, or never uploaded",
                remedy="make up" if facts.local else facts.restore,
                section="dashboard-not-loading",
                explains=("dashboard",),
            )
        elif not is_site and not bucket.versioned:
            yield Diagnosis(
                cause="not-recoverable",
                part="buckets",
                finding=f"{name} keeps no versions",
                because="somebody suspended them: what is overwritten cannot be brought back",
                remedy=f"aws s3api put-bucket-versioning --bucket {name} "
                "--versioning-configuration Status=Enabled",
                section="restore-an-object",
                severity="warning",
            )
        if bucket and not is_site and not bucket.announces:
            yield Diagnosis(
                cause="bucket-is-silent",
                part="dead letters",
                finding=f"{name} sends no events to EventBridge",
                because="its notification was removed: failed batches stay in it, and nobody hears of them",
                remedy=f"aws s3api put-bucket-notification-configuration --bucket {name} "
                "--notification-configuration '{\"EventBridgeConfiguration\": {}}'",
                section="failed-batches-are-not-announced",
                explains=("dead letters",),
            )


def stream(facts: MonitorFacts) -> Iterator[Diagnosis]:
    """Find a stream that is missing or throttled."""
    if facts.stream is None:
        yield missing(
            facts, "stream", f"the stream {names.STREAM}", ("scanner", "stream", "detector", "windows")
        )
    elif facts.stream.throttles:
        yield Diagnosis(
            cause="stream-throttled",
            part="stream",
            finding=f"{names.STREAM} throttled {facts.stream.throttles:g} records in the last minutes",
            because="its shards are too few for what is sent: 1 MB or 1,000 records a second each",
            remedy=f"aws kinesis update-shard-count --stream-name {names.STREAM} "
            "--scaling-type UNIFORM_SCALING --target-shard-count 2",
            section="stream-throttles",
            explains=("stream", "windows"),
        )


def queues(facts: MonitorFacts) -> Iterator[Diagnosis]:
    """Find queues that are missing, and dead letters."""
    says = {
        names.DEAD_LETTER_QUEUE: (
            "batches or scans were discarded: their ticks are not in the windows",
            "stock-monitor dlq list; then: stock-monitor dlq redrive --all",
            "dead-letters",
        ),
        names.NOTIFIER_DEAD_LETTER_QUEUE: (
            "the notifier failed on these events five times: nobody was notified",
            "aws logs tail /aws/lambda/stock-notifier --since 1h; then move them back as the runbook says",
            "notifier-dead-letters",
        ),
    }
    for name, waiting in facts.queues.items():
        if waiting is None:
            yield missing(facts, "dead letters", f"the queue {name}", ("dead letters", "notifier queue"))
        elif waiting and name in says:
            because, remedy, section = says[name]
            yield Diagnosis(
                "dead-letters", name, f"{waiting:,} messages wait in {name}", because, remedy, section,
                explains=(name,),
            )  # fmt: skip


def quarantine(facts: MonitorFacts) -> Iterator[Diagnosis]:
    """Find quarantined records."""
    if facts.quarantined:
        yield Diagnosis(
            cause="quarantined-records",
            part="detector",
            finding=f"{facts.quarantined:,} records are in the quarantine",
            because="a producer sent what cannot be read; everything else went on",
            remedy="stock-monitor quarantine list; once fixed: stock-monitor quarantine requeue --all",
            section="quarantine",
            severity="warning",
        )


def subscribers(facts: MonitorFacts) -> Iterator[Diagnosis]:
    """Find topics that reach nobody."""
    for topic, confirmed in facts.subscribers.items():
        if confirmed is None:
            yield missing(facts, "notifier", f"the topic {topic}", ("notifier", "notifier queue"))
        elif not confirmed:
            yield Diagnosis(
                cause="nobody-is-notified",
                part="notifier",
                finding=f"the topic {topic} has no confirmed subscription",
                because="nobody subscribed, or the link in the confirmation was not followed",
                remedy="aws sns subscribe, as the runbook says, and follow the link in the email",
                section="subscriptions",
                severity="warning",
            )


def policies(facts: MonitorFacts) -> Iterator[Diagnosis]:
    """Find queues whose policy keeps out what a rule sends."""
    for name, problem in facts.queue_policies.items():
        if problem:
            of_alerts = name == names.NOTIFIER_QUEUE
            yield Diagnosis(
                cause="queue-policy",
                part="notifier queue" if of_alerts else "dead letters",
                finding=f"EventBridge may not send to {name}: {problem}",
                because="its policy was changed: "
                + (
                    "anomalies are found and nobody is notified"
                    if of_alerts
                    else "failed batches are not announced"
                ),
                remedy=facts.restore,
                section="queue-policies",
                explains=("bus", "notifier", "notifier queue") if of_alerts else ("dead letters",),
            )


def keys(facts: MonitorFacts) -> Iterator[Diagnosis]:
    """Find topics whose key keeps messages from them."""
    for topic, problem in facts.topic_keys.items():
        if problem:
            of_alarms = topic == names.OPERATIONS_TOPIC
            yield Diagnosis(
                cause="topic-key",
                part="alarms" if of_alarms else "notifier",
                finding=f"nothing can be published to {topic}: {problem}",
                because="its key was disabled, deleted or changed: "
                + ("alarms ring and nobody is notified" if of_alarms else "messages are not sent"),
                remedy=facts.restore
                if facts.local
                else "aws kms enable-key --key-id KEY (cancel-key-deletion before); "
                f"if it was changed: {facts.restore}",
                section="topic-keys",
                explains=() if of_alarms else ("notifier",),
            )


def alarms(facts: MonitorFacts) -> Iterator[Diagnosis]:
    """Find alarms that would notify nobody."""
    if facts.silent_alarms:
        yield Diagnosis(
            cause="alarm-without-action",
            part="alarms",
            finding=f"{', '.join(facts.silent_alarms)}: rings and notifies nobody",
            because="its action was disabled or removed",
            remedy=f"aws cloudwatch enable-alarm-actions --alarm-names {' '.join(facts.silent_alarms)}; "
            f"if it has none: {facts.restore}",
            section="alarm-actions",
        )
