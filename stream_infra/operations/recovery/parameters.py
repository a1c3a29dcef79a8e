"""The history of a parameter, and the way back to a value that worked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from stream_infra import names
from stream_infra.operations.errors import FailedError, InputError

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


@dataclass(frozen=True)
class Value:
    """One version of a parameter; `problem` says why it cannot be used, empty if it can."""

    version: int
    at: datetime
    by: str
    value: str
    problem: str


def problem_of(name: str, value: str) -> str:
    """Why a value cannot be used for a parameter; empty if it can, or nothing is known of it."""
    from consumers.stream.thresholds import Threshold, ThresholdError  # noqa: PLC0415  --help must not pay for it
    from producers.watch_list import WatchListError, parse  # noqa: PLC0415

    try:
        if name == names.THRESHOLD_PARAMETER:
            Threshold.parse(value)
        elif name == names.TICKER_PARAMETER and not is_reference(value):
            parse(value, f"parameter {name}")
    except ThresholdError as error:
        return f"parameter {name}: {error}"
    except WatchListError as error:
        return str(error)
    return ""


def rejected_of(name: str, value: str) -> str:
    """Return what of a value is left out, though the rest can be used; empty if nothing is."""
    from producers.watch_list import parse  # noqa: PLC0415  --help must not pay for it

    if name != names.TICKER_PARAMETER or is_reference(value) or problem_of(name, value):
        return ""
    return "; ".join(parse(value, f"parameter {name}").rejected)


def is_reference(value: str) -> bool:
    """Return whether a watch list is in S3: the scanner's own errors cover that one."""
    return value.strip().lower().startswith("s3:")


def history(ssm: SSMClient, name: str) -> list[Value]:
    """All versions that Parameter Store keeps (100), the newest first.

    Raises
    ------
    InputError
        There is no such parameter.
    """
    pages = ssm.get_paginator("get_parameter_history").paginate(Name=name)
    try:
        found = [item for page in pages for item in page["Parameters"]]
    except ssm.exceptions.ParameterNotFound as error:
        raise InputError(f"there is no parameter {name}") from error
    values = [
        Value(
            item["Version"],
            item["LastModifiedDate"],
            item["LastModifiedUser"],
            item["Value"],
            problem_of(name, item["Value"]) or rejected_of(name, item["Value"]),
        )
        for item in found
    ]
    return sorted(values, key=lambda value: -value.version)


def restore(ssm: SSMClient, name: str, version: int | None) -> Value:
    """Put the value of `version`, or the last usable one that differs from the newest.

    Raises
    ------
    InputError
        There is no such version, or its value cannot be used.
    FailedError
        The parameter holds something else afterwards: somebody else put it meanwhile.
    """
    known = history(ssm, name)
    if version is None:
        fitting = [value for value in known[1:] if not value.problem and value.value != known[0].value]
    else:
        fitting = [value for value in known if value.version == version]
    if not fitting:
        which = f"no version {version}" if version else "no earlier version that can be used and differs"
        raise InputError(f"{name} has {which}; there are: {', '.join(str(v.version) for v in known)}")
    chosen = fitting[0]
    if chosen.problem:
        raise InputError(f"version {chosen.version} of {name} cannot be used: {chosen.problem}")
    ssm.put_parameter(Name=name, Value=chosen.value, Overwrite=True)
    if (there := ssm.get_parameter(Name=name)["Parameter"]["Value"]) != chosen.value:
        raise FailedError(f"{name} holds {there[:80]!r} now: somebody put it meanwhile; try again")
    return chosen
