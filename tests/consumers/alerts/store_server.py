# ruff: noqa: N802, T201 - names of http.server; it prints its port
"""A DynamoDB, SNS, SSM and Secrets Manager in memory, in a process of its own: what the notifier asks for, and no more.

Its memory and processor time are not those of the notifier. `GET /published` answers with what the topic got.
Transactions are serial; a condition that does not hold cancels them, as in DynamoDB.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

Item = dict[str, Any]
WATCHED = 500
TRANSACTION, READS = 100, 100  # most items of a TransactWriteItems and of a BatchGetItem
PAGE = 100  # items of a Query; DynamoDB's pages are 1 MB


CONDITIONS: dict[str, Callable[[Item, Item], bool]] = {
    "attribute_not_exists(pk)": lambda item, _: not item,
    "version = :expected": lambda item, values: item.get("version") == values[":expected"],
}


class Store:
    """Tables as one dictionary of partitions; requests are counted by name."""

    def __init__(self, settings: str = "") -> None:
        self.settings = settings
        self.lock = threading.Lock()
        self.items: dict[str, dict[str, Item]] = defaultdict(dict)
        self.published: list[Item] = []
        self.requests: Counter[str] = Counter()

    def answer(self, name: str, asked: Item) -> Item:
        with self.lock:
            self.requests[name] += 1
            answer: Item = getattr(self, name)(asked)
            return answer

    def BatchGetItem(self, asked: Item) -> Item:
        ((table, wanted),) = asked["RequestItems"].items()
        assert len(wanted["Keys"]) <= READS
        found = [item for key in wanted["Keys"] if (item := self._get(key))]
        return {"Responses": {table: found}, "UnprocessedKeys": {}}

    def Query(self, asked: Item) -> Item:
        values = {name: value["S"] for name, value in asked["ExpressionAttributeValues"].items()}
        partition = self.items.get(values[":pk"], {})
        after = asked.get("ExclusiveStartKey", {}).get("sk", {}).get("S", "")
        keys = [key for key in partition if values[":after"] <= key <= values[":until"] and key > after]
        keys.sort(reverse=not asked.get("ScanIndexForward", True))
        page = keys[: asked.get("Limit", PAGE)]
        more = (
            {"LastEvaluatedKey": {"pk": {"S": values[":pk"]}, "sk": {"S": page[-1]}}} if page != keys else {}
        )
        found = [partition[key] for key in page]
        return {"Items": found, "Count": len(found), "ScannedCount": len(found), **more}

    def PutItem(self, asked: Item) -> Item:
        self._require(asked)
        self._put(asked["Item"])
        return {}

    def DeleteItem(self, asked: Item) -> Item:
        self._require(asked)
        self._delete(asked["Key"])
        return {}

    def TransactWriteItems(self, asked: Item) -> Item:
        writes = [next(iter(write.items())) for write in asked["TransactItems"]]
        keys = {json.dumps(_key(write.get("Key") or write["Item"])) for _, write in writes}
        assert len(keys) == len(writes) <= TRANSACTION, "an item twice, or too many"
        holds = [self._holds(write) for _, write in writes]
        if not all(holds):
            reasons = [{"Code": "None" if ok else "ConditionalCheckFailed"} for ok in holds]
            raise RefusedError(
                "TransactionCanceledException", {"Message": "cancelled", "CancellationReasons": reasons}
            )
        for action, write in writes:
            if action == "Put":
                self._put(write["Item"])
            else:
                self._delete(write["Key"])
        return {}

    def GetParameter(self, asked: Item) -> Item:
        value = ",".join(f"T{n}" for n in range(WATCHED))
        if asked["Name"].endswith("/alerts"):
            if not self.settings:
                raise RefusedError("ParameterNotFound", {"message": asked["Name"]})
            value = self.settings
        return {"Parameter": {"Name": asked["Name"], "Type": "String", "Value": value, "Version": 1}}

    def GetSecretValue(self, asked: Item) -> Item:
        return {"Name": asked["SecretId"], "SecretString": json.dumps({"signing_key": "k" * 32})}

    def Publish(self, asked: Item) -> Item:
        message = json.loads(asked["Message"][0])
        about = json.loads(message["default"])["message"]
        self.published.append({**about, "published_ms": round(time.time() * 1000)})
        return {}

    def _get(self, key: Item) -> Item:
        pk, sk = _key(key)
        return self.items[pk].get(sk, {}) if pk in self.items else {}

    def _put(self, item: Item) -> None:
        pk, sk = _key(item)
        self.items[pk][sk] = item

    def _delete(self, key: Item) -> None:
        pk, sk = _key(key)
        self.items[pk].pop(sk, None)

    def _holds(self, write: Item) -> bool:
        condition = write.get("ConditionExpression")
        item = self._get(write.get("Key") or write["Item"])
        return condition is None or CONDITIONS[condition](item, write.get("ExpressionAttributeValues", {}))

    def _require(self, asked: Item) -> None:
        if not self._holds(asked):
            raise RefusedError("ConditionalCheckFailedException", {"message": "it does not hold"})


class RefusedError(Exception):
    """An answer of status 400."""


def _key(item: Item) -> tuple[str, str]:
    return item["pk"]["S"], item["sk"]["S"]


def _handler(store: Store, latency_seconds: float) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:
            self._send(200, json.dumps({"published": store.published, "requests": store.requests}).encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(latency_seconds)
            target = self.headers.get("X-Amz-Target")
            if target is None:
                store.answer("Publish", parse_qs(body.decode()))
                self._send(200, b"<R><PublishResult><MessageId>m</MessageId></PublishResult></R>")
                return
            try:
                answer = store.answer(target.rpartition(".")[2], json.loads(body))
                self._send(200, json.dumps(answer).encode())
            except RefusedError as refused:
                code, about = refused.args
                self._send(400, json.dumps({"__type": code, **about}).encode())

        def _send(self, status: int, body: bytes) -> None:
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency-ms", type=float, default=0, help="before each answer")
    parser.add_argument("--settings", default="", help="the parameter /stock-tracker/alerts")
    arguments = parser.parse_args()
    handler = _handler(Store(arguments.settings), arguments.latency_ms / 1000)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
