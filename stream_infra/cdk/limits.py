"""Limits that AWS publishes for the values of one resource. Pure.

Each rule names the page of AWS's documentation that it is from. What resources have to agree on is in
`template_limits`, which judges whole templates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from stream_infra.setting_types import EMAIL, EMAIL_RULE

ENVIRONMENT_BYTES = 4096
"""Lambda guide, "Lambda quotas": all environment variables of a function together."""
_RESERVED = {
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
}
"""Lambda guide, "Defined runtime environment variables"."""
_DAY = 86_400


class Resource(NamedTuple):
    """A resource of a template, and where it stands."""

    stack: str
    id: str
    type: str
    properties: Mapping[str, Any]

    @property
    def where(self) -> str:
        """The stack and the name that the template has for it."""
        return f"{self.stack} {self.id} ({self.type})"


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


_MAPPING = "Lambda API reference, CreateEventSourceMapping"
_FUNCTION = "Lambda API reference, CreateFunction"
_QUEUE = "SQS API reference, SetQueueAttributes"
_ALARM = "CloudWatch API reference, PutMetricAlarm"
_RULE = "EventBridge API reference, PutRule"
_TABLE = "DynamoDB API reference, CreateTable"
_CLIENT = "Cognito API reference, CreateUserPoolClient"
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
        "BatchSize": Range(1, 10_000, _MAPPING),
        "MaximumBatchingWindowInSeconds": Range(0, 300, _MAPPING),
        "ParallelizationFactor": Range(1, 10, _MAPPING),
        "MaximumRetryAttempts": Range(-1, 10_000, _MAPPING),
        "TumblingWindowInSeconds": Range(0, 900, _MAPPING),
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
        "KmsDataKeyReusePeriodSeconds": Range(60, _DAY, _QUEUE),
        "RedrivePolicy.maxReceiveCount": Range(1, 1000, "SQS guide, Message quotas"),
    },
    "AWS::Kinesis::Stream": {
        "ShardCount": Range(1, 10_000, "Kinesis API reference, CreateStream"),
        "RetentionPeriodHours": Range(24, 8760, "Kinesis API reference, IncreaseStreamRetentionPeriod"),
    },
    "AWS::CloudWatch::Alarm": {
        "EvaluationPeriods": Range(1, 86_400, _ALARM),
        "DatapointsToAlarm": Range(1, 86_400, _ALARM),
    },
    "AWS::Events::Archive": {
        "RetentionDays": Range(0, 2**31 - 1, "EventBridge API reference, CreateArchive")
    },
    "AWS::Events::Rule": {
        "Targets[].RetryPolicy.MaximumEventAgeInSeconds": Range(
            60, _DAY, "EventBridge API reference, RetryPolicy"
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
            r"(?!xn--|sthree-|amzn-s3-demo-|\d+\.\d+\.\d+\.\d+\Z)(?!.*(\.\.|-s3alias\Z|--ol-s3\Z))"
            r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
            "3 to 63 of a-z 0-9 . -, beginning and ending with a letter or digit",
            "S3 guide, General purpose bucket naming rules",
        ),
    },
    "AWS::DynamoDB::Table": {"TableName": Form(r"[\w.-]{3,255}", "3 to 255 of a-z A-Z 0-9 _ . -", _TABLE)},
    "AWS::Kinesis::Stream": {
        "Name": Form(r"[\w.-]{1,128}", "1 to 128 of a-z A-Z 0-9 _ . -", "Kinesis API reference, CreateStream")
    },
    "AWS::Events::Rule": {"Name": Form(r"[\w.-]{1,64}", "1 to 64 of a-z A-Z 0-9 _ . -", _RULE)},
    "AWS::Events::EventBus": {
        "Name": Form(
            r"[\w./-]{1,256}", "1 to 256 of a-z A-Z 0-9 _ . / -", "EventBridge API reference, CreateEventBus"
        )
    },
    "AWS::Events::Archive": {
        "ArchiveName": Form(
            r"[\w.-]{1,48}", "1 to 48 of a-z A-Z 0-9 _ . -", "EventBridge API reference, CreateArchive"
        )
    },
    "AWS::SSM::Parameter": {
        "Name": Form(
            r"(?!(?i:/?(aws|ssm)))(?=.{1,1011}\Z)/?[\w.-]+(/[\w.-]+){0,14}",
            "letters, digits and . - _ in at most 15 levels, not beginning with aws or ssm",
            "Systems Manager API reference, PutParameter",
        ),
    },
    "AWS::Logs::LogGroup": {
        "LogGroupName": Form(
            r"[\w./#-]{1,512}", "1 to 512 of a-z A-Z 0-9 _ - / . #", "Logs API reference, CreateLogGroup"
        )
    },
    "AWS::CloudWatch::Alarm": {
        "AlarmName": Form(r"(?s).{1,255}", "1 to 255 characters", _ALARM),
        "AlarmDescription": Form(r"(?s).{0,1024}", "at most 1,024 characters", _ALARM),
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
        )
    },
    "AWS::IAM::Role": {
        "RoleName": Form(
            r"[\w+=,.@-]{1,64}", "1 to 64 of a-z A-Z 0-9 + = , . @ _ -", "IAM API reference, CreateRole"
        )
    },
    "AWS::CloudFront::Distribution": {
        "DistributionConfig.Comment": Form(
            r"(?s).{0,128}", "at most 128 characters", "CloudFront API reference, DistributionConfig"
        )
    },
    "AWS::CloudFront::Function": {
        "FunctionCode": Form(
            r"(?s).{1,10240}", "at most 10 KB", "CloudFront guide, Quotas on CloudFront Functions"
        )
    },
}
CHOICES: Mapping[str, Mapping[str, Choice]] = {
    "AWS::Logs::LogGroup": {"RetentionInDays": Choice(_RETENTION, "Logs API reference, PutRetentionPolicy")}
}


def of_resource(resource: Resource) -> Iterator[str]:
    """Return what AWS would reject in one resource; what only a deployment resolves is left out."""
    yield from of_numbers(resource)
    for path, form in FORMS.get(resource.type, {}).items():
        for value in _values(resource.properties, path.split(".")):
            if isinstance(value, str) and not re.fullmatch(form.pattern, value, re.ASCII):
                yield says(resource, path, value, form.says, form.page)
    if special := _SPECIAL.get(resource.type):
        yield from special(resource)


def of_numbers(resource: Resource) -> Iterator[str]:
    """Return what AWS would reject of the numbers of a resource, of which there may be a part only."""
    for path, allowed in RANGES.get(resource.type, {}).items():
        for value, found in _numbers(resource, path):
            if not allowed.low <= found <= allowed.high:
                least_most = f"{allowed.low:g} to {allowed.high:g}"
                yield says(resource, path, value, least_most, allowed.page)
    for path, choice in CHOICES.get(resource.type, {}).items():
        for value, found in _numbers(resource, path):
            if found not in choice.values:
                yield says(resource, path, value, f"one of {', '.join(map(str, choice.values))}", choice.page)


def _numbers(resource: Resource, path: str) -> Iterator[tuple[object, float]]:
    for value in _values(resource.properties, path.split(".")):
        if (found := number(value)) is not None:
            yield value, found


def says(resource: Resource, path: str, value: object, allowed: str, page: str) -> str:
    """Return in a sentence what is wrong with a value, where, and what is allowed."""
    shown = (
        value
        if isinstance(value, int | float)
        else repr(value if len(str(value)) < 80 else f"{str(value)[:77]}…")
    )
    return f"{resource.where}: {path} is {shown}; must be {allowed} ({page})"


def _values(of: Any, path: list[str]) -> Iterator[Any]:
    if not path:
        yield of
        return
    key, is_list = path[0].removesuffix("[]"), path[0].endswith("[]")
    inner = of.get(key) if isinstance(of, Mapping) else None
    if is_list and isinstance(inner, list):
        for each in inner:
            yield from _values(each, path[1:])
    elif inner is not None and not is_list:
        yield from _values(inner, path[1:])


def number(value: object) -> float | None:
    """Return a number of a template, where it may be a text; None for what it is not, or what is resolved later."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    return float(value) if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value) else None


def _function(of: Resource) -> Iterator[str]:
    variables = of.properties.get("Environment", {}).get("Variables", {})
    sizes = {
        key: len(key.encode()) + len(value.encode()) if isinstance(value, str) else len(key)
        for key, value in variables.items()
    }
    if sum(sizes.values()) > ENVIRONMENT_BYTES:
        largest = max(sizes, key=lambda key: sizes[key])
        what = f"{sum(sizes.values())} bytes, most of them {largest}"
        yield says(
            of, "Environment", what, f"{ENVIRONMENT_BYTES} bytes at most", "Lambda guide, Lambda quotas"
        )
    for key in variables:
        if not re.fullmatch(r"[a-zA-Z]\w+", key, re.ASCII) or key in _RESERVED:
            allowed = (
                "letters, digits and _, at least two, beginning with a letter, and none that Lambda sets"
            )
            yield says(of, "Environment", key, allowed, "Lambda guide, Working with environment variables")
    if len(of.properties.get("Layers", ())) > 5:
        yield says(of, "Layers", len(of.properties["Layers"]), "5 at most", "Lambda guide, Lambda quotas")


def _mapping(of: Resource) -> Iterator[str]:
    given = of.properties
    age = number(given.get("MaximumRecordAgeInSeconds"))
    if age is not None and age != -1 and not 60 <= age <= 604_800:
        yield says(of, "MaximumRecordAgeInSeconds", age, "-1, or 60 to 604800", _MAPPING)
    of_stream = "StartingPosition" in given
    only = (
        ("ScalingConfig",)
        if of_stream
        else (
            "ParallelizationFactor",
            "BisectBatchOnFunctionError",
            "MaximumRecordAgeInSeconds",
            "MaximumRetryAttempts",
            "TumblingWindowInSeconds",
        )
    )
    for key in only:
        if key in given:
            yield says(of, key, given[key], "left out for this kind of source", _MAPPING)
    waits = number(given.get("MaximumBatchingWindowInSeconds"))
    if not of_stream and not waits and (number(given.get("BatchSize")) or 0) > 10:
        what = "at least 1 where BatchSize is above 10"
        yield says(of, "MaximumBatchingWindowInSeconds", 0, what, _MAPPING)


def _alarm(of: Resource) -> Iterator[str]:
    given, queries = of.properties, of.properties.get("Metrics", [])
    periods = [number(given.get("Period"))]
    periods += [number(query.get("MetricStat", {}).get("Period") or query.get("Period")) for query in queries]
    for period in (period for period in periods if period is not None):
        if period not in {10, 20, 30} and (period < 60 or period % 60):
            yield says(of, "Period", period, "10, 20, 30 or a multiple of 60", _ALARM)
        span = period * (number(given.get("EvaluationPeriods")) or 1)
        longest = 7 * _DAY if period >= 3600 else _DAY
        if span > longest:
            allowed = f"{longest} s at most, periods times EvaluationPeriods"
            yield says(of, "EvaluationPeriods", given.get("EvaluationPeriods"), allowed, _ALARM)
    if (number(given.get("DatapointsToAlarm")) or 0) > (number(given.get("EvaluationPeriods")) or 0):
        yield says(of, "DatapointsToAlarm", given["DatapointsToAlarm"], "EvaluationPeriods at most", _ALARM)
    if len(queries) > 20:
        yield says(of, "Metrics", len(queries), "20 at most", _ALARM)
    for key in ("AlarmActions", "OKActions", "InsufficientDataActions"):
        if len(given.get(key, ())) > 5:
            yield says(of, key, len(given[key]), "5 at most", _ALARM)


def _rule(of: Resource) -> Iterator[str]:
    given = of.properties
    pattern = len(json.dumps(given.get("EventPattern", ""), separators=(",", ":")))
    if pattern > 2048:
        yield says(
            of,
            "EventPattern",
            pattern,
            "2,048 characters at most",
            "EventBridge guide, Amazon EventBridge quotas",
        )
    if len(given.get("Targets", ())) > 5:
        yield says(
            of, "Targets", len(given["Targets"]), "5 at most", "EventBridge guide, Amazon EventBridge quotas"
        )
    schedule = given.get("ScheduleExpression")
    if not isinstance(schedule, str):
        return
    if "EventBusName" in given:
        yield says(of, "EventBusName", given["EventBusName"], "the default bus for a schedule", _RULE)
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)(s?)\)", schedule)
    is_rate = rate is not None and int(rate[1]) > 0 and (int(rate[1]) == 1) is not bool(rate[3])
    cron = re.fullmatch(r"cron\((\S+(?: \S+){5})\)", schedule)
    is_cron = cron is not None and (cron[1].split()[2] == "?") is not (cron[1].split()[4] == "?")
    if not is_rate and not is_cron:
        allowed = "rate(1 minute) at the least, or cron(…) of six fields, one of both days a ?"
        yield says(
            of, "ScheduleExpression", schedule, allowed, "EventBridge guide, Setting a schedule pattern"
        )


def _table(of: Resource) -> Iterator[str]:
    given = of.properties
    defined = {item["AttributeName"]: item["AttributeType"] for item in given.get("AttributeDefinitions", ())}
    indexes = [*given.get("GlobalSecondaryIndexes", ()), *given.get("LocalSecondaryIndexes", ())]
    schemas = [given.get("KeySchema", ()), *(index["KeySchema"] for index in indexes)]
    used = {key["AttributeName"] for schema in schemas for key in schema}
    if used != defined.keys():
        odd = ", ".join(sorted(used ^ defined.keys()))
        yield says(of, "AttributeDefinitions", odd, "the attributes of the keys, and no others", _TABLE)
    for schema in schemas:
        if [key["KeyType"] for key in schema] not in (["HASH"], ["HASH", "RANGE"]):
            yield says(
                of, "KeySchema", json.dumps(schema), "one HASH key, then at most one RANGE key", _TABLE
            )
    if wrong := {type_ for type_ in defined.values() if type_ not in {"S", "N", "B"}}:
        yield says(of, "AttributeDefinitions", ", ".join(sorted(wrong)), "of the types S, N and B", _TABLE)
    if len(given.get("GlobalSecondaryIndexes", ())) > 20:
        yield says(of, "GlobalSecondaryIndexes", len(indexes), "20 at most", _TABLE)


def _bucket(of: Resource) -> Iterator[str]:
    page = "S3 API reference, PutBucketLifecycleConfiguration"
    for rule in of.properties.get("LifecycleConfiguration", {}).get("Rules", ()):
        ends = number(rule.get("ExpirationInDays"))
        if ends is not None and ends < 1:
            yield says(of, "ExpirationInDays", ends, "at least 1", page)
        for move in rule.get("Transitions", ()):
            at = number(move.get("TransitionInDays"))
            if at is not None and move.get("StorageClass") in {"STANDARD_IA", "ONEZONE_IA"} and at < 30:
                yield says(of, "TransitionInDays", at, "at least 30 for an infrequently read class", page)
            if at is not None and ends is not None and at >= ends:
                yield says(of, "TransitionInDays", at, f"less than ExpirationInDays ({ends:g})", page)


def _parameter(of: Resource) -> Iterator[str]:
    value = of.properties.get("Value", "")
    most = {"Advanced": 8192, "Intelligent-Tiering": 8192}.get(of.properties.get("Tier", "Standard"), 4096)
    if isinstance(value, str) and not 1 <= len(value) <= most:
        page = "Systems Manager guide, Managing parameter tiers"
        yield says(of, "Value", f"{len(value)} characters", f"1 to {most} characters", page)


def _subscription(of: Resource) -> Iterator[str]:
    protocol, endpoint = of.properties.get("Protocol"), of.properties.get("Endpoint")
    form = {
        "sms": (
            r"\+[1-9]\d{1,14}",
            "a number as E.164 has it, as in +15550100",
            "SNS guide, Publishing SMS messages to a mobile phone",
        ),
        "email": (EMAIL, EMAIL_RULE, "SNS API reference, Subscribe"),
        "https": (r"https://\S+", "an URL that begins with https://", "SNS API reference, Subscribe"),
    }.get(str(protocol))
    if form and isinstance(endpoint, str) and not re.fullmatch(form[0], endpoint, re.ASCII):
        yield says(of, "Endpoint", endpoint, form[1], form[2])


def _client(of: Resource) -> Iterator[str]:
    page = "Cognito guide, Application-specific settings with app clients"
    seconds = {"seconds": 1, "minutes": 60, "hours": 3600, "days": _DAY}
    units = of.properties.get("TokenValidityUnits", {})
    for key, unit, low, high in (
        ("IdTokenValidity", "IdToken", 300, _DAY),
        ("AccessTokenValidity", "AccessToken", 300, _DAY),
        ("RefreshTokenValidity", "RefreshToken", 3600, 3650 * _DAY),
    ):
        value = number(of.properties.get(key))
        if (
            value is not None
            and not low <= value * seconds[units.get(unit, "days" if "Refresh" in unit else "hours")] <= high
        ):
            yield says(of, key, value, f"{low} to {high} s", _CLIENT)
    for url in of.properties.get("CallbackURLs", ()):
        if isinstance(url, str) and not re.fullmatch(
            r"(https://|http://localhost[:/]|[a-z][\w.+-]*://(?<!http://))\S*", url
        ):
            yield says(of, "CallbackURLs", url, "https, but for http://localhost", page)


_SPECIAL: Mapping[str, Callable[[Resource], Iterator[str]]] = {
    "AWS::Lambda::Function": _function,
    "AWS::Lambda::EventSourceMapping": _mapping,
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::Events::Rule": _rule,
    "AWS::DynamoDB::Table": _table,
    "AWS::S3::Bucket": _bucket,
    "AWS::SSM::Parameter": _parameter,
    "AWS::SNS::Subscription": _subscription,
    "AWS::Cognito::UserPoolClient": _client,
}
