"""A Kinesis stream and a function with a mapping, in memory, as the runner's clients see them."""

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError, EndpointConnectionError

from tests.json_types import Json

if TYPE_CHECKING:
    pass


STREAM_ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/quotes"
FUNCTION_ARN = "arn:aws:lambda:us-east-1:000000000000:function:detector"


def client_error(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "Operation",
    )


class Pages:
    def __init__(self, call: Callable[..., Json]) -> None:
        self._call = call

    def paginate(self, **arguments: str) -> Iterator[Json]:
        yield self._call(**arguments)


class Stream:
    """A Kinesis stream with AWS's semantics of split and merge."""

    def __init__(self, shards: int = 1) -> None:
        self.lock = threading.RLock()
        self.shards: dict[str, Json] = {}
        self.unreachable = False
        self.reads = 0
        for _ in range(shards):
            self._open(())

    def _open(self, parents: tuple[str, ...]) -> str:
        shard_id = f"shardId-{len(self.shards):012d}"
        self.shards[shard_id] = {"parents": parents, "closed": False, "records": [], "expired": 0}
        return shard_id

    def put(self, shard_id: str, *payloads: str, key: str = "key") -> None:
        with self.lock:
            shard = self.shards[shard_id]
            assert not shard["closed"]
            for payload in payloads:
                shard["records"].append(
                    {
                        "SequenceNumber": f"{shard_id}/{shard['expired'] + len(shard['records'])}",
                        "PartitionKey": key,
                        "Data": payload.encode(),
                        "ApproximateArrivalTimestamp": _At(time.time()),
                    }
                )

    def expire(self, shard_id: str, count: int) -> None:
        """Drop the oldest records; iterators are indexes, as MiniStack's are, and do not notice."""
        with self.lock:
            del self.shards[shard_id]["records"][:count]
            self.shards[shard_id]["expired"] += count

    def split(self, shard_id: str) -> tuple[str, str]:
        with self.lock:
            self.shards[shard_id]["closed"] = True
            return self._open((shard_id,)), self._open((shard_id,))

    def merge(self, first: str, second: str) -> str:
        with self.lock:
            self.shards[first]["closed"] = self.shards[second]["closed"] = True
            return self._open((first, second))

    def list_shards(self, **_: object) -> Json:
        self._reach()
        with self.lock:
            return {"Shards": [self._describe(name, shard) for name, shard in self.shards.items()]}

    def _describe(self, shard_id: str, shard: Json) -> Json:
        described: Json = {"ShardId": shard_id, "SequenceNumberRange": {}}
        if shard["closed"]:
            described["SequenceNumberRange"]["EndingSequenceNumber"] = "end"
        names = ("ParentShardId", "AdjacentParentShardId")
        return described | dict(zip(names, shard["parents"], strict=False))

    def get_shard_iterator(self, **arguments: str) -> Json:
        self._reach()
        with self.lock:
            shard = self.shards[arguments["ShardId"]]
            records, kind = shard["records"], arguments["ShardIteratorType"]
            start = 0
            if kind == "LATEST":
                start = len(records)
            elif kind == "AFTER_SEQUENCE_NUMBER":
                start = max(0, int(arguments["StartingSequenceNumber"].split("/")[1]) + 1 - shard["expired"])
            elif kind == "AT_TIMESTAMP":
                start = sum(
                    record["ApproximateArrivalTimestamp"].epoch < arguments["Timestamp"] for record in records
                )
            return {"ShardIterator": f"{arguments['ShardId']}/{start}"}

    def get_records(self, *, ShardIterator: str, StreamARN: str, Limit: int) -> Json:  # noqa: ARG002, N803  AWS's
        self._reach()
        with self.lock:
            self.reads += 1
            shard_id, start = ShardIterator.split("/")
            shard, begin = self.shards[shard_id], int(start)
            records = shard["records"][begin : begin + Limit]
            end = begin + len(records)
            over = shard["closed"] and end == len(shard["records"])
            return {
                "Records": records,
                "NextShardIterator": None if over else f"{shard_id}/{end}",
                "MillisBehindLatest": 0 if end == len(shard["records"]) else 1,
            }

    def _reach(self) -> None:
        if self.unreachable:
            raise EndpointConnectionError(endpoint_url="http://test")


class _At(float):
    @property
    def epoch(self) -> float:
        return float(self)

    def timestamp(self) -> float:
        return float(self)


class Functions:
    """A Lambda API with one mapping and one function, which is a Python callable."""

    def __init__(self, handler: Callable[[list[str]], object], **settings: object) -> None:
        self.handler = handler
        self.mapping: Json = {
            "UUID": "mapping-1",
            "EventSourceArn": STREAM_ARN,
            "FunctionArn": FUNCTION_ARN,
            "State": "Enabled",
            "StartingPosition": "TRIM_HORIZON",
            **settings,
        }
        self.mappings = [self.mapping]
        self.listed = 0

    def get_paginator(self, _: str) -> Pages:
        return Pages(self._list)

    def _list(self, **_: object) -> Json:
        self.listed += 1
        return {"EventSourceMappings": list(self.mappings)}

    def get_function(self, **_: object) -> Json:
        return {"Configuration": {"Role": "arn:aws:iam::000000000000:role/detector"}}

    def invoke(self, **arguments: str) -> Json:
        import base64

        records = json.loads(arguments["Payload"])["Records"]
        payloads = [base64.b64decode(record["kinesis"]["data"]).decode() for record in records]
        answer: Json = {"StatusCode": 200, "ResponseMetadata": {}}
        try:
            result = self.handler(payloads)
        except ValueError as error:
            answer["FunctionError"] = "Unhandled"
            result = {"errorMessage": str(error)}
        return {**answer, "Payload": io.BytesIO(json.dumps(result).encode())}
