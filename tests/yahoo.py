"""Yahoo Finance on this machine, for the real package yfinance: its hosts, over TLS, behind a proxy.

yfinance calls Yahoo's own addresses, so this is where a proxy of the environment leads them (`HTTPS_PROXY`), with a
certificate that the environment trusts (`REQUESTS_CA_BUNDLE`), as those of a company do. The forms of the answers:

- chart: https://query1.finance.yahoo.com/v8/finance/chart/NFLX?interval=1m&range=1d, as of 2025-12-05
- a ticker that it does not know: status 404, "No data found, symbol may be delisted"
- cookie and crumb: yfinance/data.py, `_get_cookie_basic`, `_get_crumb_basic`; fc.yahoo.com sets the cookie with a 404
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.json_types import Json

HOSTS = (
    "query1.finance.yahoo.com", "query2.finance.yahoo.com", "finance.yahoo.com", "fc.yahoo.com",
    "guce.yahoo.com", "consent.yahoo.com",
)  # fmt: skip
UNKNOWN: Json = {
    "chart": {
        "result": None,
        "error": {"code": "Not Found", "description": "No data found, symbol may be delisted"},
    }
}


class Answer(NamedTuple):
    """What is answered for a chart; `header` is one more, `pause_s` is waited for after each byte."""

    status: int
    body: bytes
    type: str = "application/json"
    header: tuple[str, str] | None = None
    pause_s: float = 0.0


Chart = Callable[[str, Json], Answer]


def answer(body: object, status: int = 200) -> Answer:
    """Return a JSON answer."""
    return Answer(status, json.dumps(body).encode())


def chart(ticker: str, price: float | None, at: float, bars: list[tuple[int, float, float]]) -> Json:
    """Return Yahoo's chart of a ticker: `bars` are minutes (epoch s), open and close."""
    quote = {
        "open": [first for _, first, _ in bars],
        "high": [max(first, last) for _, first, last in bars],
        "low": [min(first, last) for _, first, last in bars],
        "close": [last for *_, last in bars],
        "volume": [100 for _ in bars],
    }
    period = {"timezone": "EST", "start": int(at) - 3600, "end": int(at) + 3600, "gmtoffset": -18000}
    meta = {
        "currency": "USD", "symbol": ticker, "exchangeName": "NMS", "fullExchangeName": "NasdaqGS",
        "instrumentType": "EQUITY", "firstTradeDate": 345479400, "regularMarketTime": int(at),
        "hasPrePostMarketData": True, "gmtoffset": -18000, "timezone": "EST",
        "exchangeTimezoneName": "America/New_York", "regularMarketPrice": price,
        "regularMarketVolume": int(at) % 86_400 * 10, "chartPreviousClose": price, "priceHint": 2,
        "currentTradingPeriod": {"pre": period, "regular": period, "post": period}, "dataGranularity": "1m",
        "range": "1d", "validRanges": ["1d", "5d", "1mo", "max"],
    }  # fmt: skip
    result = {"meta": meta, "timestamp": [ts for ts, *_ in bars], "indicators": {"quote": [quote]}}
    if not bars:
        del result["timestamp"]
    return {"chart": {"result": [result], "error": None}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_CONNECT(self) -> None:
        host, _, port = self.path.partition(":")
        if host not in HOSTS and not self.server.is_open:
            self.send_error(403, f"{host} is not Yahoo's")
            return
        other = None if host in HOSTS else socket.create_connection((host, int(port)), timeout=10)
        self.send_response(200, "Connection established")
        self.end_headers()
        if other:
            self._tunnel(other)
            return
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)
        self.host, self.close_connection = host, False

    def _tunnel(self, other: socket.socket) -> None:
        def copy(source: socket.socket, target: socket.socket) -> None:
            with suppress(OSError):
                while part := source.recv(65_536):
                    target.sendall(part)
            with suppress(OSError):
                target.shutdown(socket.SHUT_WR)

        other.settimeout(None)
        back = threading.Thread(target=copy, args=(other, self.connection), daemon=True)
        back.start()
        copy(self.connection, other)
        back.join()
        other.close()
        self.close_connection = True

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.server.calls.append(f"{self.host}{url.path}")
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        if self.host == "fc.yahoo.com":
            expires = (datetime.now(UTC) + timedelta(days=365)).strftime("%a, %d %b %Y %H:%M:%S GMT")
            cookie = f"A3=d=1; Expires={expires}; Domain=.yahoo.com; Path=/; Secure"
            self._send(Answer(404, b"", header=("Set-Cookie", cookie)))
        elif url.path == "/v1/test/getcrumb":
            self._send(Answer(200, b"cRuMb", "text/plain"))
        elif url.path.startswith("/v8/finance/chart/"):
            self._send(self.server.chart(unquote(url.path.rpartition("/")[2]), asked))
        else:  # a page of consent without a form, as https://guce.yahoo.com/consent is outside of Europe
            self._send(Answer(200, b"<!DOCTYPE html><html><body></body></html>", "text/html"))

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()
        self.connection.close()  # the one over TLS, which the server does not know

    def _send(self, answered: Answer) -> None:
        self.send_response(answered.status)
        self.send_header("Content-Type", answered.type)
        self.send_header("Content-Length", str(len(answered.body)))
        if answered.header:
            self.send_header(*answered.header)
        with suppress(OSError):  # a client that no longer waits
            self.end_headers()
            if not answered.pause_s:
                self.wfile.write(answered.body)
                return
            for byte in answered.body:
                self.wfile.write(bytes([byte]))
                time.sleep(answered.pause_s)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    context: ssl.SSLContext
    chart: Chart
    calls: list[str]
    is_open: bool

    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that went."""


class Yahoo:
    """Yahoo's hosts behind a proxy of this machine, until closed; its certificate is in `folder`.

    The proxy leads to no other host, unless `is_open`: what installs packages needs its own.
    """

    def __init__(self, folder: Path, chart: Chart, *, is_open: bool = False) -> None:
        authority, certificate = _certificate(folder)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._server.context.load_cert_chain(certificate)
        self._server.chart = chart
        self._server.is_open = is_open
        self._server.calls = self.calls = list[str]()
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.environment = {
            "HTTPS_PROXY": f"http://127.0.0.1:{self._server.server_address[1]}",
            "REQUESTS_CA_BUNDLE": str(authority),
        }

    @property
    def chart(self) -> Chart:
        """What answers for a ticker with what is asked; may be set."""
        return self._server.chart

    @chart.setter
    def chart(self, answers: Chart) -> None:
        self._server.chart = answers

    def close(self) -> None:
        """End the servers."""
        self._server.shutdown()
        self._server.server_close()


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Write an authority's certificate, and the key and certificate of Yahoo's hosts by it, for a day."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("this machine's CA", "Yahoo")
    ]
    now = datetime.now(UTC)
    hosts = x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS])
    made = []
    for key, name, extension in zip(keys, names, (x509.BasicConstraints(True, 0), hosts), strict=True):
        builder = x509.CertificateBuilder(names[0], name, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
        certificate = builder.add_extension(extension, critical=extension is not hosts).sign(
            keys[0], hashes.SHA256()
        )
        made.append(certificate.public_bytes(serialization.Encoding.PEM))
    authority, server = folder / "authority.pem", folder / "yahoo.pem"
    authority.write_bytes(made[0])
    form = serialization.PrivateFormat.PKCS8
    key_text = keys[1].private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    server.write_bytes(key_text + made[1])
    return authority, server
