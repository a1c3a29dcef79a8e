"""What must survive everything else: tables, buckets, the dead letters, and the operators' parameters."""

from __future__ import annotations

from aws_cdk import Duration, Environment, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from consumers.lake.tables import PREFIX
from stream_infra import names
from stream_infra.cdk.constructs.lake_catalog import LakeCatalog
from stream_infra.cdk.constructs.permissions import acknowledge
from stream_infra.config import Config

INDEXES = {"DateIndex": "date", "SeverityIndex": "severity"}
"""Indexes of stock-anomalies and their partition keys."""
_STRING = dynamodb.AttributeType.STRING
COLD_BYTES = 128 * 1024


class StorageStack(Stack):
    """Tables, buckets, the dead-letter queue and the SSM parameters."""

    def __init__(self, scope: Construct, id_: str, *, config: Config, env: Environment) -> None:
        super().__init__(scope, id_, env=env)
        self._removal = kept(config)
        # Locally `make clean` must be able to forget it all.
        self._protected = config.retain_data and not config.local

        self.anomalies = self._table("Anomalies", names.ANOMALIES_TABLE, "ticker", "timestamp")
        for index, key in INDEXES.items():
            self.anomalies.add_global_secondary_index(
                index_name=index,
                partition_key=dynamodb.Attribute(name=key, type=_STRING),
                sort_key=dynamodb.Attribute(name="timestamp", type=_STRING),
            )
        self.windows = self._table("Windows", names.WINDOWS_TABLE, "pk", "sk", expires=True)
        self.charts = self._table("Charts", names.CHARTS_TABLE, "pk", "sk", expires=True)
        self.alerts = self._table("Alerts", names.ALERTS_TABLE, "pk", "sk", expires=True)
        self.tables = {
            names.ANOMALIES_TABLE: self.anomalies,
            names.WINDOWS_TABLE: self.windows,
            names.CHARTS_TABLE: self.charts,
            names.ALERTS_TABLE: self.alerts,
        }

        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            queue_name=names.DEAD_LETTER_QUEUE,
            # Blocks and snapshots outlive the messages: a redrive needs them.
            retention_period=Duration.hours(min(14 * 24, config.window_days * 24 - 1)),
            enforce_ssl=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            # It goes with the stack: one that stayed could not be taken over again (CloudFormation guide, "Import AWS
            # resources into a CloudFormation stack automatically": its primary id, the URL, is not in a template). The
            # batches are in the data bucket, which stays.
            removal_policy=RemovalPolicy.DESTROY,
        )
        acknowledge(self.dead_letters, {"SQS3": "It is the dead-letter queue, of a rule and of a function."})
        self.data = self._data_bucket(config)
        # A bucket's name may be taken, and a protected table cannot be deleted when a first deployment is rolled back.
        for table in self.tables.values():
            table.node.add_dependency(self.data)
        self._announce_failed_batches()
        if not config.local:
            LakeCatalog(self, "Lake")

        ssm.StringParameter(
            self,
            "Ticker",
            parameter_name=names.TICKER_PARAMETER,
            string_value=config.tickers,
            description="Watch list: tickers separated by commas, or s3://bucket/key of a longer one",
        )
        ssm.StringParameter(
            self,
            "Threshold",
            parameter_name=names.THRESHOLD_PARAMETER,
            string_value=config.threshold,
            description="Score at which a tick is an anomaly; 2.5 is the calibrated point, lower alerts more",
        )

    def _table(
        self, id_: str, name: str, partition_key: str, sort_key: str, *, expires: bool = False
    ) -> dynamodb.Table:
        return dynamodb.Table(
            self,
            id_,
            table_name=name,
            partition_key=dynamodb.Attribute(name=partition_key, type=_STRING),
            sort_key=dynamodb.Attribute(name=sort_key, type=_STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            time_to_live_attribute="expires_at" if expires else None,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=self._protected,
            removal_policy=self._removal,
        )

    def _data_bucket(self, config: Config) -> s3.Bucket:
        raw_days, old_days = (config.window_days, 1) if config.local else (365, 30)
        return s3.Bucket(
            self,
            "Data",
            bucket_name=names.data_bucket(self.account),
            versioned=True,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            server_access_logs_bucket=log_bucket(
                self, "DataLogs", names.data_bucket(self.account), self._removal
            ),
            removal_policy=self._removal,
            lifecycle_rules=[
                # Infrequent Access bills 128 KB at least (S3 pricing): the files of single tickers stay where they are.
                s3.LifecycleRule(
                    id="large-raw-data-gets-cold",
                    prefix="raw-data/",
                    object_size_greater_than=COLD_BYTES,
                    transitions=[
                        s3.Transition(
                            storage_class=s3.StorageClass.INFREQUENT_ACCESS,
                            transition_after=Duration.days(30),
                        )
                    ],
                ),
                s3.LifecycleRule(id="raw-data-goes", prefix="raw-data/", expiration=Duration.days(raw_days)),
                # A day is replaced every hour: the versions before would be most of what is stored.
                s3.LifecycleRule(
                    id="replaced-days-of-the-lake-go",
                    prefix=PREFIX,
                    noncurrent_version_expiration=Duration.days(1),
                ),
                s3.LifecycleRule(
                    id="large-days-of-the-lake-get-cold",
                    prefix=PREFIX,
                    object_size_greater_than=COLD_BYTES,
                    transitions=[
                        s3.Transition(
                            storage_class=s3.StorageClass.INFREQUENT_ACCESS,
                            transition_after=Duration.days(90),
                        )
                    ],
                ),
                s3.LifecycleRule(
                    id="answers-of-athena-go",
                    prefix=names.ATHENA_RESULTS,
                    expiration=Duration.days(7),
                    noncurrent_version_expiration=Duration.days(1),
                ),
                s3.LifecycleRule(
                    id="snapshots-go", prefix="snapshots/", expiration=Duration.days(config.window_days)
                ),
                # In a versioned bucket what expires leaves a delete marker, which only this rule takes away (S3 guide,
                # "Removing expired object delete markers").
                s3.LifecycleRule(
                    id="old-versions-go",
                    expired_object_delete_marker=True,
                    noncurrent_version_expiration=Duration.days(old_days),
                    abort_incomplete_multipart_upload_after=Duration.days(1),
                ),
            ],
        )

    def _announce_failed_batches(self) -> None:
        """Return a message as of S3 for every failed batch, by way of EventBridge.

        S3's own notifications begin with a test event (S3 guide, "Event notification types and destinations"): it would
        raise the alarm of the dead-letter queue on every first deployment.
        """
        # On the L1 bucket: the L2's way to switch it on brings a custom resource, one more function.
        bucket = self.data.node.default_child
        assert isinstance(bucket, s3.CfnBucket)  # noqa: S101  the L2 bucket's child by construction
        bucket.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(
                event_bridge_enabled=True
            )
        )
        batch = {
            "bucket": {"name": events.EventField.from_path("$.detail.bucket.name")},
            "object": {"key": events.EventField.from_path("$.detail.object.key")},
        }
        message = events.RuleTargetInput.from_object({"Records": [{"eventSource": "aws:s3", "s3": batch}]})
        events.Rule(
            self,
            "FailedBatches",
            rule_name=names.FAILED_BATCH_RULE,
            description="Every batch that the detector's mapping discarded, to the dead-letter queue",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [self.data.bucket_name]},
                    "object": {"key": [{"prefix": names.FAILED_BATCHES_PREFIX}]},
                },
            ),
            targets=[targets.SqsQueue(self.dead_letters, message=message)],
        )


def kept(config: Config) -> RemovalPolicy:
    """Return what becomes of data when its stack goes: it stays where the settings say so.

    CloudFormation guide, "DeletionPolicy attribute": RetainExceptOnCreate keeps a resource but where the operation that
    made it is rolled back. So a first deployment that failed leaves no empty tables in the way of the second.
    """
    return RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if config.retain_data else RemovalPolicy.DESTROY


def log_bucket(
    scope: Construct,
    id_: str,
    of: str,
    removal: RemovalPolicy,
    ownership: s3.ObjectOwnership = s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
) -> s3.Bucket:
    """Return a bucket for the access logs of the bucket named `of`."""
    return s3.Bucket(
        scope,
        id_,
        bucket_name=names.log_bucket(of),
        encryption=s3.BucketEncryption.S3_MANAGED,
        enforce_ssl=True,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=ownership,
        removal_policy=removal,
        lifecycle_rules=[s3.LifecycleRule(id="logs-go", expiration=Duration.days(90))],
    )
