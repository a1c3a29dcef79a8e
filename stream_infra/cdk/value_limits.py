"""What numbers, texts and choices of resources must be, by type and path, each with AWS's page that says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

DAY = 86_400


class Range(NamedTuple):
    """What a number must be, and where AWS says so."""

    low: float
    high: float
    page: str


class Form(NamedTuple):
    """What a text must look like, in words, and where AWS says so."""

    pattern: str
    says: str
    page: str


class Choice(NamedTuple):
    """What a value must be one of, and where AWS says so."""

    values: tuple[int, ...]
    page: str


def _text(most: int, page: str, least: int = 0) -> Form:
    return Form(rf"(?s).{{{least},{most}}}", f"{least} to {most:,} characters", page)


MAPPING = "Lambda API reference, CreateEventSourceMapping"
_FUNCTION = "Lambda API reference, CreateFunction"
_QUEUE = "SQS API reference, SetQueueAttributes"
ALARM = "CloudWatch API reference, PutMetricAlarm"
RULE = "EventBridge API reference, PutRule"
TABLE = "DynamoDB API reference, CreateTable"
CLIENT = "Cognito API reference, CreateUserPoolClient"
_POOL = "Cognito API reference, CreateUserPool"
_INTEGRATION = "API Gateway guide, Quotas for configuring and running a REST API"
_ORIGIN = "CloudFront guide, Origin settings"
_RETENTION = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip
RANGES: Mapping[str, Mapping[str, Range]] = {
    "AWS::Lambda::Function": {
        "Timeout": Range(1, 900, _FUNCTION),
        "MemorySize": Range(128, 10_240, _FUNCTION),
        "EphemeralStorage.Size": Range(512, 10_240, _FUNCTION),
        "ReservedConcurrentExecutions": Range(0, 1_000_000, "Lambda API reference, PutFunctionConcurrency"),
    },
    "AWS::Lambda::EventSourceMapping": {
        "BatchSize": Range(1, 10_000, MAPPING),
        "MaximumBatchingWindowInSeconds": Range(0, 300, MAPPING),
        "ParallelizationFactor": Range(1, 10, MAPPING),
        "MaximumRetryAttempts": Range(-1, 10_000, MAPPING),
        "TumblingWindowInSeconds": Range(0, 900, MAPPING),
        "ScalingConfig.MaximumConcurrency": Range(2, 1000, "Lambda API reference, ScalingConfig"),
    },
    "AWS::Lambda::EventInvokeConfig": {
        "MaximumEventAgeInSeconds": Range(60, 21_600, "Lambda API reference, PutFunctionEventInvokeConfig"),
        "MaximumRetryAttempts": Range(0, 2, "Lambda API reference, PutFunctionEventInvokeConfig"),
    },
    "AWS::SQS::Queue": {
        "DelaySeconds": Range(0, 900, _QUEUE),
        "MaximumMessageSize": Range(1024, 1_048_576, _QUEUE),
        "MessageRetentionPeriod": Range(60, 1_209_600, _QUEUE),
        "ReceiveMessageWaitTimeSeconds": Range(0, 20, _QUEUE),
        "VisibilityTimeout": Range(0, 43_200, _QUEUE),
        "KmsDataKeyReusePeriodSeconds": Range(60, DAY, _QUEUE),
        "RedrivePolicy.maxReceiveCount": Range(1, 1000, "SQS guide, Message quotas"),
    },
    "AWS::Kinesis::Stream": {
        "ShardCount": Range(1, 10_000, "Kinesis API reference, CreateStream"),
        "RetentionPeriodHours": Range(24, 8760, "Kinesis API reference, IncreaseStreamRetentionPeriod"),
    },
    "AWS::CloudWatch::Alarm": {
        "EvaluationPeriods": Range(1, 86_400, ALARM),
        "DatapointsToAlarm": Range(1, 86_400, ALARM),
    },
    "AWS::Events::Archive": {
        "RetentionDays": Range(0, 2**31 - 1, "EventBridge API reference, CreateArchive")
    },
    "AWS::Events::Rule": {
        "Targets[].RetryPolicy.MaximumEventAgeInSeconds": Range(
            60, DAY, "EventBridge API reference, RetryPolicy"
        ),
        "Targets[].RetryPolicy.MaximumRetryAttempts": Range(0, 185, "EventBridge API reference, RetryPolicy"),
    },
    "AWS::DynamoDB::Table": {
        "PointInTimeRecoverySpecification.RecoveryPeriodInDays": Range(
            1, 35, "DynamoDB API reference, PointInTimeRecoverySpecification"
        ),
    },
    "AWS::ApiGateway::Method": {"Integration.TimeoutInMillis": Range(50, 29_000, _INTEGRATION)},
    "AWS::Cognito::UserPool": {
        "Policies.PasswordPolicy.MinimumLength": Range(6, 99, "Cognito API reference, PasswordPolicyType"),
        "Policies.PasswordPolicy.TemporaryPasswordValidityDays": Range(
            0, 365, "Cognito API reference, PasswordPolicyType"
        ),
    },
    "AWS::CloudFront::Distribution": {
        "DistributionConfig.Origins[].ConnectionAttempts": Range(1, 3, _ORIGIN),
        "DistributionConfig.Origins[].ConnectionTimeout": Range(1, 10, _ORIGIN),
        "DistributionConfig.Origins[].CustomOriginConfig.OriginReadTimeout": Range(1, 120, _ORIGIN),
        "DistributionConfig.Origins[].CustomOriginConfig.OriginKeepaliveTimeout": Range(1, 120, _ORIGIN),
    },
    "AWS::KMS::Key": {"PendingWindowInDays": Range(7, 30, "KMS API reference, ScheduleKeyDeletion")},
    "AWS::Athena::WorkGroup": {
        "WorkGroupConfiguration.BytesScannedCutoffPerQuery": Range(
            10_000_000, float("inf"), "Athena API reference, WorkGroupConfiguration"
        ),
    },
}
FORMS: Mapping[str, Mapping[str, Form]] = {
    "AWS::Lambda::Function": {
        "FunctionName": Form(r"[\w-]{1,64}", "1 to 64 letters, digits, - and _", _FUNCTION),
        "Description": Form(r"(?s).{0,256}", "at most 256 characters", _FUNCTION),
    },
    "AWS::SQS::Queue": {
        "QueueName": Form(
            r"(?=.{1,80}\Z)[\w-]+(\.fifo)?", "1 to 80 letters, digits, - and _", "SQS guide, Queue quotas"
        ),
    },
    "AWS::SNS::Topic": {
        "TopicName": Form(
            r"(?=.{1,256}\Z)[\w-]+(\.fifo)?",
            "1 to 256 letters, digits, - and _",
            "SNS API reference, CreateTopic",
        ),
    },
    "AWS::S3::Bucket": {
        "BucketName": Form(
            r"(?!xn--|sthree-|amzn-s3-demo-|\d+\.\d+\.\d+\.\d+\Z)"
            r"(?!.*(\.\.|(-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)\Z))"
            r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
            "3 to 63 of a-z 0-9 . -, beginning and ending with a letter or digit",
            "S3 guide, General purpose bucket naming rules",
        ),
    },
    "AWS::DynamoDB::Table": {
        path: Form(r"[\w.-]{3,255}", "3 to 255 of a-z A-Z 0-9 _ . -", TABLE)
        for path in ("TableName", "GlobalSecondaryIndexes[].IndexName")
    },
    "AWS::Kinesis::Stream": {
        "Name": Form(r"[\w.-]{1,128}", "1 to 128 of a-z A-Z 0-9 _ . -", "Kinesis API reference, CreateStream")
    },
    "AWS::Events::Rule": {
        "Name": Form(r"[\w.-]{1,64}", "1 to 64 of a-z A-Z 0-9 _ . -", RULE),
        "Description": _text(512, RULE),
        "Targets[].Id": Form(
            r"[\w.-]{1,64}", "1 to 64 of a-z A-Z 0-9 _ . -", "EventBridge API reference, Target"
        ),
        "Targets[].Input": _text(8192, "EventBridge API reference, Target"),
    },
    "AWS::Events::EventBus": {
        "Name": Form(
            r"[\w./-]{1,256}", "1 to 256 of a-z A-Z 0-9 _ . / -", "EventBridge API reference, CreateEventBus"
        )
    },
    "AWS::Events::Archive": {
        "ArchiveName": Form(
            r"[\w.-]{1,48}", "1 to 48 of a-z A-Z 0-9 _ . -", "EventBridge API reference, CreateArchive"
        ),
        "Description": _text(512, "EventBridge API reference, CreateArchive"),
    },
    "AWS::EventSchemas::Registry": {
        "Description": _text(256, "EventBridge Schemas API reference, Registries"),
    },
    "AWS::EventSchemas::Schema": {
        "Description": _text(256, "EventBridge Schemas API reference, Schemas"),
        "Content": _text(100_000, "EventBridge Schemas API reference, Schemas", 1),
    },
    "AWS::SSM::Parameter": {
        "Name": Form(
            r"(?!(?i:/?(aws|ssm)))(?=.{1,1011}\Z)/?[\w.-]+(/[\w.-]+){0,14}",
            "letters, digits and . - _ in at most 15 levels, not beginning with aws or ssm",
            "Systems Manager API reference, PutParameter",
        ),
        "Description": _text(1024, "Systems Manager API reference, PutParameter"),
    },
    "AWS::Logs::LogGroup": {
        "LogGroupName": Form(
            r"[\w./#-]{1,512}", "1 to 512 of a-z A-Z 0-9 _ - / . #", "Logs API reference, CreateLogGroup"
        )
    },
    "AWS::CloudWatch::Alarm": {
        "AlarmName": _text(255, ALARM, 1),
        "AlarmDescription": _text(1024, ALARM),
        "Metrics[].Id": Form(
            r"[a-z]\w{0,254}",
            "1 to 255 of a-z A-Z 0-9 _, beginning with a small letter",
            "CloudWatch API reference, MetricDataQuery",
        ),
        "Metrics[].Expression": _text(2048, "CloudWatch API reference, MetricDataQuery", 1),
    },
    "AWS::CloudWatch::Dashboard": {
        "DashboardName": Form(
            r"[\w-]{1,255}", "1 to 255 of a-z A-Z 0-9 _ -", "CloudWatch API reference, PutDashboard"
        )
    },
    "AWS::Cognito::UserPool": {
        "UserPoolName": Form(
            r"[\w\s+=,.@-]{1,128}", "1 to 128 letters, digits, blanks and + = , . @ - _", _POOL
        )
    },
    "AWS::Cognito::UserPoolClient": {
        "ClientName": Form(
            r"[\w\s+=,.@-]{1,128}", "1 to 128 letters, digits, blanks and + = , . @ - _", CLIENT
        )
    },
    "AWS::Cognito::UserPoolDomain": {
        "Domain": Form(
            r"(?!.*(aws|amazon|cognito))[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
            "1 to 63 of a-z 0-9 -, without aws, amazon or cognito",
            "Cognito guide, Configuring a user pool domain",
        ),
    },
    "AWS::Cognito::UserPoolUser": {
        "Username": Form(
            r"\S{1,128}", "1 to 128 characters without spaces", "Cognito API reference, AdminCreateUser"
        ),
    },
    "AWS::Glue::Database": {
        "DatabaseInput.Name": Form(
            r"[a-z0-9_]{1,255}", "1 to 255 of a-z 0-9 _", "Athena guide, Name databases, tables, and columns"
        )
    },
    "AWS::Glue::Table": {
        "TableInput.Name": Form(
            r"[a-z0-9_]{1,255}", "1 to 255 of a-z 0-9 _", "Athena guide, Name databases, tables, and columns"
        )
    },
    "AWS::Athena::WorkGroup": {
        "Name": Form(
            r"[\w.-]{1,128}", "1 to 128 of a-z A-Z 0-9 _ . -", "Athena API reference, CreateWorkGroup"
        ),
        "Description": _text(1024, "Athena API reference, CreateWorkGroup"),
    },
    "AWS::Athena::NamedQuery": {
        "Name": _text(128, "Athena API reference, CreateNamedQuery", 1),
        "Description": _text(1024, "Athena API reference, CreateNamedQuery", 1),
        "QueryString": _text(262_144, "Athena API reference, CreateNamedQuery", 1),
    },
    "AWS::IAM::Role": {
        "RoleName": Form(
            r"[\w+=,.@-]{1,64}", "1 to 64 of a-z A-Z 0-9 + = , . @ _ -", "IAM API reference, CreateRole"
        ),
        "Description": Form(
            r"[\t\n\r\x20-\x7e\xa1-\xff]{0,1000}",
            "at most 1,000 characters of Latin-1",
            "IAM API reference, CreateRole",
        ),
    },
    "AWS::KMS::Key": {"Description": _text(8192, "KMS API reference, CreateKey")},
    "AWS::Lambda::Alias": {
        "Name": Form(
            r"(?!\d+\Z)[\w-]{1,128}",
            "1 to 128 letters, digits, - and _, not digits alone",
            "Lambda API reference, CreateAlias",
        )
    },
    "AWS::CloudFront::Distribution": {
        "DistributionConfig.Comment": Form(
            r"(?s).{0,128}", "at most 128 characters", "CloudFront API reference, DistributionConfig"
        )
    },
    "AWS::CloudFront::Function": {
        "Name": Form(
            r"[\w-]{1,64}", "1 to 64 letters, digits, - and _", "CloudFront API reference, CreateFunction"
        ),
        "FunctionCode": Form(
            r"(?s).{1,10240}", "at most 10 KB", "CloudFront guide, Quotas on CloudFront Functions"
        ),
    },
}
CHOICES: Mapping[str, Mapping[str, Choice]] = {
    "AWS::Logs::LogGroup": {"RetentionInDays": Choice(_RETENTION, "Logs API reference, PutRetentionPolicy")}
}
