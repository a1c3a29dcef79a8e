"""Limits that AWS publishes and MiniStack does not keep; those of DynamoDB, Kinesis, SQS and SNS it keeps itself.

`tests/localstack/test_published_limits.py` names the rule of each, and tests MiniStack's own beside them.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

INVOKE_BYTES = 6 * 1024 * 1024
ASYNCHRONOUS_BYTES = 1024 * 1024
ANSWER_BYTES = INVOKE_BYTES + 100
EVENTS_BYTES = 1024 * 1024
STANDARD_PARAMETER_CHARACTERS = 4096
ADVANCED_PARAMETER_CHARACTERS = 8192
KEY_BYTES = 1024
SUBJECT_CHARACTERS = 100
UNRESERVED = 100
"""Concurrency that stays for functions without a reserved one; in an account that has less, all of it."""

_RESERVE = re.compile(r"/2017-10-31/functions/(?P<function>[^/]+)/concurrency")
_INVOKE = re.compile(r"/2015-03-31/functions/[^/]+/invocations")


class Excess(NamedTuple):
    """An answer of AWS to what is too large."""

    status: int
    code: str
    message: str


def is_invocation(method: str, path: str) -> bool:
    """Return whether a request is Lambda's Invoke."""
    return method == "POST" and _INVOKE.fullmatch(path) is not None


def reserves_concurrency_of(method: str, path: str) -> str | None:
    """Return the function whose concurrency Lambda's PutFunctionConcurrency reserves; None for any other request.

    >>> reserves_concurrency_of("PUT", "/2017-10-31/functions/stock-detector/concurrency")
    'stock-detector'
    """
    found = _RESERVE.fullmatch(path) if method == "PUT" else None
    return found["function"] if found else None


def excessive_reservation(limit: int, unreserved: int, reserved: int, wanted: int) -> Excess | None:
    """Return what Lambda answers to a reservation that would leave too little for all other functions.

    Parameters
    ----------
    limit, unreserved
        The account's ConcurrentExecutions and UnreservedConcurrentExecutions.
    reserved, wanted
        What the function has reserved now, and what it asks for.
    """
    least = min(UNRESERVED, limit)
    if unreserved + reserved - wanted >= least:
        return None
    message = (
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
        f"below its minimum value of [{least}]."
    )
    return Excess(400, "InvalidParameterValueException", message)


def excessive_payload(kind: str, size: int) -> Excess | None:
    """Return what Lambda answers to a payload of `size` bytes; `kind` is the header X-Amz-Invocation-Type."""
    kind = kind or "RequestResponse"
    limit = ASYNCHRONOUS_BYTES if kind == "Event" else INVOKE_BYTES
    if size <= limit:
        return None
    message = f"{size} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"
    return Excess(413, "RequestTooLargeException", message)


def excessive_answer(size: int) -> bytes | None:
    """Return what Lambda gives in place of a function's answer of `size` bytes, with X-Amz-Function-Error."""
    if size <= ANSWER_BYTES:
        return None
    said = f"Response payload size exceeded maximum allowed payload size ({ANSWER_BYTES} bytes)."
    return json.dumps({"errorMessage": said, "errorType": "Function.ResponseSizeTooLarge"}).encode()


def excessive_key(path: str) -> Excess | None:
    """Return what S3 answers to the key in a path `/bucket/key`, decoded."""
    _, _, key = path.lstrip("/").partition("/")
    if len(key.encode()) <= KEY_BYTES:
        return None
    return Excess(400, "KeyTooLongError", "Your key is too long")


def odd_subject(subject: str) -> Excess | None:
    r"""Return what SNS answers to the subject of Publish.

    >>> odd_subject("x" * 99), odd_subject("x" * 100).message, odd_subject("a\nb").code
    (None, 'Invalid parameter: Subject', 'InvalidParameter')
    """
    if len(subject) < SUBJECT_CHARACTERS and not re.search(r"[\x00-\x1f\x7f]", subject):
        return None
    return Excess(400, "InvalidParameter", "Invalid parameter: Subject")


def odd_message(form: Mapping[str, str]) -> Excess | None:
    """Return what SNS answers to message and attributes of Publish, by the members of its form.

    >>> odd_message({"Message": "m", "MessageAttributes.entry.1.Value.StringValue": ""}).code
    'InvalidParameterValue'
    >>> odd_message({"Message": '{"sms": "m"}', "MessageStructure": "json"}).code
    'InvalidParameter'
    """
    if not (message := form.get("Message", "")):
        return Excess(400, "InvalidParameter", "Invalid parameter: Empty message")
    if form.get("MessageStructure") == "json":
        try:
            has_default = isinstance(json.loads(message)["default"], str)
        except (ValueError, LookupError, TypeError):
            has_default = False
        if not has_default:
            said = "Invalid parameter: Message Structure - No default entry in JSON message body"
            return Excess(400, "InvalidParameter", said)
    if any(key.endswith(".Value.StringValue") and not value for key, value in form.items()):
        said = "must contain non-empty message attribute value for message attribute type 'String'."
        return Excess(400, "InvalidParameterValue", f"The message attribute {said}")
    return None


def iterator_of_the_future(body: bytes) -> Excess | None:
    """Return what Kinesis answers to the body of GetShardIterator.

    >>> iterator_of_the_future(b'{"Timestamp": 1.5}')
    >>> iterator_of_the_future(b'{"Timestamp": 1e11}').code
    'InvalidArgumentException'
    """
    moment_ms, now_ms = round(json.loads(body).get("Timestamp", 0) * 1000), time.time_ns() // 1_000_000
    if moment_ms <= now_ms:
        return None
    message = (
        "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
        f"timestampInMillis: {moment_ms}, currentTimestampInMillis: {now_ms}"
    )
    return Excess(400, "InvalidArgumentException", message)


def excessive_events(body: bytes) -> Excess | None:
    """Return what EventBridge answers to the body of PutEvents."""
    if len(body) < EVENTS_BYTES:  # the entries are smaller than what they are sent in
        return None
    if sum(map(entry_bytes, json.loads(body).get("Entries", []))) < EVENTS_BYTES:
        return None
    return Excess(400, "ValidationException", "Total size of the entries in the request is over the limit.")


def entry_bytes(entry: Mapping[str, Any]) -> int:
    """Return the size of an entry of PutEvents, as the guide counts it ("Calculating PutEvents event entry size").

    >>> entry_bytes({"Source": "s", "DetailType": "dé", "Detail": "{}", "Time": 1, "Resources": ["arn"]})
    23
    """
    texts = [entry.get(name) or "" for name in ("Source", "DetailType", "Detail")]
    texts += entry.get("Resources") or []
    return sum(len(text.encode()) for text in texts) + (14 if entry.get("Time") is not None else 0)


def excessive_parameter(body: bytes) -> Excess | None:
    """Return what Parameter Store answers to the body of PutParameter."""
    if len(body) <= STANDARD_PARAMETER_CHARACTERS:
        return None
    asked = json.loads(body)
    size, tier = len(asked.get("Value", "").encode()), asked.get("Tier", "Standard")
    if size <= STANDARD_PARAMETER_CHARACTERS or (
        tier != "Standard" and size <= ADVANCED_PARAMETER_CHARACTERS
    ):
        return None
    if tier == "Standard":
        message = (
            f"Standard tier parameters support a maximum parameter value of {STANDARD_PARAMETER_CHARACTERS} "
            "characters. To create a larger parameter value, upgrade the parameter to use the advanced-parameter "
            "tier. For more information, see "
            "https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html"
        )
    else:
        message = (
            f"Advanced tier parameters support a maximum parameter value of {ADVANCED_PARAMETER_CHARACTERS} "
            "characters."
        )
    return Excess(400, "ValidationException", message)
