"""`make up SOURCE=…`: whatever stands in the way of real quotes is said with its remedy, before anything starts."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from websockets.sync.server import ServerConnection, serve

from localstack import source
from localstack.settings import LocalError, LocalSettings, aws_environment, read_settings
from producers.errors import MonitorError
from producers.sources import get
from stream_infra import names
from stream_infra.config import ConfigError
from tests.aws import aws_in_memory
from tests.http_server import Handler, serving

ALPACA = {"APCA_API_KEY_ID": "AK1", "APCA_API_SECRET_KEY": "s3cr3t"}
# https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-ticker
TICKER = {
    "trade_id": 1,
    "price": "100.5",
    "size": "1",
    "time": "2026-11-28T12:00:00Z",
    "bid": "100",
    "ask": "101",
}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalSettings:
    monkeypatch.setattr(source, "ROOT", tmp_path)  # whatever `[local]` in the checkout's own file holds
    return LocalSettings(tmp_path, 4566, 8080)


@contextmanager
def vendor(status: int, body: object, delay: float = 0) -> Iterator[str]:
    """An HTTP server that gives one answer to everything but products that are called NOPE."""

    class VendorHandler(Handler):
        def do_GET(self) -> None:
            time.sleep(delay)
            unknown = "NOPE" in self.path
            text = json.dumps({"message": "NotFound"} if unknown else body).encode()
            self.answer(404 if unknown else status, text, {"Content-Type": "application/json"})

    with serving(VendorHandler) as address:
        yield address


def test_without_a_choice_the_quotes_are_simulated(settings: LocalSettings) -> None:
    config = source.configure(settings, {})
    assert (config.source, config.session, config.poll_interval_seconds, config.target) == (
        "simulated",
        "always",
        2,
        "local",
    )
    assert config.dashboard_url == "http://127.0.0.1:8080/"
    assert source.try_out(config, {}).said == "simulated, nothing in it is real"


def test_source_and_tickers_come_from_make(settings: LocalSettings) -> None:
    config = source.configure(settings, {"SOURCE": "coinbase", "TICKERS": "btc-usd, ETH-USD"})
    assert (config.source, config.tickers, config.session, config.poll_interval_seconds) == (
        "coinbase",
        "BTC-USD,ETH-USD",
        "always",
        5,
    )
    assert source.configure(settings, {"SOURCE": "kraken", "SOURCE_MODE": "stream"}).source_mode == "stream"
    assert source.configure(settings, {"SOURCE": "kraken"}).tickers.startswith("BTC-USD,")
    assert source.configure(settings, {"SOURCE": "alpaca"}).tickers.startswith("AAPL,")


def test_a_wrong_choice_is_named_as_it_was_typed(settings: LocalSettings) -> None:
    with pytest.raises(ConfigError, match=r"^SOURCE: unknown source 'conbase' \(did you mean 'coinbase'\?\)"):
        source.configure(settings, {"SOURCE": "conbase"})
    with pytest.raises(ConfigError, match=r"^TICKERS: "):
        source.configure(settings, {"TICKERS": "<no>"})


def test_a_missing_key_is_named_with_where_to_get_one(settings: LocalSettings) -> None:
    config = source.configure(settings, {"SOURCE": "finnhub"})
    with pytest.raises(MonitorError, match=r"FINNHUB_API_KEY is not set: .*https://finnhub\.io/register"):
        source.equip(config, {}, print)
    assert source.equip(config, {"FINNHUB_API_KEY": "k"}, print) == get("finnhub")


def test_a_rejected_key_stops_the_start_and_is_never_shown(settings: LocalSettings) -> None:
    """Alpaca answers 401 to a wrong key: https://docs.alpaca.markets/reference/stocksnapshots-1."""
    with vendor(401, {"message": "unauthorized."}) as url:
        environment = {**ALPACA, "SOURCE": "alpaca", "APCA_API_DATA_URL": url}
        config = source.configure(settings, environment)
        with pytest.raises(
            LocalError, match=r"alpaca rejects the key .*APCA_API_KEY_ID: make one at"
        ) as caught:
            source.try_out(config, environment)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ({"code": 402, "msg": "auth failed"}, "402: auth failed): check the keys"),
        (
            {"code": 409, "msg": "insufficient subscription"},
            "409: insufficient subscription): check the keys, and",
        ),
    ],
)
def test_a_stream_that_is_rejected_stops_the_start(
    settings: LocalSettings, error: dict[str, object], said: str
) -> None:
    """Error codes: https://docs.alpaca.markets/docs/streaming-market-data#connection."""

    def answer(connection: ServerConnection) -> None:
        connection.send('[{"T":"success","msg":"connected"}]')
        connection.recv()
        connection.send(json.dumps([{"T": "error", **error}]))

    server = serve(answer, "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
    environment = {**ALPACA, "SOURCE": "alpaca", "TICKERS": "AAPL", "ALPACA_STREAM_URL": url}
    config = source.configure(settings, environment).model_copy(update={"source_mode": "stream"})
    with pytest.raises(LocalError) as caught:
        source.try_out(config, environment)
    assert said in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    server.shutdown()


def test_tickers_that_the_vendor_does_not_know_are_named(settings: LocalSettings) -> None:
    with vendor(200, TICKER) as url:
        environment = {"SOURCE": "coinbase", "TICKERS": "BTC-USD,NOPE-USD", "COINBASE_URL": url}
        some = source.try_out(source.configure(settings, environment), environment)
        assert not some.is_good
        assert "not for NOPE-USD: coinbase lists no such product" in some.said
        environment["TICKERS"] = "NOPE-USD"
        with pytest.raises(LocalError, match=r"no quote of any ticker .*make up SOURCE=coinbase TICKERS="):
            source.try_out(source.configure(settings, environment), environment)


def test_a_vendor_that_does_not_answer_is_said_and_does_not_hold_up_the_start(
    settings: LocalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_TRIAL_SECONDS", 1.0)
    with vendor(200, TICKER, delay=4) as url:
        environment = {"SOURCE": "coinbase", "COINBASE_URL": url}
        trial = source.try_out(source.configure(settings, environment), environment)
    assert not trial.is_good
    assert trial.said.endswith("scans go on trying")


def test_a_source_that_answers_is_good_news(settings: LocalSettings) -> None:
    with vendor(200, TICKER) as url:
        environment = {"SOURCE": "coinbase", "TICKERS": "BTC-USD", "COINBASE_URL": url}
        assert source.try_out(source.configure(settings, environment), environment) == source.SourceTrial(
            "coinbase answers"
        )


def test_keys_go_into_the_secret_and_nowhere_else(
    settings: LocalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with aws_in_memory():
        secrets = boto3.client("secretsmanager", "us-east-1")
        monkeypatch.setattr(source, "client", lambda *_: secrets)
        for second in ("s3cr3t", "n3w"):
            source.store_keys(
                settings, get("alpaca"), {**ALPACA, "APCA_API_SECRET_KEY": second, "HOME": "/x"}
            )
        stored = json.loads(secrets.get_secret_value(SecretId=names.SOURCE_SECRET)["SecretString"])
    assert stored == {**ALPACA, "APCA_API_SECRET_KEY": "n3w"}


def test_the_panel_says_what_is_real_and_names_keys_without_showing_them(settings: LocalSettings) -> None:
    config = source.configure(settings, {"SOURCE": "alpaca"})
    sunday = datetime(2026, 11, 29, 15, tzinfo=UTC)
    said = source.describe(config, get("alpaca"), sunday)
    assert said == (
        "alpaca, live, polled every 5 s; keys present: APCA_API_KEY_ID, APCA_API_SECRET_KEY; "
        "market XNYS is closed now: quotes come when it opens"
    )
    simulated = source.describe(source.configure(settings, {}), get("simulated"), sunday)
    assert simulated == "simulated, polled every 2 s"


@pytest.mark.parametrize(
    ("tickers", "closed"),
    [
        ("AAPL,7203.T", ""),  # Tokyo trades
        ("AAPL,BTC-USD", ""),
        ("AAPL,MSFT", "; market XNYS is closed now: quotes come when it opens"),
        ("AAPL,VOD.L", "; markets XLON, XNYS are closed now: quotes come when one opens"),
    ],
)
def test_the_panel_says_closed_only_if_every_tickers_market_is(
    settings: LocalSettings, tickers: str, closed: str
) -> None:
    config = source.configure(settings, {"SOURCE": "yahoo", "TICKERS": tickers})
    morning_in_tokyo = datetime(2026, 11, 26, 1, tzinfo=UTC)
    said = source.describe(config, get("yahoo"), morning_in_tokyo)
    assert said == f"yahoo, live, polled every 5 s{closed}"


def test_a_refusal_without_a_key_blames_no_key(settings: LocalSettings) -> None:
    with vendor(403, {"message": "Forbidden"}) as url:
        environment = {"SOURCE": "coinbase", "TICKERS": "BTC-USD", "COINBASE_URL": url}
        config = source.configure(settings, environment)
        with pytest.raises(LocalError, match="403") as caught:
            source.try_out(config, environment)
    assert "rejects the key" not in str(caught.value)


def test_programs_do_not_inherit_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE", "coinbase")
    monkeypatch.setenv("SOURCE_MODE", "stream")
    monkeypatch.setenv("TICKERS", "BTC-USD")
    assert not {"SOURCE", "SOURCE_MODE", "TICKERS"} & set(aws_environment(read_settings({})))
