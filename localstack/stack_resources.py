"""Types of resources that MiniStack 1.5.33's CloudFormation does not know, made by its services.

`stock-monitor deploy` with AWS_ENDPOINT_URL needs them. Of schemas and Athena's named queries there are names and
no more.
"""

from __future__ import annotations

import io
import json
import mimetypes
import uuid
import zipfile
from collections.abc import Callable, Collection
from contextvars import ContextVar
from typing import Any

from ministack.services import cognito, eventbridge, s3
from ministack.services.cloudformation import changesets, provisioners, stacks

from localstack.alarm_dimensions import summands

Properties = dict[str, Any]
_NAMES_ONLY = (
    "AWS::Athena::NamedQuery",
    "AWS::CodeDeploy::Application",
    "AWS::EventSchemas::Registry",
    "AWS::EventSchemas::Schema",
)


def know_all_types() -> None:
    """Let CloudFormation make what our templates hold."""
    for kind in _NAMES_ONLY:
        provisioners._RESOURCE_HANDLERS.setdefault(kind, _handler(_name, lambda *_: None))
    _know_metric_math()
    _let_imported_buckets_be_there()
    provisioners._RESOURCE_HANDLERS |= {
        "AWS::Events::Archive": _handler(_archive, _delete_archive),
        "AWS::Cognito::UserPoolUser": _handler(_invite, _sign_out),
        "Custom::CDKBucketDeployment": _handler(_upload, lambda *_: None),
    }


def _let_imported_buckets_be_there() -> None:
    """Take over a bucket as CloudFormation does ("Import AWS resources into a CloudFormation stack automatically").

    MiniStack's check that the name of a bucket is free knows nothing of those that a change set imports.
    """
    deploy, check = changesets._deploy_stack_async, stacks._fail_property_validation
    imported: ContextVar[Collection[str]] = ContextVar("imported", default=())

    async def deployed(*of: Any, imports: Properties | None = None, **named: Any) -> None:
        imported.set(imports or ())  # a task has a context of its own
        await deploy(*of, imports=imports, **named)

    def checked(*of: Any, **named: Any) -> bool:
        *first, resources, ordered = of[:5]
        made = [name for name in ordered if name not in imported.get()]
        return bool(check(*first, resources, made, *of[5:], **named))

    changesets._deploy_stack_async, stacks._fail_property_validation = deployed, checked


def _know_metric_math() -> None:
    """Let an alarm have `Metrics` in place of one metric (PutMetricAlarm: the one without the other)."""
    record = provisioners._cw_metric_alarm_record

    def with_math(name: str, properties: Properties) -> Properties:
        if not (queries := properties.get("Metrics")):
            return dict(record(name, properties))
        one = {**properties, **summands(queries)[0], "Metrics": None, "Dimensions": []}
        alarm: Properties = {**record(name, one), "Metrics": queries}
        return {key: of for key, of in alarm.items() if key not in {"Namespace", "MetricName"}}

    provisioners._cw_metric_alarm_record = with_math


def _handler(
    make: Callable[[str, Properties, str], str], delete: Callable[[str, Properties], object]
) -> dict[str, Any]:
    """Return what MiniStack calls for a type: `make` gives the physical id, and does what is new in an update."""

    def create(logical: str, properties: Properties, stack: str) -> tuple[str, Properties]:
        return make(logical, properties, stack), {}

    def update(physical: str, _: Properties, properties: Properties, stack: str) -> tuple[str, Properties]:
        make(physical, properties, stack)
        return physical, {}

    return {"create": create, "update": update, "delete": delete}


def _done(answer: tuple[int, Any, Any], *codes: str) -> bool:
    """Return whether a service took a call; False for an error of `codes`."""
    status, _, body = answer
    if status >= 400:
        text = body.decode() if isinstance(body, bytes) else str(body)
        if any(code in text for code in codes):
            return False
        raise ValueError(text)
    return True


def _name(logical: str, _: Properties, stack: str) -> str:
    return f"{stack}-{logical}-{uuid.uuid4().hex[:8]}"


def _archive(_: str, properties: Properties, __: str) -> str:
    wanted: Properties = {**properties, "EventPattern": json.dumps(properties["EventPattern"])}
    wanted["RetentionDays"] = int(properties["RetentionDays"])
    made = {**wanted, "EventSourceArn": properties["SourceArn"]}
    if not _done(eventbridge._create_archive(made), "ResourceAlreadyExistsException"):
        _done(eventbridge._update_archive(wanted))
    return str(properties["ArchiveName"])


def _delete_archive(name: str, _: Properties) -> None:
    _done(eventbridge._delete_archive({"ArchiveName": name}), "ResourceNotFoundException")


def _invite(_: str, properties: Properties, __: str) -> str:
    _done(cognito._admin_create_user(properties))
    return str(properties["Username"])


def _sign_out(name: str, properties: Properties) -> None:
    gone = {"UserPoolId": properties["UserPoolId"], "Username": name}
    _done(cognito._admin_delete_user(gone), "UserNotFoundException", "ResourceNotFoundException")


def _upload(logical: str, properties: Properties, stack: str) -> str:
    """Do what the CDK's function does: it runs the AWS CLI of a layer, which is not at /opt here."""
    bucket, put = properties["DestinationBucketName"], set[str]()
    cache = (properties.get("SystemMetadata") or {}).get("cache-control", "no-cache")
    markers = properties.get("SourceMarkers") or [{}] * len(properties["SourceBucketNames"])
    sources = zip(properties["SourceBucketNames"], properties["SourceObjectKeys"], markers, strict=True)
    for source, key, replaced in sources:
        data = s3._get_object_data(source, key)
        if data is None:
            raise ValueError(f"s3://{source}/{key} is not there")
        packed = zipfile.ZipFile(io.BytesIO(data))
        for name in (entry.filename for entry in packed.infolist() if not entry.is_dir()):
            body = packed.read(name)
            for marker, value in replaced.items():
                body = body.replace(marker.encode(), str(value).encode())
            kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
            _done(s3._put_object(bucket, name, body, {"content-type": kind, "cache-control": cache}))
            put.add(name)
    for gone in s3._buckets[bucket]["objects"].keys() - put:
        _done(s3._delete_object(bucket, gone))
    return _name(logical, properties, stack)
