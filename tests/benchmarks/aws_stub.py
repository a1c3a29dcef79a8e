"""An AWS inside the process: answers botocore's requests before they are sent, counts requests, bytes and units.

botocore does all it does for real (serialise, sign, parse, retry rules); there is no socket and no TLS. The stub's
own processor time is kept apart, so that it can be taken off what a contender needed. Units are counted by the
sizes of items as AWS does ("DynamoDB item sizes and formats" in its developer guide).
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from botocore import xform_name
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

Body = str | bytes | bytearray | IO[bytes] | IO[str]
Json = dict[str, Any]

INDEXES = {"anomalies": 2}
KEYS = {"anomalies": ("ticker", "timestamp"), "naive": ("pk",)}


def item_bytes(item: Json) -> int:
    """Size of an item as DynamoDB charges it; binary values are in base64 here."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Json) -> int:
    ((kind, of),) = value.items()
    match kind:
        case "S":
            return len(str(of).encode())
        case "B":
            return len(str(of)) * 3 // 4 - str(of).count("=")
        case "N":
            digits = of.lower().partition("e")[0].replace(".", "").strip("-0") or "0"
            return 1 + math.ceil(len(digits) / 2)
        case "L":
            return 3 + sum(1 + _value_bytes(element) for element in of)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_bytes(part) for name, part in of.items())
    return 1


@dataclass
class Meter:
    """What was asked since it was last cleared."""

    calls: Counter[str] = field(default_factory=Counter)
    sent_bytes: Counter[str] = field(default_factory=Counter)
    write_units: Counter[str] = field(default_factory=Counter)
    read_units: float = 0
    stub_cpu: float = 0.0

    def as_dict(self) -> Json:
        """For JSON."""
        return {
            "calls": dict(self.calls),
            "sent_bytes": dict(self.sent_bytes),
            "write_units": dict(self.write_units),
            "read_units": self.read_units,
        }


class AwsStub:
    """Answers in place of DynamoDB, S3, EventBridge and SSM; `session.events.register("before-send", stub)`."""

    def __init__(self) -> None:
        self.meter = Meter()
        self._items: dict[tuple[str, ...], Json] = {}
        self._bars: dict[tuple[str, str], int] = {}
        self._objects: dict[str, bytes] = {}

    def __call__(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        began = time.process_time()
        answer = self._answer(request)
        self.meter.stub_cpu += time.process_time() - began
        return answer

    def _answer(self, request: AWSPreparedRequest) -> AWSResponse:
        target = request.headers.get("X-Amz-Target", b"")
        name = (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2]
        body = request.body or b""
        if not name:
            return self._s3(request, body)
        assert isinstance(body, bytes)
        self.meter.calls[name] += 1
        self.meter.sent_bytes[name] += len(body)
        answer = getattr(self, f"_{xform_name(name)}")(json.loads(body))
        return _response(request.url, json.dumps(answer).encode())

    def _s3(self, request: AWSPreparedRequest, body: Body) -> AWSResponse:
        data = body if isinstance(body, str | bytes | bytearray) else body.read()
        self.meter.calls[f"s3 {request.method}"] += 1
        self.meter.sent_bytes["s3"] += len(data)
        return _response(request.url, b"")

    def _charge(self, table: str, item: Json) -> None:
        units = math.ceil(item_bytes(item) / 1024) * (1 + INDEXES.get(table, 0))
        self.meter.write_units[table] += units

    def _put_item(self, asked: Json) -> Json:
        table, item = asked["TableName"], asked["Item"]
        self._charge(table, item)
        if table in KEYS:
            self._items[table, *(item[key]["S"] for key in KEYS[table])] = item
        return {}

    def _get_item(self, asked: Json) -> Json:
        item = self._items.get((asked["TableName"], *(of["S"] for of in asked["Key"].values())))
        size = max(1, math.ceil((item_bytes(item) if item else 0) / 4096))
        self.meter.read_units += size if asked.get("ConsistentRead") else size / 2
        return {"Item": item} if item else {}

    def _query(self, asked: Json) -> Json:
        """The writer that is alone never has a block to read that it did not write itself."""
        self.meter.read_units += 1 if asked.get("ConsistentRead") else 0.5
        return {"Items": [], "Count": 0, "ScannedCount": 0}

    def _update_item(self, asked: Json) -> Json:
        """An item of bars grows by what is set; the unit is charged at the size it has then."""
        table, key = asked["TableName"], asked["Key"]
        of = (key["pk"]["S"], key["sk"]["S"])
        names, values = asked.get("ExpressionAttributeNames", {}), asked.get("ExpressionAttributeValues", {})
        added = sum(len(name) for name in names.values()) + sum(_value_bytes(v) for v in values.values())
        self._bars[of] = self._bars.get(of, item_bytes(key)) + added
        self.meter.write_units[table] += math.ceil(self._bars[of] / 1024)
        return {"Attributes": {"begun": {"N": "1"}}}

    def _batch_write_item(self, asked: Json) -> Json:
        for table, requests in asked["RequestItems"].items():
            for request in requests:
                self._charge(table, request["PutRequest"]["Item"])
        return {"UnprocessedItems": {}}

    def _put_events(self, asked: Json) -> Json:
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "0"} for _ in asked["Entries"]]}

    def _get_parameter(self, asked: Json) -> Json:
        return {"Parameter": _parameter(asked["Name"])}

    def _get_parameter_history(self, asked: Json) -> Json:
        return {"Parameters": [_parameter(asked["Name"])]}


def _parameter(name: str) -> Json:
    value = "[]" if name.endswith("/rules") else "2.5"
    return {"Name": name, "Type": "String", "Value": value, "Version": 1, "LastModifiedDate": 1.7e9}


class _Raw:
    """A body as botocore reads it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield self._body

    def read(self, *_: object, **__: object) -> bytes:
        body, self._body = self._body, b""
        return body


def _response(url: str, body: bytes) -> AWSResponse:
    headers = HTTPHeaders()
    headers["content-length"] = str(len(body))
    return AWSResponse(url, 200, headers, _Raw(body))
