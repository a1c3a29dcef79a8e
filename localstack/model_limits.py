"""Limits of calls that stand in AWS's own models of its services, which botocore has; the API references show the same.

MiniStack keeps few of them: a secret of 70,000 characters, a page of 51 parameters and no record at all are taken.
Patterns are left out: MiniStack's own sequence numbers of Kinesis do not fit that of AWS's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import msgspec
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape
from botocore.session import Session

from localstack.published_limits import Excess

_SERVICES = {
    "AWSEvents": ("events", "ValidationException"),
    "AmazonAthena": ("athena", "InvalidRequestException"),
    "AmazonSSM": ("ssm", "ValidationException"),
    "Kinesis_20131202": ("kinesis", "ValidationException"),
    "Logs_20140328": ("logs", "InvalidParameterException"),
    "secretsmanager": ("secretsmanager", "ValidationException"),
}
"""By the first part of X-Amz-Target: the service, and its error. MiniStack keeps those of DynamoDB itself."""
_FAILED = "failed to satisfy constraint: Member must"
_NUMBERS = {"integer", "long", "float", "double"}


def judged(target: str) -> Callable[[bytes], Excess | None] | None:
    """Return what judges the body of a call by its X-Amz-Target; None where nothing does.

    >>> judged("secretsmanager.CreateSecret")(b'{"Name": "n", "SecretString": ""}').code
    'ValidationException'
    """
    prefix, _, operation = target.rpartition(".")
    service, code = _SERVICES.get(prefix, ("", ""))
    model = _model(service, operation) if service else None
    shape = model.input_shape if model else None
    return (lambda body: _excess(shape, code, body)) if shape else None


@cache
def _model(service: str, operation: str) -> OperationModel | None:
    model = _models(service)
    return model.operation_model(operation) if operation in model.operation_names else None


@cache
def _models(service: str) -> ServiceModel:
    return Session().get_service_model(service)  # reading it takes some 40 ms


def _excess(shape: Shape, code: str, body: bytes) -> Excess | None:
    try:
        given = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None  # the emulator says what is wrong with it
    first = next(_problems(shape, given, ""), None)
    return Excess(400, code, f"1 validation error detected: Value {first}") if first else None


def _problems(shape: Shape, given: Any, where: str) -> Iterator[str]:
    """Return what is beyond a limit; what has another type is left to the emulator."""
    match shape, given:
        case StructureShape(), dict():
            for name in given.keys() & shape.members.keys():
                yield from _problems(shape.members[name], given[name], f"{where}.{name}" if where else name)
        case ListShape(), list():
            yield from _of_size(shape, len(given), where, "length")
            for at, each in enumerate(given):
                yield from _problems(shape.member, each, f"{where}.{at + 1}.member")
        case MapShape(), dict():
            yield from _of_size(shape, len(given), where, "length")
            for key, each in given.items():
                yield from _problems(shape.key, key, where)
                yield from _problems(shape.value, each, f"{where}.{key}.member")
        case Shape(type_name="string"), str():
            yield from _of_size(shape, len(given), where, "length")
        case Shape(type_name=name), int() | float() if name in _NUMBERS:
            yield from _of_size(shape, given, where, "value")


def _of_size(shape: Shape, size: float, where: str, what: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        yield f"at '{where}' {_FAILED} have {what} greater than or equal to {low}"
    if high is not None and size > high:
        yield f"at '{where}' {_FAILED} have {what} less than or equal to {high}"
