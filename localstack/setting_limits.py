"""Settings that AWS rejects when a call makes them, by the rules by which templates are judged (`cdk.limits`).

What CloudFormation makes inside MiniStack does not pass here: the CDK app has judged its template before. So nothing
here judges a distribution of CloudFront, which nobody makes or changes by a call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs
from xml.etree import ElementTree

from localstack import published_limits
from localstack.published_limits import Excess
from stream_infra.cdk.limits import Resource, of_numbers, of_resource

_FUNCTION, _MAPPING = "AWS::Lambda::Function", "AWS::Lambda::EventSourceMapping"
_RULE, _QUEUE, _BUCKET = "AWS::Events::Rule", "AWS::SQS::Queue", "AWS::S3::Bucket"
UPDATE_SHARDS = "Kinesis_20131202.UpdateShardCount"
_SHARD_ITERATOR = "Kinesis_20131202.GetShardIterator"


class _Kind(NamedTuple):
    """What a call sets: a type of CloudFormation, AWS's error for it, and whether it sets all of it."""

    type: str
    code: str
    is_whole: bool = True


_LAMBDA = "InvalidParameterValueException"
_PATHS: tuple[tuple[str, str, _Kind], ...] = (
    ("POST", r"/2015-03-31/functions", _Kind(_FUNCTION, _LAMBDA)),
    ("PUT", r"/2015-03-31/functions/[^/]+/configuration", _Kind(_FUNCTION, _LAMBDA)),
    ("POST", r"/2015-03-31/event-source-mappings/?", _Kind(_MAPPING, _LAMBDA)),
    ("PUT", r"/2015-03-31/event-source-mappings/[^/]+", _Kind(_MAPPING, _LAMBDA, is_whole=False)),
    (
        "P(OS|U)T",
        r"/2019-09-25/functions/[^/]+/event-invoke-config",
        _Kind("AWS::Lambda::EventInvokeConfig", _LAMBDA),
    ),
)
_TARGETS: Mapping[str, _Kind] = {
    "AWSEvents.PutRule": _Kind(_RULE, "ValidationException"),
    "AWSEvents.PutTargets": _Kind(_RULE, "LimitExceededException"),
    "AmazonSQS.CreateQueue": _Kind(_QUEUE, "InvalidParameterValue"),
    "AmazonSSM.PutParameter": _Kind("AWS::SSM::Parameter", "ValidationException"),
    "GraniteServiceVersion20100801.PutMetricAlarm": _Kind("AWS::CloudWatch::Alarm", "ValidationError"),
}
_FORMS: Mapping[str, _Kind] = {
    "Subscribe": _Kind("AWS::SNS::Subscription", "InvalidParameter"),
    "CreateTopic": _Kind("AWS::SNS::Topic", "InvalidParameter"),
}


def judged(
    method: str, path: str, query: str, target: str, service: str
) -> Callable[[bytes], Excess | None] | None:
    """Return what judges the body of a call; None for one that makes no setting.

    >>> judged("POST", "/2015-03-31/functions", "", "", "lambda")(b'{"Timeout": 901}').code
    'InvalidParameterValueException'
    """
    if service == "sns":
        return _of_form
    if service == "s3":
        return (
            _of_lifecycle
            if method == "PUT" and "lifecycle" in parse_qs(query, keep_blank_values=True)
            else None
        )
    if target == _SHARD_ITERATOR:
        return published_limits.iterator_of_the_future
    kind = _TARGETS.get(target) or next(
        (kind for verb, form, kind in _PATHS if re.fullmatch(verb, method) and re.fullmatch(form, path)), None
    )
    return (lambda body: _of_body(kind, body)) if kind else None


def _of_body(kind: _Kind, body: bytes) -> Excess | None:
    try:
        given = json.loads(body)
    except ValueError:
        return None  # the emulator says what is wrong with it
    return _excess(kind, _as_template(kind, given)) if isinstance(given, dict) else None


def _of_form(body: bytes) -> Excess | None:
    form = {
        key: values[0]
        for key, values in parse_qs(body.decode(errors="replace"), keep_blank_values=True).items()
    }
    if form.get("Action") == "Publish":
        return published_limits.odd_subject(form.get("Subject", "")) or published_limits.odd_message(form)
    if form.get("AttributeName") == "FilterPolicy":  # of SetSubscriptionAttributes
        form = {"Action": "Subscribe", "Attributes.entry.1.key": "FilterPolicy"} | {
            "Attributes.entry.1.value": form.get("AttributeValue", "")
        }
    kind = _FORMS.get(form.get("Action", ""))
    return _excess(kind, {**form, "TopicName": form.get("Name"), **_filters(form)}) if kind else None


def _filters(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the filter policy among the attributes of Subscribe, as a template has it."""
    numbers = (key.split(".")[2] for key, value in form.items() if value == "FilterPolicy")
    texts = [form.get(f"Attributes.entry.{number}.value", "") for number in numbers]
    try:
        found = [json.loads(text) for text in texts]
    except ValueError:
        return {}  # the emulator says what is wrong with it
    return {"FilterPolicy": found[0]} if found and isinstance(found[0], dict) else {}


def _of_lifecycle(body: bytes) -> Excess | None:
    """Judge PutBucketLifecycleConfiguration.

    >>> rule = b"<Rule><Transition><Days>7</Days><StorageClass>STANDARD_IA</StorageClass></Transition></Rule>"
    >>> _of_lifecycle(b"<LifecycleConfiguration>" + rule + b"</LifecycleConfiguration>").code
    'InvalidArgument'
    """
    try:
        document = ElementTree.fromstring(body)  # noqa: S314  of a program of this machine
    except ElementTree.ParseError:
        return None  # the emulator says what is wrong with it
    rules = []
    for rule in (each for each in document if _tag(each) == "Rule"):
        ends = [_texts(each) for each in rule if _tag(each) == "Expiration"]
        moves = [_texts(each) for each in rule if _tag(each) == "Transition"]
        made: dict[str, Any] = {"ExpirationInDays": ends[0].get("Days")} if ends else {}
        made["Transitions"] = [
            {"TransitionInDays": move.get("Days"), "StorageClass": move.get("StorageClass")} for move in moves
        ]
        rules.append(made)
    return _excess(_Kind(_BUCKET, "InvalidArgument"), {"LifecycleConfiguration": {"Rules": rules}})


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]  # without its namespace


def _texts(element: ElementTree.Element) -> dict[str, str]:
    return {_tag(each): each.text or "" for each in element}


def _excess(kind: _Kind, properties: Mapping[str, Any]) -> Excess | None:
    resource = Resource("call", "request", kind.type, properties)
    problems: Iterator[str] = of_resource(resource) if kind.is_whole else of_numbers(resource)
    first = next(problems, None)
    return Excess(400, kind.code, first.partition(": ")[2]) if first else None


def _as_template(kind: _Kind, given: dict[str, Any]) -> dict[str, Any]:
    """Return the members of a request as a template has them."""
    if kind.type == _QUEUE:
        return {"QueueName": given.get("QueueName"), **(given.get("Attributes") or {})}
    if kind.type != _RULE:
        return given
    pattern = given.get("EventPattern")
    kept = {key: of for key, of in given.items() if key != "EventBusName" or of != "default"}
    return {**kept, "EventPattern": json.loads(pattern)} if pattern else kept


def excessive_shards(now: int, wanted: int) -> Excess | None:
    """Return what Kinesis answers to a number of shards that it does not go to at once (UpdateShardCount).

    >>> excessive_shards(2, 4), excessive_shards(4, 2)
    (None, None)
    >>> excessive_shards(1, 3).code
    'InvalidArgumentException'
    """
    if now / 2 <= wanted <= 2 * now:
        return None
    message = (
        f"UpdateShardCount goes from {now} shards to {-(-now // 2)} to {2 * now} at once, not to {wanted}."
    )
    return Excess(400, "InvalidArgumentException", message)
