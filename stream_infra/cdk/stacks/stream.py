"""What moves: the quote stream, the bus of anomalies and the topics that reach people."""

from __future__ import annotations

import json

from aws_cdk import Duration, Environment, RemovalPolicy, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_eventschemas as schemas
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from consumers.contracts.schema import published
from consumers.contracts.schema_registry import registry_documents, registry_name
from stream_infra import names
from stream_infra.config import Config

NOTIFIER_TIMEOUT = Duration.seconds(60)
NOTIFIER_ROLE = f"{names.LAMBDA_STACK}-stocknotifierServiceRole"
"""Start of the name that CloudFormation gives to the role of the function stock-notifier: of the names of the stack and
of the resource it takes 24 characters each."""

CANARY_MINUTES = 5
_HEARTBEAT = names.named("stock-heartbeat")
CANARY = {"v": 1, "source": "verify-canary", "symbol": "CANARY", "ts": 1_764_000_000_000, "price": 1}
"""The canary's tick: of an origin of which nobody is notified, and never beside a real one."""


class StreamStack(Stack):
    """Stream, bus, topics and the notifier's queue."""

    def __init__(self, scope: Construct, id_: str, *, config: Config, env: Environment) -> None:
        super().__init__(scope, id_, env=env)
        self.quotes = kinesis.Stream(
            self,
            "Quotes",
            stream_name=names.STREAM,
            shard_count=config.shards,
            stream_mode=kinesis.StreamMode.PROVISIONED,
            retention_period=Duration.hours(24),
            encryption=kinesis.StreamEncryption.MANAGED,
            # It goes with the stack: it costs by the hour, and what it holds for a day is in the archive of quotes.
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.bus = events.EventBus(self, "Bus", event_bus_name=names.BUS)
        if not config.local:
            self._archive()  # the emulator's CloudFormation rejects the type: localstack/complement.py
            self._schemas()  # the emulator has no schema registry: locally the front door serves the contracts
            self._canary()  # locally the simulated market never closes
        self.alerts = self._alerts()
        self.operations = self._operations(config)

        self.undelivered = self._queue("Undelivered", names.NOTIFIER_DEAD_LETTER_QUEUE)
        self.notifications = self._queue(
            "Notifications",
            names.NOTIFIER_QUEUE,
            visibility_timeout=Duration.seconds(6 * NOTIFIER_TIMEOUT.to_seconds()),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.undelivered, max_receive_count=5),
        )
        events.Rule(
            self,
            "Anomalies",
            rule_name=names.ANOMALY_RULE,
            event_bus=self.bus,
            description="Every anomaly, its escalation and its end, to the notifier's queue",
            event_pattern=events.EventPattern(
                source=["stock-monitor"],
                detail_type=["AnomalyDetected", "AnomalyEscalated", "AnomalyEnded", "AlertTest"],
            ),
            targets=[targets.SqsQueue(self.notifications)],
        )

    def _canary(self) -> None:
        """Send the same tick every few minutes, so that a stream that is silent at night is known to be sound.

        After the first of a day it is a duplicate: a block in stock-windows counts it, and nothing else happens. Its
        partition key is the event's source (`names.CANARY_KEY`), which no partition has.
        """
        events.Rule(
            self,
            "Canary",
            rule_name=names.CANARY_RULE,
            description=f"A tick by which the alarm {_HEARTBEAT} knows at any hour whether ticks come through",
            schedule=events.Schedule.rate(Duration.minutes(CANARY_MINUTES)),
            targets=[
                targets.KinesisStream(
                    self.quotes,
                    partition_key_path="$.source",
                    message=events.RuleTargetInput.from_object(CANARY),
                )
            ],
        )

    def _archive(self) -> None:
        events.Archive(
            self,
            "Archive",
            archive_name=names.ARCHIVE,
            source_event_bus=self.bus,
            description="Every event of the bus, to be replayed to a consumer that missed some (docs/events.md)",
            event_pattern=events.EventPattern(source=[names.EVENT_SOURCE]),
            retention=Duration.days(names.ARCHIVE_DAYS),
        )

    def _schemas(self) -> None:
        """Register each event's schema, with the kinds of this installation; a new text is a new version of it."""
        registry = schemas.CfnRegistry(
            self,
            "Schemas",
            registry_name=names.SCHEMA_REGISTRY,
            description=f"Events of the bus {names.BUS} (docs/events.md)",
        )
        for detail_type, document in registry_documents(published("events"), names.EVENT_SOURCE).items():
            schema = schemas.CfnSchema(
                self,
                f"Schema-{detail_type}",
                registry_name=names.SCHEMA_REGISTRY,
                schema_name=registry_name(names.EVENT_SOURCE, detail_type),
                type="OpenApi3",
                description=document["info"]["description"],
                content=json.dumps(document, separators=(",", ":"), ensure_ascii=False),
            )
            schema.add_dependency(registry)

    def _operations(self, config: Config) -> sns.Topic:
        """Encrypted with a key of our own: CloudWatch may not use the one that AWS manages for SNS."""
        key = kms.Key(
            self,
            "OperationsKey",
            description=f"Encrypts what alarms say to {names.OPERATIONS_TOPIC}",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.DESTROY,  # it protects messages on their way, and no data at rest
        )
        alarms = iam.ServicePrincipal("cloudwatch.amazonaws.com")
        key.grant(alarms, "kms:Decrypt", "kms:GenerateDataKey*")
        topic = sns.Topic(
            self, "Operations", topic_name=names.OPERATIONS_TOPIC, enforce_ssl=True, master_key=key
        )
        topic.add_to_resource_policy(  # a policy of one's own takes the place of the one that lets alarms publish
            iam.PolicyStatement(
                sid="AlarmsPublish",
                principals=[alarms],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )
        if config.operations_email:
            topic.add_subscription(subscriptions.EmailSubscription(config.operations_email))
        return topic

    def _alerts(self) -> sns.Topic:
        """Encrypted, and closed to all publishers but the notifier, whatever their own rights are."""
        managed = kms.Alias.from_alias_name(self, "SnsKey", "alias/aws/sns")
        topic = sns.Topic(self, "Alerts", topic_name=names.ALERTS_TOPIC, enforce_ssl=True, master_key=managed)
        role = self.format_arn(  # by its name: the functions' stack needs this one, so this cannot need that
            service="iam", region="", resource="role", resource_name=f"{NOTIFIER_ROLE}*"
        )
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="OnlyTheNotifierPublishes",
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"ArnNotLike": {"aws:PrincipalArn": role}},
            )
        )
        return topic

    def _queue(
        self,
        id_: str,
        name: str,
        *,
        visibility_timeout: Duration | None = None,
        dead_letter_queue: sqs.DeadLetterQueue | None = None,
    ) -> sqs.Queue:
        return sqs.Queue(
            self,
            id_,
            queue_name=name,
            retention_period=Duration.days(14),
            enforce_ssl=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            visibility_timeout=visibility_timeout,
            dead_letter_queue=dead_letter_queue,
        )
