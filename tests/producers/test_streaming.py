"""Streams against a WebSocket server that says what the vendors' documentation says, and fails as networks do."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import cast

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from producers.polling import poll
from producers.quote_batch import Quote, QuoteBatch
from producers.source import HasConnection, Missing, Source, SourceError
from producers.sources import create
from producers.streaming import StreamSource
from tests.json_types import Json

NOW_MS = 1_743_512_405_000
Answer = Callable[[ServerConnection, Json], None]
KEYS = {"APCA_API_KEY_ID": "PK1", "APCA_API_SECRET_KEY": "s3cr3t", "FINNHUB_API_KEY": "s3cr3t"}


class Exchange:
    """A vendor's WebSocket server; `answer` is called with every message, `greeting` is sent first.

    `rejects` is what it answers in place of a connection.
    """

    def __init__(self) -> None:
        self.answer: Answer = lambda _connection, _message: None
        self.greeting = ""
        self.received: list[Json] = []
        self.connections: list[ServerConnection] = []
        self.paths: list[str] = []
        self.rejects: Response | None = None
        self.requests = 0
        self._server: Server = serve(self._serve, "127.0.0.1", 0, process_request=self._process)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def _process(self, _connection: ServerConnection, _request: Request) -> Response | None:
        self.requests += 1
        return self.rejects

    def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        self.paths.append(connection.request.path if connection.request else "")
        with suppress(ConnectionClosed, OSError):
            if self.greeting:
                connection.send(self.greeting)
            for text in connection:
                message = json.loads(text)
                self.received.append(message)
                self.answer(connection, message)

    def cut(self) -> None:
        """End the newest connection as a network does: without a word."""
        self.connections[-1].socket.close()

    def close(self) -> None:
        self._server.shutdown()


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    made = Exchange()
    yield made
    made.close()


@pytest.fixture
def stream(exchange: Exchange) -> Iterator[Callable[[str], Source]]:
    made: list[Source] = []

    def make(name: str) -> Source:
        environment = {**KEYS, "POLL_INTERVAL_SECONDS": "5", f"{name.upper()}_STREAM_URL": exchange.url}
        made.append(create(name, environment, "stream"))
        return made[-1]

    yield make
    for source in made:
        assert isinstance(source, HasConnection)
        source.close()


def sample(name: str, source: Source, symbols: list[str], seconds: float = 20.0) -> QuoteBatch:
    """Sample until every symbol has a quote, or the time is up."""
    until = time.monotonic() + seconds
    while True:
        with suppress(SourceError):
            batch = poll(name, source, symbols, NOW_MS)
            if not batch.missing or time.monotonic() > until:
                return batch
        assert time.monotonic() < until, "no quotes came"
        time.sleep(0.05)


def coinbase(price: str = "4388.01") -> Answer:
    """As in docs.cdp.coinbase.com/exchange/websocket-feed/channels, "Ticker Channel" and "Heartbeat Channel"."""

    def answer(connection: ServerConnection, message: Json) -> None:
        if message["type"] != "subscribe":
            return
        (product,) = message["product_ids"]
        if product.startswith("NOPE"):
            error = {
                "type": "error",
                "message": "Failed to subscribe",
                "reason": f"{product} is not a valid product",
            }
            connection.send(json.dumps(error))
            return
        connection.send(json.dumps({"type": "subscriptions", "channels": []}))
        connection.send(
            json.dumps({"type": "heartbeat", "product_id": product, "time": "2025-04-01T13:00:00Z"})
        )
        ticker = {
            "type": "ticker", "trade_id": 20153558, "sequence": 3262786978, "time": "2025-04-01T13:00:00.546Z",
            "product_id": product, "price": price, "side": "buy", "last_size": "0.03", "best_bid": "4388",
            "best_ask": "4388.01",
        }  # fmt: skip
        connection.send(json.dumps(ticker))

    return answer


def kraken(connection: ServerConnection, message: Json) -> None:
    """As in docs.kraken.com/exchange/api-reference/spot-websocket-v2/ticker."""
    if message["method"] != "subscribe":
        return
    for pair in message["params"]["symbol"]:
        said: Json = {
            "method": "subscribe",
            "success": True,
            "result": {"channel": "ticker", "symbol": pair},
        }
        if pair.startswith("NOPE"):
            error = f"Currency pair not supported {pair}"
            said = {"error": error, "method": "subscribe", "success": False, "symbol": pair}
        connection.send(json.dumps(said))
        tick = {
            "symbol": pair, "bid": 0.10025, "bid_qty": 740.0, "ask": 0.10036, "ask_qty": 1361.4, "last": 0.10035,
            "volume": 997038.9, "vwap": 0.10148, "low": 0.09979, "high": 0.10285, "change": -0.00017,
            "timestamp": "2025-04-01T13:00:00.546Z",
        }  # fmt: skip
        if not pair.startswith("NOPE"):
            connection.send(json.dumps({"channel": "ticker", "type": "snapshot", "data": [tick]}))
    connection.send(json.dumps({"channel": "heartbeat"}))


def alpaca(connection: ServerConnection, message: Json) -> None:
    """As in docs.alpaca.markets/docs/streaming-market-data and .../real-time-stock-pricing-data."""
    if message["action"] == "auth":
        is_right = (message["key"], message["secret"]) == ("PK1", "s3cr3t")
        said = (
            {"T": "success", "msg": "authenticated"}
            if is_right
            else {"T": "error", "code": 402, "msg": "auth failed"}
        )
        connection.send(json.dumps([said]))
    elif message["action"] == "subscribe":
        assert message["trades"] == message["quotes"]
        for ticker in message["trades"]:
            trade = {
                "T": "t",
                "i": 96921,
                "S": ticker,
                "x": "D",
                "p": 126.55,
                "s": 1,
                "t": "2025-04-01T13:00:00.5Z",
            }
            quote = {
                "T": "q",
                "S": ticker,
                "bp": 126.5,
                "ap": 126.6,
                "bs": 1,
                "as": 1,
                "t": "2025-04-01T13:00:00.546Z",
            }
            connection.send(json.dumps([quote]))
            connection.send(json.dumps([trade, quote]))


def finnhub(connection: ServerConnection, message: Json) -> None:
    """As in finnhub.io/docs/api/websocket-trades."""
    if message["type"] == "subscribe":
        connection.send(json.dumps({"type": "ping"}))
        trade = {"p": 7296.89, "s": message["symbol"], "t": 1_743_512_400_546, "v": 0.011467}
        connection.send(json.dumps({"data": [trade], "type": "trade"}))


VENDORS: dict[str, tuple[Answer, str, tuple[float, float | None, float | None]]] = {
    "coinbase": (coinbase(), "BTC/USD", (4388.01, 4388.0, 4388.01)),
    "kraken": (kraken, "BTC-USD", (0.10035, 0.10025, 0.10036)),
    "alpaca": (alpaca, "AAPL", (126.55, 126.5, 126.6)),
    "finnhub": (finnhub, "BINANCE:BTCUSDT", (7296.89, None, None)),
}


@pytest.mark.parametrize("name", VENDORS)
def test_a_sample_holds_the_newest_quote(
    name: str, exchange: Exchange, stream: Callable[[str], Source]
) -> None:
    exchange.answer, symbol, expected = VENDORS[name]
    batch = sample(name, stream(name), [symbol])
    assert (batch.source, batch.symbol) == (name, [symbol])
    assert (batch.price[0], batch.bid[0], batch.ask[0]) == expected
    assert batch.quote_ts == [1_743_512_400_546]


@pytest.mark.parametrize(("name", "wrong"), [("coinbase", "NOPE-USD"), ("kraken", "NOPE/USD")])
def test_a_ticker_that_is_not_listed_costs_no_other(
    name: str, wrong: str, exchange: Exchange, stream: Callable[[str], Source]
) -> None:
    exchange.answer, symbol, _ = VENDORS[name]
    source = stream(name)
    sample(name, source, [symbol])
    batch = poll(name, source, [symbol, wrong], NOW_MS)
    assert (batch.symbol, batch.missing) == ([symbol], [wrong])
    assert "one is written like" in batch.reasons[wrong]


@pytest.mark.parametrize(
    ("wrong", "error", "reason"),
    [
        # https://github.com/finnhubio/Finnhub-API/issues/472, and before 2021 issue 20
        ("OANDA:EUR_USD", "Invalid symbol OANDA:EUR_USD", "finnhub streams no such ticker"),
        ("MONKEY", "Invalid symbol MONKEY", "finnhub streams no such ticker"),
        ("NOPE", "Invalid symbol", "no quote of it came yet"),
    ],
)
def test_a_ticker_that_finnhub_rejects_costs_no_other(
    wrong: str, error: str, reason: str, exchange: Exchange, stream: Callable[[str], Source]
) -> None:
    def answer(connection: ServerConnection, message: Json) -> None:
        if message["symbol"] == wrong:
            connection.send(json.dumps({"msg": error, "type": "error"}))
        else:
            finnhub(connection, message)

    exchange.answer = answer
    source = stream("finnhub")
    sample("finnhub", source, ["AAPL"])
    batch = poll("finnhub", source, ["AAPL", wrong], NOW_MS)
    assert (batch.symbol, batch.missing) == (["AAPL"], [wrong])
    assert batch.reasons[wrong].startswith(reason)
    assert len(exchange.connections) == 1


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("XRP-USD is delisted", "coinbase says: Failed to subscribe XRP-USD is delisted"),
        # https://github.com/coinbase/coinbase-pro-node/issues/174
        ("Invalid product ID provided", "no quote of it came yet"),
    ],
)
def test_a_product_that_coinbase_rejects_for_any_reason_costs_no_other(
    reason: str, said: str, exchange: Exchange, stream: Callable[[str], Source]
) -> None:
    def answer(connection: ServerConnection, message: Json) -> None:
        if message["product_ids"] == ["XRP-USD"]:
            error = {"type": "error", "message": "Failed to subscribe", "reason": reason}
            connection.send(json.dumps(error))
        else:
            coinbase()(connection, message)

    exchange.answer = answer
    source = stream("coinbase")
    sample("coinbase", source, ["BTC-USD"])
    batch = poll("coinbase", source, ["BTC-USD", "XRP-USD"], NOW_MS)
    assert (batch.symbol, batch.reasons) == (["BTC-USD"], {"XRP-USD": said})
    assert len(exchange.connections) == 1


def test_subscriptions_keep_to_the_messages_a_second_that_coinbase_takes(
    exchange: Exchange, stream: Callable[[str], Source]
) -> None:
    exchange.answer = coinbase()
    pairs, began = [f"C{number}-USD" for number in range(170)], time.monotonic()
    batch = sample("coinbase", stream("coinbase"), pairs, 60.0)
    assert (len(batch.symbol), len(exchange.received), len(exchange.connections)) == (170, 170, 1)
    assert time.monotonic() - began > 2.0, "170 messages are sent in three seconds"


def test_a_ticker_that_alpaca_cannot_read_costs_no_other(
    exchange: Exchange, stream: Callable[[str], Source]
) -> None:
    """400, "invalid syntax", fails the whole subscription: github.com/alpacahq/alpaca-trade-api-csharp/issues/576."""

    def answer(connection: ServerConnection, message: Json) -> None:
        if message["action"] == "subscribe" and "^GSPC" in message["trades"]:
            connection.send(json.dumps([{"T": "error", "code": 400, "msg": "invalid syntax"}]))
        else:
            alpaca(connection, message)

    exchange.answer = answer
    source, until = stream("alpaca"), time.monotonic() + 20
    while True:
        with suppress(SourceError):
            batch = poll("alpaca", source, ["AAPL", "^GSPC", "MSFT"], NOW_MS)
            if batch.symbol == ["AAPL", "MSFT"]:
                break
        assert time.monotonic() < until
        time.sleep(0.05)
    assert batch.missing == ["^GSPC"]
    assert len(exchange.connections) == 2


def test_a_rejected_key_is_said_at_once_and_not_tried_again(
    exchange: Exchange, stream: Callable[[str], Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KEYS, "APCA_API_SECRET_KEY", "wr0ng")
    exchange.answer = alpaca
    source = stream("alpaca")
    with pytest.raises(
        SourceError, match=r"alpaca rejects the stream \(402: auth failed\): check the keys"
    ) as error:
        poll("alpaca", source, ["AAPL"], NOW_MS)
    assert "wr0ng" not in str(error.value)
    with pytest.raises(SourceError, match="402"):
        poll("alpaca", source, ["AAPL"], NOW_MS)
    assert len(exchange.connections) == 1


def test_a_connection_that_is_not_yet_free_is_waited_for(
    exchange: Exchange, stream: Callable[[str], Source]
) -> None:
    def busy(connection: ServerConnection, message: Json) -> None:
        if len(exchange.connections) < 3:  # the scan before is still closing its own
            connection.send(json.dumps([{"T": "error", "code": 406, "msg": "connection limit exceeded"}]))
            connection.close()
        else:
            alpaca(connection, message)

    exchange.greeting = '[{"T":"success","msg":"connected"}]'
    exchange.answer = busy
    assert sample("alpaca", stream("alpaca"), ["AAPL"]).price == [126.55]
    assert len(exchange.connections) >= 3


def test_a_connection_that_is_never_free_is_said(exchange: Exchange, stream: Callable[[str], Source]) -> None:
    """The greeting comes before authentication: docs.alpaca.markets/docs/streaming-market-data."""

    def busy(connection: ServerConnection, _message: Json) -> None:
        connection.send(json.dumps([{"T": "error", "code": 406, "msg": "connection limit exceeded"}]))
        connection.close()

    exchange.greeting = '[{"T":"success","msg":"connected"}]'
    exchange.answer = busy
    with pytest.raises(SourceError, match=r"the stream of alpaca is not connected: .*connection limit"):
        poll("alpaca", stream("alpaca"), ["AAPL"], NOW_MS)
    assert len(exchange.connections) <= 8, "the pauses between its attempts grow"


def test_a_vendor_that_takes_subscriptions_and_closes_each_time_is_called_after_growing_pauses(
    exchange: Exchange, stream: Callable[[str], Source]
) -> None:
    def closing(connection: ServerConnection, _message: Json) -> None:
        connection.send('{"type":"subscriptions","channels":[]}')
        connection.close(1008, "rate limit")

    exchange.answer = closing
    source, until = stream("coinbase"), time.monotonic() + 4
    while time.monotonic() < until:
        with pytest.raises(SourceError, match=r"the stream of coinbase is not connected: .*rate limit"):
            poll("coinbase", source, ["BTC-USD"], NOW_MS)
    assert len(exchange.connections) <= 6, "the pauses between its attempts grow"


def test_a_vendor_that_asks_to_wait_is_left_alone(
    exchange: Exchange, stream: Callable[[str], Source]
) -> None:
    exchange.rejects = Response(429, "Too Many Requests", Headers({"Retry-After": "600"}), b"")
    source = stream("finnhub")
    for _ in range(2):  # a poll waits for a connection
        with pytest.raises(
            SourceError, match=r"stream of finnhub is not connected: .*429; it asks to wait 600 s"
        ):
            poll("finnhub", source, ["AAPL"], NOW_MS)
    assert exchange.requests == 1


def test_stocks_and_crypto_come_from_a_stream_each_and_fail_alone(
    exchange: Exchange, stream: Callable[[str], Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Crypto: docs.alpaca.markets/docs/real-time-crypto-pricing-data, the same messages at another address."""
    crypto = Exchange()
    monkeypatch.setitem(KEYS, "ALPACA_CRYPTO_STREAM_URL", crypto.url)
    try:
        exchange.answer = crypto.answer = alpaca
        source = stream("alpaca")
        assert sample("alpaca", source, ["AAPL", "BTC-USD"]).symbol == ["AAPL", "BTC-USD"]
        subscribed = [of["trades"] for at in (exchange, crypto) for of in at.received if "trades" in of]
        assert subscribed == [["AAPL"], ["BTC/USD"]]
    finally:
        crypto.close()
    crypto.cut()
    until = time.monotonic() + 20
    while "BTC-USD" not in (batch := poll("alpaca", source, ["AAPL", "BTC-USD"], NOW_MS)).missing:
        assert time.monotonic() < until, "a stream that is gone is not noticed"
        time.sleep(0.05)
    assert (batch.symbol, batch.price) == (["AAPL"], [126.55])
    assert "the stream of alpaca is not connected" in batch.reasons["BTC-USD"]


def test_a_stream_that_is_cut_again_and_again_comes_back_each_time(
    exchange: Exchange, stream: Callable[[str], Source]
) -> None:
    exchange.answer = coinbase()
    source = stream("coinbase")
    for cut in range(20):
        exchange.answer = coinbase(f"{100 + cut}.5")
        if cut:
            exchange.cut()
        until = time.monotonic() + 20
        while sample("coinbase", source, ["BTC-USD"]).price != [100.5 + cut]:
            assert time.monotonic() < until
    assert len(exchange.connections) == 20


def test_while_there_is_no_connection_polls_fail_and_repeat_nothing(
    exchange: Exchange, stream: Callable[[str], Source]
) -> None:
    exchange.answer = coinbase()
    source = stream("coinbase")
    sample("coinbase", source, ["BTC-USD"])
    exchange.close()
    exchange.cut()

    def poll_on() -> None:
        for _ in range(400):
            poll("coinbase", source, ["BTC-USD"], NOW_MS)
            time.sleep(0.05)

    with pytest.raises(SourceError, match="the stream of coinbase is not connected: connection refused"):
        poll_on()


@pytest.mark.parametrize("name", ["alpaca", "coinbase", "kraken"])
def test_a_side_of_the_quotes_that_is_gone_is_not_the_one_before(
    name: str, exchange: Exchange, stream: Callable[[str], Source]
) -> None:
    """0 says that nobody bids, as in a halt; what a message leaves out is as it was."""
    gone: dict[str, object] = {
        "alpaca": [{"T": "q", "S": "AAPL", "bp": 0, "ap": 126.6, "t": "2025-04-01T13:00:01Z"}],
        "coinbase": {"type": "ticker", "product_id": "BTC-USD", "price": "4388.01", "best_bid": "0"},
        "kraken": {"channel": "ticker", "data": [{"symbol": "BTC/USD", "last": 0.10035, "bid": 0.0}]},
    }
    answer, symbol, (price, _, ask) = VENDORS[name]

    def both(connection: ServerConnection, message: Json) -> None:
        answer(connection, message)
        if "subscribe" in str(message):
            connection.send(json.dumps(gone[name]))

    exchange.answer = both
    source, until = stream(name), time.monotonic() + 20
    while (batch := sample(name, source, [symbol])).bid != [None]:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert (batch.price, batch.ask) == ([price], [ask])


@pytest.mark.parametrize("odd", ['{"type":', "[]", '{"type": 5}', '{"type":"ticker","price":"soon"}', "null"])
def test_an_odd_message_ends_no_stream(odd: str, exchange: Exchange, stream: Callable[[str], Source]) -> None:
    exchange.greeting = odd
    exchange.answer = coinbase()
    assert sample("coinbase", stream("coinbase"), ["BTC-USD"]).price == [4388.01]
    assert len(exchange.connections) == 1


class Odd:
    """A dialect of somebody's own, which says what a test lets it say; it fails once in `fails`."""

    name = "odd"
    is_ready = True

    def __init__(self, url: str, fails: str = "", says: object = ()) -> None:
        self.url, self._fails, self._says = url, fails, says

    def _fail(self, part: str) -> None:
        if self._fails == part:
            self._fails = ""
            raise KeyError(part)

    def name_of(self, symbol: str) -> str:
        return {"A": "A", "B": "B"}[symbol]

    def opening(self) -> Iterator[str]:
        self._fail("opening")
        yield "{}"

    def subscribe(self, names: Sequence[str]) -> Iterator[str]:
        self._fail("subscribe")
        yield json.dumps(list(names))

    def unsubscribe(self, names: Sequence[str]) -> Iterator[str]:  # noqa: ARG002
        return iter(())

    def read(self, message: str | bytes) -> Iterator[tuple[str, Quote | Missing]]:  # noqa: ARG002
        if self._fails == "read":
            self._fails = ""
            raise SourceError("not now")
        yield from cast(Iterator[tuple[str, Quote | Missing]], self._says)


@pytest.fixture
def odd(exchange: Exchange) -> Iterator[Callable[..., StreamSource]]:
    exchange.answer = lambda connection, _message: connection.send("{}")
    made: list[StreamSource] = []

    def make(fails: str = "", *says: object) -> StreamSource:
        made.append(StreamSource(Odd(exchange.url, fails, says), 30.0))
        return made[-1]

    yield make
    for source in made:
        source.close()


@pytest.mark.parametrize("fails", ["opening", "subscribe", "read"])
def test_whatever_a_dialect_raises_is_followed_by_another_connection(
    odd: Callable[..., StreamSource], fails: str
) -> None:
    source = odd(fails, ("A", Quote(1.5)))
    assert sample("odd", source, ["A"]).price == [1.5]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (("B", {"price": 1.5}), "the stream returned a dict; must be a Quote or Missing"),
        (("B", Quote(cast(float, "1.5"))), 'price is "1.5"; must be a number'),
        (("B", Quote(1.5, quote_ts=cast(int, "now"))), 'quote_ts is "now"; must be a whole number'),
    ],
)
def test_a_row_of_a_stream_that_is_no_quote_costs_its_ticker_alone(
    odd: Callable[..., StreamSource], exchange: Exchange, row: object, why: str
) -> None:
    batch = poll("odd", odd("", ("A", Quote(1.5)), row), ["A", "B"], NOW_MS)
    assert (batch.symbol, batch.missing) == (["A"], ["B"])
    assert why in batch.reasons["B"]
    assert len(exchange.connections) == 1


def test_a_ticker_without_a_name_at_the_vendor_costs_no_other(odd: Callable[..., StreamSource]) -> None:
    batch = poll("odd", odd("", ("A", Quote(1.5))), ["A", "C"], NOW_MS)
    assert (batch.symbol, batch.missing) == (["A"], ["C"])
    assert batch.reasons == {"C": "the stream has no name for it: KeyError: 'C'"}


def test_why_nothing_of_a_stream_can_be_read_is_said(odd: Callable[..., StreamSource]) -> None:
    source = odd("", 5)
    source._poll_seconds = 0.0  # nothing that it could wait for comes

    def reason() -> str:
        with suppress(SourceError):
            return poll("odd", source, ["A"], NOW_MS).reasons["A"]
        return ""

    until = time.monotonic() + 30
    while "a message cannot be read: TypeError: cannot unpack" not in reason():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_trade_without_its_time_is_a_quote_and_an_item_that_is_none_is_said(
    exchange: Exchange, stream: Callable[[str], Source]
) -> None:
    trades = {"type": "trade", "data": [{"s": "MSFT", "p": "x"}, {"s": "AAPL", "p": 1.5, "t": None}]}
    exchange.answer = lambda connection, _message: connection.send(json.dumps(trades))
    source, until = stream("finnhub"), time.monotonic() + 20
    while (batch := poll("finnhub", source, ["AAPL", "MSFT"], NOW_MS)).price != [1.5]:
        assert time.monotonic() < until
    assert "a message cannot be read: ValidationError: Expected `float`" in batch.reasons["MSFT"]


def test_nan_beside_a_price_of_a_stream_is_unknown(odd: Callable[..., StreamSource]) -> None:
    batch = sample("odd", odd("", ("A", Quote(1.5, bid=math.nan, ask=1.6))), ["A"])
    assert (batch.price, batch.bid, batch.ask) == ([1.5], [None], [1.6])


@pytest.mark.parametrize("name", ["alpaca", "kraken", "finnhub"])
def test_an_odd_item_costs_no_other_of_its_message(
    name: str, exchange: Exchange, stream: Callable[[str], Source]
) -> None:
    """These vendors put several tickers into one message; the pages are those above."""
    odd: dict[str, object] = {
        "alpaca": [
            {"T": "t", "S": "NEWCO", "p": None, "t": 5, "code": "x"},
            7,
            {"T": "t", "S": "AAPL", "p": 1.5},
        ],
        "kraken": {"channel": "ticker", "data": [{"symbol": 5}, None, {"symbol": "BTC/USD", "last": 1.5}]},
        "finnhub": {
            "type": "trade",
            "data": [{"s": "NEWCO", "p": "x"}, {"s": "BTC/USD", "p": "1.5", "t": 1}],
        },
    }
    answer, symbol, _ = VENDORS[name][0], "AAPL" if name == "alpaca" else "BTC/USD", None

    def both(connection: ServerConnection, message: Json) -> None:
        answer(connection, message)
        connection.send(json.dumps(odd[name]))

    exchange.answer = both
    source, until = stream(name), time.monotonic() + 20
    while sample(name, source, [symbol]).price != [1.5]:
        assert time.monotonic() < until
    assert len(exchange.connections) == 1


def test_the_watch_list_may_change_while_it_streams(
    exchange: Exchange, stream: Callable[[str], Source]
) -> None:
    exchange.answer = coinbase()
    source = stream("coinbase")
    sample("coinbase", source, ["BTC-USD"])
    assert sample("coinbase", source, ["ETH-USD"]).symbol == ["ETH-USD"]
    assert [(m["type"], m["product_ids"]) for m in exchange.received] == [
        ("subscribe", ["BTC-USD"]),
        ("unsubscribe", ["BTC-USD"]),
        ("subscribe", ["ETH-USD"]),
    ]


def test_a_ticker_without_quotes_is_waited_for_once(
    exchange: Exchange, stream: Callable[[str], Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(connection: ServerConnection, message: Json) -> None:
        if message["product_ids"] != ["QUIET-USD"]:
            coinbase()(connection, message)

    exchange.answer = answer
    source = stream("coinbase")
    assert isinstance(source, StreamSource)
    ready: list[bool] = []
    wait_for = source._changed.wait_for

    def waited(is_ready: Callable[[], bool], seconds: float | None = None) -> bool:
        ready.append(is_ready())
        return wait_for(is_ready, seconds)

    monkeypatch.setattr(source._changed, "wait_for", waited)
    for _ in range(3):
        batch = poll("coinbase", source, ["BTC-USD", "QUIET-USD"], NOW_MS)
        assert (batch.symbol, batch.missing) == (["BTC-USD"], ["QUIET-USD"])
    assert ready == [False, True, True]


def test_the_next_scan_takes_over(exchange: Exchange, stream: Callable[[str], Source]) -> None:
    exchange.answer = coinbase("1.5")
    first, second = stream("coinbase"), stream("coinbase")
    sample("coinbase", first, ["BTC-USD"])
    exchange.answer = coinbase("2.5")
    assert sample("coinbase", second, ["BTC-USD"]).price == [2.5], "at its first poll, from the snapshot"
    assert isinstance(first, HasConnection)
    first.close()
    assert poll("coinbase", second, ["BTC-USD"], NOW_MS).price == [2.5]


def test_the_key_in_an_address_is_in_no_message(exchange: Exchange, stream: Callable[[str], Source]) -> None:
    exchange.close()
    with pytest.raises(SourceError) as error:
        poll("finnhub", stream("finnhub"), ["AAPL"], NOW_MS)
    assert "s3cr3t" not in str(error.value)


def test_what_does_not_stream_is_said() -> None:
    with pytest.raises(SourceError, match="source yahoo does not stream; must be poll"):
        create("yahoo", {}, "stream")
