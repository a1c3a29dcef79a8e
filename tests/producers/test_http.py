"""A call has one deadline, whatever drips, and goes through the environment's proxy."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from producers.http import HttpClient, NoReplyError
from producers.polling import poll
from producers.source import SourceError
from producers.sources import create
from tests.producers.fakes import Reply, VendorStub

BODY = b'{"price": "1", "time": "2025-04-01T13:00:00Z"}'
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class Dripping:
    """A server that sends what it has to say byte by byte, from some byte on."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        try:
            client.recv(65536)
            client.sendall(WHOLE[: self._at_once])
            for byte in WHOLE[self._at_once :]:
                time.sleep(1)
                client.sendall(bytes([byte]))
        except OSError:
            return  # the client has gone


@pytest.fixture(params=[0, 20, len(WHOLE) - len(BODY)], ids=["status", "headers", "body"])
def dripping(request: pytest.FixtureRequest) -> Iterator[Dripping]:
    server = Dripping(request.param)
    yield server
    server.close()


def test_an_answer_that_drips_ends_at_the_deadline(dripping: Dripping) -> None:
    client = HttpClient(dripping.url, {})
    began = time.monotonic()
    with pytest.raises(NoReplyError, match="Timeout"):
        client.get(dripping.url, 0.5)
    assert time.monotonic() - began < 25, "all of it would take 45 s and more"
    client.close()


def test_a_poll_has_one_deadline_with_its_retries(dripping: Dripping) -> None:
    source = create("coinbase", {"COINBASE_URL": dripping.url, "POLL_INTERVAL_SECONDS": "1"})
    began = time.monotonic()
    with pytest.raises(SourceError, match=r"coinbase does not answer: .*Timeout"):
        poll("coinbase", source, ["BTC-USD"], 1)
    assert time.monotonic() - began < 25


OK: Reply = (200, {}, BODY)


def test_the_proxy_of_the_environment_is_asked(vendor: VendorStub, monkeypatch: pytest.MonkeyPatch) -> None:
    vendor.script(OK)
    monkeypatch.setenv("http_proxy", vendor.url.replace("//", "//who:s3cr3t%21@"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    client = HttpClient("http://data.example.invalid", {})
    assert client.get("http://data.example.invalid/v2/quotes", 5).status == 200
    assert vendor.calls[0].path == "/v2/quotes"
    assert vendor.calls[0].headers["host"] == "data.example.invalid"
    assert vendor.calls[0].headers["proxy-authorization"] == "Basic d2hvOnMzY3IzdCE="
    client.close()


def test_what_the_environment_exempts_is_called_directly(
    vendor: VendorStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor.script(OK)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    client = HttpClient(vendor.url, {})
    assert client.get(vendor.url, 5).status == 200
    client.close()
