"""What people read: limits that hold for any anomaly, and the approved wording of each message."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.alerts.event import AlertEvent
from consumers.alerts.model import Held, MarketMove, Move, Sample
from consumers.alerts.rendering import gsm7, texts
from consumers.alerts.rendering.texts import Part, Texts
from consumers.contracts.anomaly import KINDS, SEVERITIES, Anomaly, anomaly_id, iso_ms, sort_key

APPROVED = Path(__file__).parent / "approved"
URL = "https://monitor.example/"

_TICKERS = st.text("ABCXYZ0189.^=/_-", min_size=1, max_size=16)
_NUMBERS = st.floats(-1e15, 1e15)
_MOMENTS = st.integers(0, 253_402_300_799_999)


@st.composite
def _events(draw: st.DrawFn, change: str = "detected") -> AlertEvent:
    ticker, kind, ts_ms = draw(_TICKERS), draw(st.sampled_from(KINDS)), draw(_MOMENTS)
    severity = draw(st.sampled_from(SEVERITIES))
    source = draw(st.sampled_from(["alpaca", "simulated", "replay", "replay-" + "x" * 50]))
    anomaly = Anomaly(
        id=anomaly_id(ticker, ts_ms, kind, source),
        source=source,
        ticker=ticker,
        timestamp=sort_key(ts_ms, kind, source),
        date=iso_ms(ts_ms)[:10],
        kind=kind,
        severity=severity,
        score=draw(_NUMBERS),
        threshold=2.5,
        value=draw(_NUMBERS),
        expected=draw(_NUMBERS),
        tolerance=draw(_NUMBERS),
        direction="up",
        late=False,
        explanation=draw(st.text(max_size=300)),
        window={},
    )
    return AlertEvent(change, anomaly, draw(_MOMENTS), severity, draw(st.floats(0, 1e9)))  # type: ignore[arg-type]


_URLS = st.sampled_from(["", URL, "http://127.0.0.1:8080", "https://" + "d" * 150 + ".example/"])


def _keeps_the_limits(message: Texts) -> None:
    assert 0 < len(message.subject) <= 100
    assert message.subject.isascii()
    assert message.subject.isprintable()
    assert 0 < gsm7.septets(message.sms) <= 160


@given(_events(), _URLS)
def test_an_alert_keeps_the_limits(event: AlertEvent, url: str) -> None:
    for write in (texts.alert, texts.escalation, texts.back_to_normal):
        message = write(event, url)
        _keeps_the_limits(message)
        assert event.anomaly.ticker in message.subject
        assert event.anomaly.ticker in message.sms


@given(st.lists(_events(), min_size=1, max_size=25), _URLS)
def test_a_market_wide_alert_keeps_the_limits(events: list[AlertEvent], url: str) -> None:
    tickers = tuple(dict.fromkeys(event.anomaly.ticker for event in events))
    move = MarketMove(tickers, 10**6, tuple(Move.of(event) for event in events))
    _keeps_the_limits(texts.market_wide(events[0], move, url))


@given(st.lists(_events(), min_size=1, max_size=25), _URLS, st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_digest_keeps_the_limits(events: list[AlertEvent], url: str, parts: int, anomalies: int) -> None:
    listed = [
        Part(
            event.origin,
            event.anomaly.ticker,
            event.anomaly.kind,
            Held(3, 1, 1, 2, 1, 0, event.at_ms, (Sample(event.anomaly, event.severity, event.rank, True),)),
        )
        for event in events
    ]
    message = texts.digest(listed, url, more_parts=parts, more_anomalies=anomalies)
    _keeps_the_limits(message)
    assert f"{3 * len(events) + anomalies:,} more anomalies" in message.email


@given(st.text(max_size=400))
def test_any_text_can_be_spelled_and_cut_to_one_segment(text: str) -> None:
    cut = gsm7.cut(gsm7.spell(text))
    assert gsm7.septets(cut) <= gsm7.SEGMENT_SEPTETS
    if gsm7.septets(gsm7.spell(text)) <= gsm7.SEGMENT_SEPTETS:
        assert cut == gsm7.spell(text)
    else:
        assert cut.endswith("...")


def test_the_alphabet_is_the_whole_of_the_standard() -> None:
    assert len(gsm7.BASIC) == 127  # 128 code points, one of which is the escape to the extension
    assert len(gsm7.EXTENSION) == 10
    assert gsm7.septets("^{}") == 6
    with pytest.raises(ValueError, match="'✓' is not in the GSM 7-bit alphabet"):
        gsm7.septets("✓")


def test_half_a_link_is_not_sent(make: Any) -> None:
    event = make.opened()
    assert texts.alert(event, URL).sms.endswith("&source=alpaca")
    assert "http" not in texts.alert(event, "https://" + "d" * 150 + ".example/").sms


def _messages(make: Any) -> dict[str, Texts]:
    anomaly = make.anomaly(
        kind="frozen_feed",
        source="simulated",
        value=95.0,
        expected=1.2,
        tolerance=0.4,
        explanation="AAPL has not moved for 95 s, where 1.2 s is usual.",
        window={"unit": "seconds", "ticks": 200},
    )
    frozen = AlertEvent("ended", anomaly, make.t0_ms + 5_430_000, "high", 5430.0)
    spike = make.opened(
        severity="high", value=0.02006, expected=0.0, tolerance=0.0011, window={"unit": "return"}
    )
    volume = make.opened(
        kind="volume_burst",
        value=1_203_400.0,
        expected=9_871.5,
        tolerance=3000.0,
        window={"unit": "shares"},
    )
    held = Held(
        17, 2, 0, 1, 1, make.t0_ms, make.t0_ms + 880_000,
        (Sample(spike.anomaly, "critical", 3, counted=True), Sample(anomaly, "low", 0, counted=False)),
    )  # fmt: skip
    replayed = Held(
        3, 0, 3, 0, 0, make.t0_ms - 10**9, make.t0_ms, (Sample(spike.anomaly, "low", 0, counted=True),)
    )
    parts = [Part("live", "AAPL", "price_spike", held), Part("replay", "SPY", "volume_burst", replayed)]
    return {
        "alert": texts.alert(spike, URL),
        "alert-volume": texts.alert(volume, URL),
        "alert-simulated": texts.alert(replace(frozen, change="detected", at_ms=make.t0_ms), URL),
        "escalation": texts.escalation(replace(spike, change="escalated", severity="critical"), URL),
        "back-to-normal": texts.back_to_normal(frozen, URL),
        "market-wide": texts.market_wide(spike, _market(spike, make), URL),
        "digest": texts.digest(parts, URL),
        "digest-with-more": texts.digest(parts, URL, more_parts=480, more_anomalies=9_980),
    }


def _market(spike: AlertEvent, make: Any) -> MarketMove:
    gap = make.anomaly("MSFT", "gap", make.t0_ms - 3000, explanation="MSFT had no tick for 45 s.")
    moves = tuple(Move.of(event) for event in (spike, AlertEvent("detected", gap, make.t0_ms - 3000, "low")))
    tickers = ("AAPL", "MSFT", "NVDA", "AMZN", "GOOGL", "META", "TSLA")
    return MarketMove(tickers, watched=10, moves=moves)


def _written(message: Texts) -> str:
    sms = f"--- SMS, {gsm7.septets(message.sms)} septets ---\n{message.sms}\n"
    return f"Subject: {message.subject}\n\n{message.email}\n{sms}"


NAMES = (
    "alert",
    "alert-volume",
    "alert-simulated",
    "escalation",
    "back-to-normal",
    "market-wide",
    "digest",
    "digest-with-more",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_wording_is_the_approved_one(name: str, make: Any) -> None:
    """After a change that is meant: read the text in the failure, and put it into the file."""
    message = _messages(make)[name]
    assert _written(message) == (APPROVED / f"{name}.txt").read_text()
