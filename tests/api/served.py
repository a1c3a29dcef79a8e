"""The API on moto's stores behind a real HTTP server, as API Gateway and the front door serve it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

from aws_lambda_powertools.utilities.typing import LambdaContext

from api.app import create_app
from api.event import normalized
from api.services import Services
from tests.http_server import Handler, serving

Failure = Callable[[str], tuple[int, dict[str, str]] | None]
"""Given a path and query: what to return in the API's place (a status of 0: cut the connection), None for nothing."""


MOST_REQUESTS = 200


def _never(_path: str) -> None:
    return None


@contextmanager
def served(services: Services, fails: Failure = _never) -> Iterator[tuple[str, list[str]]]:
    """Serve the API under /api of a free port; yield its address, and the requests that came, as they come."""
    app, requests, turn = create_app(services), list[str](), threading.Lock()

    class ApiHandler(Handler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._respond("GET")

        def do_POST(self) -> None:
            self._respond("POST")

        def _respond(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            requests.append(f"{method} {self.path}")
            # A test that follows what never comes is to end.
            failure = (410, {}) if len(requests) > MOST_REQUESTS else fails(self.path)
            if failure is not None:
                status, headers = failure
                if not status:
                    self.close_connection = True
                    return
                self.answer(status, headers=headers)
                return
            url = urlsplit(self.path)
            event = {
                "path": url.path.removeprefix("/api"),
                "httpMethod": method,
                "headers": dict(self.headers),
                "multiValueQueryStringParameters": parse_qs(url.query, keep_blank_values=True) or None,
                "body": body or None,
            }
            with turn:  # as a function does one request at a time
                result = app.resolve(normalized(event), LambdaContext())
            headers = {name: values[0] for name, values in result["multiValueHeaders"].items()}
            self.answer(result["statusCode"], result["body"].encode(), headers)

    with serving(ApiHandler) as address:
        yield f"{address}/api", requests
