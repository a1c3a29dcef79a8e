"""Limits that AWS publishes for the values of one resource. Pure.

Each rule names the page of AWS's documentation that it is from. What resources have to agree on is in
`template_limits`, which judges whole templates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any, NamedTuple

from stream_infra.cdk.value_limits import ALARM, CHOICES, CLIENT, DAY, FORMS, MAPPING, RANGES, RULE, TABLE
from stream_infra.setting_types import EMAIL, EMAIL_RULE

ENVIRONMENT_BYTES = 4096
"""Lambda guide, "Lambda quotas": all environment variables of a function together."""
REFERENCE_BYTES = 100
"""What a name or an address takes that only a deployment knows: the longest of ours are those of queues and topics."""
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
        key: len(key.encode()) + (len(value.encode()) if isinstance(value, str) else REFERENCE_BYTES)
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
        yield says(of, "MaximumRecordAgeInSeconds", age, "-1, or 60 to 604800", MAPPING)
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
            yield says(of, key, given[key], "left out for this kind of source", MAPPING)
    waits = number(given.get("MaximumBatchingWindowInSeconds"))
    if not of_stream and not waits and (number(given.get("BatchSize")) or 0) > 10:
        what = "at least 1 where BatchSize is above 10"
        yield says(of, "MaximumBatchingWindowInSeconds", 0, what, MAPPING)


def _alarm(of: Resource) -> Iterator[str]:
    given, queries = of.properties, of.properties.get("Metrics", [])
    periods = [number(given.get("Period"))]
    periods += [number(query.get("MetricStat", {}).get("Period") or query.get("Period")) for query in queries]
    for period in (period for period in periods if period is not None):
        if period not in {10, 20, 30} and (period < 60 or period % 60):
            yield says(of, "Period", period, "10, 20, 30 or a multiple of 60", ALARM)
        span = period * (number(given.get("EvaluationPeriods")) or 1)
        longest = 7 * DAY if period >= 3600 else DAY
        if span > longest:
            allowed = f"{longest} s at most, periods times EvaluationPeriods"
            yield says(of, "EvaluationPeriods", given.get("EvaluationPeriods"), allowed, ALARM)
    if (number(given.get("DatapointsToAlarm")) or 0) > (number(given.get("EvaluationPeriods")) or 0):
        yield says(of, "DatapointsToAlarm", given["DatapointsToAlarm"], "EvaluationPeriods at most", ALARM)
    for key in ("MetricStat", "Expression"):
        if (count := sum(key in query for query in queries)) > 10:
            yield says(
                of, f"Metrics[].{key}", count, "10 at most", "CloudWatch API reference, MetricDataQuery"
            )
    for key in ("AlarmActions", "OKActions", "InsufficientDataActions"):
        if len(given.get(key, ())) > 5:
            yield says(of, key, len(given[key]), "5 at most", ALARM)


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
        yield says(of, "EventBusName", given["EventBusName"], "the default bus for a schedule", RULE)
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
        yield says(of, "AttributeDefinitions", odd, "the attributes of the keys, and no others", TABLE)
    for schema in schemas:
        if [key["KeyType"] for key in schema] not in (["HASH"], ["HASH", "RANGE"]):
            yield says(of, "KeySchema", json.dumps(schema), "one HASH key, then at most one RANGE key", TABLE)
    if wrong := {type_ for type_ in defined.values() if type_ not in {"S", "N", "B"}}:
        yield says(of, "AttributeDefinitions", ", ".join(sorted(wrong)), "of the types S, N and B", TABLE)
    if len(given.get("GlobalSecondaryIndexes", ())) > 20:
        yield says(of, "GlobalSecondaryIndexes", len(indexes), "20 at most", TABLE)


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
    if isinstance(value, str) and not 1 <= len(value.encode()) <= most:
        page = "Systems Manager guide, Managing parameter tiers"
        yield says(of, "Value", f"{len(value.encode())} bytes", f"1 to {most} bytes", page)
    if isinstance(value, str) and "{{" in value:
        page = "Systems Manager guide, Parameter Store reference"
        yield says(of, "Value", value, "without {{, which stands for another parameter", page)


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
    values = [each for each in of.properties.get("FilterPolicy", {}).values() if isinstance(each, list)]
    for what, count, most in (
        ("keys", len(of.properties.get("FilterPolicy", {})), 5),
        ("combinations of values", prod(map(len, values)), 150),
    ):
        if count > most:
            page = "SNS guide, Filter policy constraints"
            yield says(of, "FilterPolicy", f"{count} {what}", f"{most} at most", page)


def _client(of: Resource) -> Iterator[str]:
    page = "Cognito guide, Application-specific settings with app clients"
    seconds = {"seconds": 1, "minutes": 60, "hours": 3600, "days": DAY}
    units = of.properties.get("TokenValidityUnits", {})
    for key, unit, low, high in (
        ("IdTokenValidity", "IdToken", 300, DAY),
        ("AccessTokenValidity", "AccessToken", 300, DAY),
        ("RefreshTokenValidity", "RefreshToken", 3600, 3650 * DAY),
    ):
        value = number(of.properties.get(key))
        if (
            value is not None
            and not low <= value * seconds[units.get(unit, "days" if "Refresh" in unit else "hours")] <= high
        ):
            yield says(of, key, value, f"{low} to {high} s", CLIENT)
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
