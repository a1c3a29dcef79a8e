"""A proxy between the detector and the local AWS that fails on purpose."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FUNCTION_TIMEOUT_SECONDS = 60
FORWARD_TIMEOUT_SECONDS = FUNCTION_TIMEOUT_SECONDS + 30
FAULTS = ("throttle", "error", "refuse", "drop-answer", "partial", "kill", "kill-after")


class Proxy:
    """Forwards requests to the local AWS; what fails, and how, is drawn from a seed.

    About one request in 1 / `share` begins a fault, and each kind comes once before one comes again: few requests, as
    where a busy machine makes few large batches, meet all of them too. A fault lasts for several requests of an
    operation: single ones are mended by the client's own retries. `kinesis` is where the streams are.
    """

    def __init__(self, upstream: str, seed: int, kinesis: str | None = None) -> None:
        self.upstream, self.kinesis = urlsplit(upstream), urlsplit(kinesis or upstream)
        self.is_down = False
        self.share = 0.0
        self.injected: Counter[str] = Counter()
        self._rng = random.Random(seed)
        self._lock = threading.Lock()
        self._left: Counter[str] = Counter()
        self._how: dict[str, str] = {}
        self._progress = 0.0
        self._next: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                proxy.serve(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_one

            def log_message(self, *_of: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fault(self, operation: str) -> str | None:
        with self._lock:
            if self.is_down:
                how: str | None = "refuse"
            elif self._left[operation]:
                self._left[operation] -= 1
                how = self._how[operation]
            elif self._begins():
                self._next = self._next or self._rng.sample(FAULTS, len(FAULTS))
                how = self._how[operation] = self._next.pop()
                self._left[operation] = 0 if how.startswith("kill") else self._rng.randrange(12)
            else:
                return None
            self.injected[f"{how} {operation}"] += 1
            return how

    def _begins(self) -> bool:
        self._progress += self.share * self._rng.uniform(0.5, 1.5)
        begins = self._progress >= 1
        self._progress -= begins
        return begins

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        operation = request.headers.get("X-Amz-Target", f"S3.{request.command}").rpartition(".")[2]
        how = self.fault(operation)
        if how == "kill":
            kill_owner(request.client_address[1])
        if how in {"refuse", "kill"}:
            request.close_connection = True
        elif how == "throttle":
            name = "ProvisionedThroughputExceededException"
            self._answer(
                request,
                400,
                json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{name}", "message": ""}),
            )
        elif how == "error":
            self._answer(request, 500, json.dumps({"__type": "InternalServerError", "message": ""}))
        elif how == "partial" and operation in {"BatchWriteItem", "PutEvents"}:
            self._partial(request, operation, json.loads(body))
        else:
            status, headers, answer = self._forward(request, body)
            if how == "kill-after":
                kill_owner(request.client_address[1])
            if how in {"drop-answer", "kill-after"}:
                request.close_connection = True
            else:
                self._answer(request, status, answer, headers)

    def _partial(self, request: BaseHTTPRequestHandler, operation: str, asked: Any) -> None:
        """Half of a batch goes through."""
        if operation == "PutEvents":
            entries = asked["Entries"]
            status, _, answer = self._forward(request, json.dumps({"Entries": entries[::2]}).encode())
            done = iter(json.loads(answer)["Entries"]) if status == 200 else iter(())
            failed = {"ErrorCode": "ThrottlingException", "ErrorMessage": "injected"}
            results = [next(done, failed) if i % 2 == 0 else failed for i in range(len(entries))]
            count = sum("ErrorCode" in result for result in results)
            self._answer(request, 200, json.dumps({"FailedEntryCount": count, "Entries": results}))
            return
        ((table, requests),) = asked["RequestItems"].items()
        if requests[::2]:
            forwarded = json.dumps({"RequestItems": {table: requests[::2]}}).encode()
            status, headers, answer = self._forward(request, forwarded)
            if status != 200:
                self._answer(request, status, answer, headers)
                return
        left = {table: requests[1::2]} if requests[1::2] else {}
        self._answer(request, 200, json.dumps({"UnprocessedItems": left}))

    def _forward(
        self, request: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        is_kinesis = request.headers.get("X-Amz-Target", "").startswith("Kinesis_")
        upstream = self.kinesis if is_kinesis else self.upstream
        connection = http.client.HTTPConnection(
            str(upstream.hostname), upstream.port, timeout=FORWARD_TIMEOUT_SECONDS
        )
        kept = {k: v for k, v in request.headers.items() if k.lower() not in {"content-length", "expect"}}
        try:
            connection.request(
                request.command, request.path, body, {**kept, "Content-Length": str(len(body))}
            )
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        except OSError:
            return 503, [], b"{}"
        finally:
            connection.close()

    @staticmethod
    def _answer(
        request: BaseHTTPRequestHandler,
        status: int,
        body: str | bytes,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        data = body.encode() if isinstance(body, str) else body
        request.send_response(status)
        for name, value in headers:
            if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        try:
            request.wfile.write(data)
        except OSError:
            request.close_connection = True


def kill_owner(port: int) -> None:
    """Kill the process at the other end of a connection, a function in the middle of its batch."""
    connections = Path("/proc/net/tcp").read_text().splitlines()[1:]
    inodes = {f"socket:[{of[9]}]" for of in map(str.split, connections) if of[1].endswith(f":{port:04X}")}
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            is_owner = str(link.readlink()) in inodes
        except OSError:
            continue
        pid = int(link.parts[2])
        if is_owner and pid != os.getpid() and b"_worker.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
            return
