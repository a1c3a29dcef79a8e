"""A vendor of a channel: a server that answers as a test tells it to."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer

from consumers.alerts import channels
from consumers.alerts.channels import Channel, Setup
from tests.consumers.alerts.bench import T0_MS
from tests.http_server import Handler

SECRET = "sesame-0123456789"  # what must be in no error


@dataclass
class Answer:
    """What the server answers: a status, a body, headers; `cut` announces more than it sends."""

    status: int
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    wait_seconds: float = 0.0


class Vendor:
    """A server that answers as it is told to, and keeps what it got."""

    def __init__(self) -> None:
        self.answer = Answer(200)
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.methods: list[str] = []
        vendor = self

        class VendorHandler(Handler):
            def do_PATCH(self) -> None:
                self.do_POST()

            def do_PUT(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                vendor.methods.append(self.command)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                vendor.got.append((self.path, dict(self.headers), body))
                answer = vendor.answer
                time.sleep(answer.wait_seconds)
                self.send_response_only(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body) + 100 * answer.cut))
                self.end_headers()
                self.wfile.write(answer.body.encode())

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), VendorHandler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def channel(self, name: str) -> Channel:
        """Return a channel that is set up with this server."""
        declared = channels.declared(name)
        settings = {key: self.url if key == "url" else "-100123" for key in declared.settings}
        secrets = dict.fromkeys(declared.secrets, SECRET)
        if "webhook_url" in secrets:
            secrets["webhook_url"] = f"{self.url}/hooks/{SECRET}"
        return declared(Setup(settings, secrets, lambda: T0_MS))

    def json(self) -> object:
        """Return what was posted last."""
        return json.loads(self.got[-1][2])
