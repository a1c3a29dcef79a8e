"""The Lambda Runtime API for one function's process (AWS, "Using the Lambda runtime API for custom runtimes")."""

from __future__ import annotations

import queue
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

_NEXT = "/2018-06-01/runtime/invocation/next"
_INIT_ERROR = "/2018-06-01/runtime/init/error"


class Event(NamedTuple):
    """What a process is given to do."""

    request_id: str
    function_arn: str
    payload: bytes
    timeout_seconds: int


class Result(NamedTuple):
    """What a process answered."""

    request_id: str
    body: bytes
    is_error: bool


class RuntimeApi:
    """A server on a free port of 127.0.0.1.

    `events` is what the process will be given, `results` what it answered. `ready` is set when it asks for its first
    event or reports that it cannot start; then `init_error` holds its report.
    """

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self.results: queue.SimpleQueue[Result] = queue.SimpleQueue()
        self.ready = threading.Event()
        self.init_error = b""
        self._server = _Server(self)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        """host:port, the value of AWS_LAMBDA_RUNTIME_API."""
        return f"127.0.0.1:{self._server.server_port}"

    def expect_process(self) -> None:
        """Forget the process before: a request of it that still waits must not take the next one's event."""
        waiting, self.events = self.events, queue.SimpleQueue()
        waiting.put(None)
        self.ready.clear()
        self.init_error = b""

    def close(self) -> None:
        """End the server."""
        self.events.put(None)
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, api: RuntimeApi) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.api = api

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A process that is ended by force leaves requests behind; that is not worth a traceback."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        api = self.server.api
        if self.path != _NEXT:
            self._send(404)
            return
        api.ready.set()
        event = api.events.get()
        if event is None:
            self._send(500)
            return
        headers = {
            "Lambda-Runtime-Aws-Request-Id": event.request_id,
            "Lambda-Runtime-Invoked-Function-Arn": event.function_arn,
            "Lambda-Runtime-Trace-Id": "",
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + event.timeout_seconds) * 1000)),
            "Content-Type": "application/json",
        }
        self._send(200, event.payload, headers)

    def do_POST(self) -> None:
        api, body, parts = self.server.api, self._body(), self.path.split("/")
        if self.path == _INIT_ERROR:
            api.init_error = body
            api.ready.set()
        elif parts[-3:-2] == ["invocation"]:
            api.results.put(Result(parts[-2], body, parts[-1] == "error"))
        else:
            self._send(404)
            return
        self._send(202, b"{}")

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length")
        return self.rfile.read(int(length)) if length is not None else b"".join(self._chunks())

    def _chunks(self) -> list[bytes]:
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return chunks

    def _send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
