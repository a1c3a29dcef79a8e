"""Vendors' market data on this machine, with prices that move: `python -m tests.vendors` prints how to use them.

Every answer is that of the vendor's documentation (the tests in tests/producers cite the pages), over HTTP and
WebSocket; as Yahoo they answer behind a proxy, over TLS (tests/yahoo.py). Every key but "wrong" is right, every ticker
but those with NOPE in them is listed.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.http_server import Handler
from tests.json_types import Json
from tests.yahoo import UNKNOWN, Answer, Yahoo, answer, chart


def price_of(name: str, at: float) -> float:
    """Return a price that goes up and down by some basis points."""
    usual = 20.0 + sum(map(ord, name)) % 480
    return round(usual * (1 + 0.0004 * math.sin(at / 7) + 0.0002 * math.sin(at * 1.7)), 2)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _bars(name: str, since: float, until: float) -> list[tuple[int, float, float]]:
    first = int(since // 60) * 60
    return [(at, price_of(name, at), price_of(name, at + 59)) for at in range(first, int(until), 60)]


def _alpaca(path: str, asked: Json, headers: Json) -> tuple[int, object]:
    if headers.get("apca-api-key-id") == "wrong" or "apca-api-key-id" not in headers:
        return 401, {"message": "unauthorized."}
    names, now = [name for name in asked["symbols"].split(",") if "NOPE" not in name], time.time()
    if path.endswith("/bars"):
        since, until = (datetime.fromisoformat(asked[of]).timestamp() for of in ("start", "end"))
        bars = {
            name: [
                {"t": _iso(at), "o": first, "h": max(first, last), "l": min(first, last), "c": last, "v": 100}
                for at, first, last in _bars(name, since, min(until, now))
            ]
            for name in names
        }
        return 200, {"bars": bars, "next_page_token": None}
    found = {
        name: {
            "latestTrade": {"t": _iso(now), "p": price_of(name, now), "s": 100},
            "latestQuote": {
                "t": _iso(now),
                "bp": price_of(name, now) - 0.01,
                "ap": price_of(name, now) + 0.01,
            },
            "dailyBar": {"t": _iso(now), "v": int(now) % 86_400 * 10},
        }
        for name in names
    }
    return 200, {"snapshots": found} if "crypto" in path else found


def _coinbase(path: str, asked: Json) -> tuple[int, object]:
    product, now = path.split("/")[2], time.time()
    if "NOPE" in product:
        return 404, {"message": "NotFound"}
    if path.endswith("/candles"):
        since, until = (datetime.fromisoformat(asked[of]).timestamp() for of in ("start", "end"))
        return 200, [
            [at, min(a, b), max(a, b), a, b, 1.5] for at, a, b in _bars(product, since, min(until, now))
        ]
    price = price_of(product, now)
    return 200, {
        "ask": f"{price + 0.01:.2f}", "bid": f"{price - 0.01:.2f}", "volume": "1000.5", "trade_id": 1,
        "price": f"{price:.2f}", "size": "0.01", "time": _iso(now),
    }  # fmt: skip


def _kraken(path: str, asked: Json) -> tuple[int, object]:
    now = time.time()
    pairs = {f"X{base}Z{quote}": (base, quote) for base in ("XBT", "ETH", "SOL") for quote in ("USD", "EUR")}
    if path.endswith("/AssetPairs"):
        listed = {
            key: {"altname": base + quote, "wsname": f"{base}/{quote}"}
            for key, (base, quote) in pairs.items()
        }
        return 200, {"error": [], "result": listed}
    if path.endswith("/OHLC"):
        key = asked["pair"]
        rows = [
            [at, f"{a}", f"{max(a, b)}", f"{min(a, b)}", f"{b}", f"{b}", "1.5", 3]
            for at, a, b in _bars(key, float(asked.get("since", now - 43_200)), now)
        ]
        return 200, {"error": [], "result": {key: rows, "last": int(now)}}
    names = asked["pair"].split(",")
    if any(name not in pairs for name in names):
        return 200, {"error": ["EQuery:Unknown asset pair"]}
    found: Json = {}
    for name in names:
        price = price_of(name, now)
        found[name] = {
            "a": [f"{price + 0.01:.2f}", "1", "1.0"], "b": [f"{price - 0.01:.2f}", "1", "1.0"],
            "c": [f"{price:.2f}", "0.1"], "v": [f"{now % 86_400:.1f}", "9999"],
        }  # fmt: skip
    return 200, {"error": [], "result": found}


def _finnhub(asked: Json, headers: Json) -> tuple[int, object]:
    if headers.get("x-finnhub-token", "wrong") == "wrong":
        return 401, {"error": "Invalid API key"}
    now = time.time()
    if "NOPE" in asked["symbol"]:
        return 200, {"c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0}
    return 200, {"c": price_of(asked["symbol"], now), "t": int(now)}


def _yahoo(ticker: str, asked: Json) -> Answer:
    now = time.time()
    if "NOPE" in ticker:
        return answer(UNKNOWN, 404)
    since, until = (float(asked.get(of, now)) for of in ("period1", "period2"))
    return answer(chart(ticker, price_of(ticker, now), now, _bars(ticker, since, min(until, now))))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    is_revoked = False


class _Handler(Handler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        headers = {name.lower(): value for name, value in self.headers.items() if not self.server.is_revoked}
        vendor, _, path = url.path.lstrip("/").partition("/")
        path = f"/{path}"
        status, answer = {
            "alpaca": lambda: _alpaca(path, asked, headers),
            "coinbase": lambda: _coinbase(path, asked),
            "kraken": lambda: _kraken(path, asked),
            "finnhub": lambda: _finnhub(asked, headers),
        }[vendor]()
        self.answer(status, json.dumps(answer).encode(), {"Content-Type": "application/json"})


def _messages(vendor: str, name: str) -> list[object]:
    now = time.time()
    price = price_of(name, now)
    if vendor == "coinbase":
        tick = {"type": "ticker", "product_id": name, "price": f"{price}", "time": _iso(now)}
        return [{**tick, "best_bid": f"{price - 0.01:.2f}", "best_ask": f"{price + 0.01:.2f}"}]
    if vendor == "kraken":
        data = {
            "symbol": name,
            "bid": price - 0.01,
            "ask": price + 0.01,
            "last": price,
            "volume": now % 86_400,
        }
        return [{"channel": "ticker", "type": "update", "data": [{**data, "timestamp": _iso(now)}]}]
    if vendor == "finnhub":
        return [{"type": "trade", "data": [{"p": price, "s": name, "t": int(now * 1000), "v": 1}]}]
    quote = {"T": "q", "S": name, "bp": price - 0.01, "ap": price + 0.01, "t": _iso(now)}
    return [[{"T": "t", "S": name, "p": price, "s": 1, "t": _iso(now)}, quote]]


def _names(message: Json) -> list[str]:
    """Return what a message asks for: each vendor has a field of its own."""
    asked = message.get("product_ids") or message.get("params", {}).get("symbol") or message.get("trades")
    return [name for name in asked or [message.get("symbol", "")] if name and "NOPE" not in name]


def _stream(connection: ServerConnection) -> None:
    path = connection.request.path if connection.request else ""
    vendor = path.strip("/").partition("?")[0].partition("/")[0]
    subscribed: set[str] = set()
    with suppress(ConnectionClosed, OSError):
        if vendor == "alpaca":
            connection.send('[{"T":"success","msg":"connected"}]')
        while True:
            with suppress(TimeoutError):
                message = json.loads(connection.recv(timeout=0.3))
                what = message.get("type") or message.get("action") or message.get("method")
                if what == "auth":
                    is_wrong = "wrong" in (message["key"], message["secret"])
                    said = {"T": "error", "code": 402, "msg": "auth failed"}
                    said = said if is_wrong else {"T": "success", "msg": "authenticated"}
                    connection.send(json.dumps([said]))
                elif what == "subscribe":
                    subscribed.update(_names(message))
                elif what == "unsubscribe":
                    subscribed.difference_update(_names(message))
            for name in sorted(subscribed):
                for told in _messages(vendor, name):
                    connection.send(json.dumps(told))


class Vendors:
    """All of them, on three ports of this machine, until closed."""

    def __init__(self) -> None:
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._streams = serve(_stream, "127.0.0.1", 0)
        self._folder = tempfile.TemporaryDirectory()
        self._yahoo = Yahoo(Path(self._folder.name), _yahoo, is_open=True)
        for server in (self._http, self._streams):
            threading.Thread(target=server.serve_forever, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead the sources here, and keys."""
        http = f"http://127.0.0.1:{self._http.server_address[1]}"
        stream = f"ws://127.0.0.1:{self._streams.socket.getsockname()[1]}"
        return {
            "APCA_API_KEY_ID": "PK1", "APCA_API_SECRET_KEY": "s3cr3t", "APCA_API_DATA_URL": f"{http}/alpaca",
            "ALPACA_STREAM_URL": f"{stream}/alpaca", "ALPACA_CRYPTO_STREAM_URL": f"{stream}/alpaca",
            "COINBASE_URL": f"{http}/coinbase", "COINBASE_STREAM_URL": f"{stream}/coinbase",
            "KRAKEN_URL": f"{http}/kraken", "KRAKEN_STREAM_URL": f"{stream}/kraken",
            "FINNHUB_API_KEY": "k1", "FINNHUB_URL": f"{http}/finnhub", "FINNHUB_STREAM_URL": f"{stream}/finnhub",
            **self._yahoo.environment,
        }  # fmt: skip

    def revoke_keys(self) -> None:
        """Take every key for a wrong one from now on."""
        self._http.is_revoked = True

    def close(self) -> None:
        """End the servers."""
        self._http.shutdown()
        self._http.server_close()
        self._streams.shutdown()
        self._yahoo.close()
        self._folder.cleanup()


if __name__ == "__main__":
    made = Vendors()
    lines = [f"export {variable}={value}" for variable, value in made.environment.items()]
    sys.stdout.write(
        "\n".join([*lines, "# then: make up SOURCE=coinbase TICKERS=BTC-USD; Ctrl-C ends the vendors", ""])
    )
    sys.stdout.flush()
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
    made.close()
