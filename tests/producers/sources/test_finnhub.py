"""Finnhub's documented answers, and turns for all symbols within its limit."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from producers.polling import poll
from producers.source import SourceError
from producers.sources import create
from producers.sources.finnhub import FinnhubSource
from tests.producers.fakes import Clock, MakeClient, Reply, VendorStub

NOW_MS = 1_582_641_005_000


def answered(price: float = 261.74, at: int = 1_582_641_000) -> tuple[int, dict[str, str], bytes]:
    """As in https://finnhub.io/docs/api/quote, sample response."""
    quote = {"c": price, "h": 263.31, "l": 260.68, "o": 261.07, "pc": 259.45, "t": at}
    return 200, {"X-Ratelimit-Limit": "60", "X-Ratelimit-Remaining": "59"}, json.dumps(quote).encode()


# What it answers for a symbol that it does not know.
UNKNOWN: Reply = (200, {}, b'{"c":0,"d":null,"dp":null,"h":0,"l":0,"o":0,"pc":0,"t":0}')


@pytest.fixture
def source(vendor: VendorStub, vendor_client: MakeClient, clock: Clock) -> FinnhubSource:
    clock.now_ms = NOW_MS
    return FinnhubSource(vendor_client(vendor.url, "finnhub", 60))


def test_a_quote_is_a_quote(source: FinnhubSource, vendor: VendorStub) -> None:
    vendor.script(answered())
    batch = poll("finnhub", source, ["AAPL"], NOW_MS)
    assert (batch.source, batch.symbol, batch.ts, batch.price) == ("finnhub", ["AAPL"], [NOW_MS], [261.74])
    assert batch.quote_ts == [1_582_641_000_000]
    assert batch.bid == batch.ask == batch.day_volume == [None]
    assert (vendor.calls[0].path, vendor.calls[0].parameters) == ("/quote", {"symbol": "AAPL"})


def test_the_key_goes_into_the_header(vendor: VendorStub) -> None:
    # https://finnhub.io/docs/api/authentication
    vendor.script(answered())
    source = create("finnhub", {"FINNHUB_API_KEY": "s3cr3t", "FINNHUB_URL": vendor.url})
    poll("finnhub", source, ["AAPL"], NOW_MS)
    assert vendor.calls[0].headers["x-finnhub-token"] == "s3cr3t"
    assert "s3cr3t" not in str(vendor.calls[0].parameters)
    source._client.close()  # type: ignore[attr-defined]
    with pytest.raises(SourceError, match="source finnhub needs a key and FINNHUB_API_KEY is not set"):
        create("finnhub", {})


def test_symbols_that_it_does_not_know_or_may_not_tell_are_missing(
    source: FinnhubSource, vendor: VendorStub
) -> None:
    # 403 with this text: exceptions.py and issue 402 of github.com/finnhubio/Finnhub-API
    denied: Reply = (403, {}, b'{"error":"You don\'t have access to this resource."}')
    by_symbol = {"AAPL": answered(), "NOPE": UNKNOWN, "RY.TO": denied, "ODD": (200, {}, b'{"c":"x"}')}
    vendor.answer = lambda call: by_symbol[call.parameters["symbol"]]
    batch = poll("finnhub", source, ["AAPL", "NOPE", "RY.TO", "ODD"], NOW_MS)
    assert batch.symbol == ["AAPL"]
    assert batch.missing == ["NOPE", "RY.TO", "ODD"]
    assert "denies access (403: You don't have access" in source.vendor_state.last_error


def test_all_symbols_have_their_turn_within_the_limit(
    source: FinnhubSource, vendor: VendorStub, clock: Clock
) -> None:
    vendor.script(answered())
    symbols = [f"S{i}" for i in range(40)]
    began = clock.now_ms
    times: list[int] = []
    asked: Counter[str] = Counter()
    while clock.now_ms < began + 130_000:
        before = len(vendor.calls)
        batch = poll("finnhub", source, symbols, clock.now_ms)
        assert batch.missing == []
        assert sorted(batch.symbol) == sorted(call.parameters["symbol"] for call in vendor.calls[before:])
        asked.update(batch.symbol)
        times += [clock.now_ms] * len(batch.symbol)
        clock.sleep(5)
    assert all(sum(at <= other < at + 60_000 for other in times) <= 60 for at in times)
    assert max(asked.values()) - min(asked.values()) <= 1
    assert sum(asked.values()) > 100, "the limit is used"


def test_the_turn_goes_on_in_the_next_process(
    source: FinnhubSource, vendor: VendorStub, vendor_client: MakeClient
) -> None:
    vendor.script(answered())
    symbols = [f"S{i}" for i in range(100)]
    first = poll("finnhub", source, symbols, NOW_MS).symbol
    other = FinnhubSource(vendor_client(vendor.url, "finnhub", 60))
    other.vendor_state = source.vendor_state
    assert poll("finnhub", other, symbols, NOW_MS).symbol[0] == symbols[len(first)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"c": "189.12", "t": "1582641000"}', (189.12, 1582641000_000)),
        (b'{"c": 189.12, "t": 1582641000.0}', (189.12, 1582641000_000)),
        (b'{"c": 189.12, "t": 1582641005000}', (189.12, None)),
    ],
    ids=["texts", "a whole number with a point", "milliseconds"],
)
def test_numbers_in_another_form_are_read(
    source: FinnhubSource, vendor: VendorStub, body: bytes, expected: tuple[float, int | None]
) -> None:
    vendor.script((200, {}, body))
    batch = poll("finnhub", source, ["AAPL"], NOW_MS)
    assert (batch.price[0], batch.quote_ts[0]) == expected


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (
            401,
            {"error": "Invalid API key"},
            r"rejects the key \(401: Invalid API key\): check FINNHUB_API_KEY",
        ),
        # https://finnhub.io/docs/api/rate-limit; the text: issue 466 of github.com/finnhubio/Finnhub-API
        (
            429,
            {"error": "API limit reached. Please try again later. Remaining Limit: 0"},
            "allows no more calls until .*API limit reached",
        ),
        (502, {}, "status 502"),
    ],
)
def test_documented_errors_say_what_and_what_to_do(
    vendor: VendorStub, status: int, body: dict[str, str], message: str
) -> None:
    vendor.script((status, {}, json.dumps(body).encode()))
    source = create("finnhub", {"FINNHUB_API_KEY": "k3y", "FINNHUB_URL": vendor.url})
    with pytest.raises(SourceError, match=message):
        poll("finnhub", source, ["AAPL", "MSFT"], NOW_MS)
    source._client.close()  # type: ignore[attr-defined]


def test_a_limit_reached_within_a_poll_keeps_what_was_answered(
    source: FinnhubSource, vendor: VendorStub
) -> None:
    vendor.script(answered(), answered(), (429, {"Retry-After": "60"}, b'{"error":"API limit reached."}'))
    batch = poll("finnhub", source, ["A", "B", "C", "D"], NOW_MS)
    assert batch.symbol == ["A", "B"]
    assert batch.missing == []
    with pytest.raises(SourceError, match="allows no more calls until"):
        poll("finnhub", source, ["A", "B", "C", "D"], NOW_MS + 5000)
    assert len(vendor.calls) == 3
