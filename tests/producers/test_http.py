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
    with pytest.raises(NoReplyError, match="no complete answer in time"):
        client.get(dripping.url, 0.5)
    assert time.monotonic() - began < 25, "all of it would take 45 s and more"
    client.close()


def test_a_poll_has_one_deadline_with_its_retries(dripping: Dripping) -> None:
    source = create("coinbase", {"COINBASE_URL": dripping.url, "POLL_INTERVAL_SECONDS": "1"})
    began = time.monotonic()
    with pytest.raises(SourceError, match=r"coinbase does not answer: no complete answer in time"):
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


def served(answer: bytes) -> Iterator[str]:
    """Yield the address of a server that answers so, whatever it is asked, and closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("answer", "scheme", "said"),
    [
        (b"", "http", "the connection was closed before the answer was complete"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "http", "the connection was closed before"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "http", "the connection was closed"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
            "http",
            "the answer's compr",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", "https", "TLS: "),
    ],
    ids=["none", "cut off", "bad chunk", "not gzip", "no TLS"],
)
def test_an_answer_that_cannot_be_read_is_named_in_words(answer: bytes, scheme: str, said: str) -> None:
    for address in served(answer):
        client = HttpClient(f"{scheme}://{address}", {})
        with pytest.raises(NoReplyError, match=f"^{said}"):
            client.get(f"{scheme}://{address}/?key=s3cr3t", 20)
        client.close()


REFUSED = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"


def test_a_proxy_that_refuses_or_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    for address in served(REFUSED):
        for scheme, proxy, said in (
            ("https", address, "proxy: .*407"),
            ("http", "127.0.0.1:9", "proxy: connection refused$"),
            ("http", "proxy.invalid:3128", "proxy: host name not found$"),
        ):
            monkeypatch.setenv(f"{scheme}_proxy", f"http://who:s3cr3t@{proxy}")
            client = HttpClient(f"{scheme}://data.invalid", {})
            with pytest.raises(NoReplyError, match=f"^{said}") as failed:
                client.get(f"{scheme}://data.invalid/", 20)
            assert "s3cr3t" not in str(failed.value)
            client.close()


@pytest.mark.parametrize(
    ("host", "said"), [("127.0.0.1:9", "connection refused"), ("name.invalid", "host name not found")]
)
def test_a_host_that_is_not_there_is_named_in_words(
    host: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    client = HttpClient(f"http://{host}", {})
    with pytest.raises(NoReplyError, match=f"^{said}$"):
        client.get(f"http://{host}/", 20)
    client.close()
