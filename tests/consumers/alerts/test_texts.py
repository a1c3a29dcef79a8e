"""What people read: limits that hold for any incident, and the approved wording of each message."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.alerts.channels import sns
from consumers.alerts.model import (
    AnomalySummary,
    Digest,
    Incident,
    Message,
    MessageKind,
    TickerMove,
)
from consumers.alerts.rendering.texts import Content, content
from consumers.contracts.anomaly import KINDS, SEVERITIES
from tests.consumers.alerts.bench import T0_MS, URL, Bench, opened, worse

APPROVED = Path(__file__).parent / "approved"
ZONE = "America/New_York"

_TICKERS = st.text("ABCXYZ0189.^=/_-", min_size=1, max_size=16)
_NUMBERS = st.floats(-1e15, 1e15)
_MOMENTS = st.integers(0, 4_000_000_000_000)
_ORIGINS = st.sampled_from(["live", "simulated", "replay", "backfill"])
_ANOMALIES = st.builds(
    AnomalySummary,
    id=st.just("X-1-gap"),
    ticker=_TICKERS,
    kind=st.sampled_from(KINDS),
    severity=st.sampled_from(SEVERITIES),
    began_ms=_MOMENTS,
    value=_NUMBERS,
    expected=_NUMBERS,
    unit=st.sampled_from(["price", "return", "spread", "shares", "ticks", "seconds", ""]),
    explanation=st.text(max_size=300),
    ended_ms=st.none(),
)
_MOVES = st.builds(TickerMove, _TICKERS, _MOMENTS, st.integers(0, 3), st.floats(-1, 1))


@st.composite
def _incidents(draw: st.DrawFn) -> Incident:
    samples = tuple(draw(st.lists(_ANOMALIES, min_size=1, max_size=10)))
    wide = draw(st.booleans())
    return Incident(
        id="live-X-1",
        origin=draw(_ORIGINS),
        subject=draw(st.sampled_from(["market", "feed"])) if wide else samples[0].ticker,
        opened_ms=0,
        last_ms=draw(_MOMENTS),
        peak=draw(st.integers(0, 3)),
        anomalies=draw(st.integers(1, 10**6)),
        samples=samples,
        tickers=tuple(draw(st.lists(_MOVES, min_size=1, max_size=200))) if wide else (),
        watched=draw(st.integers(0, 10**6)),
        late=draw(st.booleans()),
        open=draw(st.integers(0, 3)),
    )


@st.composite
def _messages(draw: st.DrawFn) -> Message:
    incident = draw(_incidents())
    kinds: tuple[MessageKind, ...] = ("opened", "escalated", "repeated", "resolved")
    return Message("m", draw(st.sampled_from(kinds)), 0, ("sns",), incident, incident.samples[0])


@st.composite
def _digests(draw: st.DrawFn) -> Message:
    digest = Digest(draw(_ORIGINS), ("sns",))
    for incident in draw(st.lists(_incidents(), min_size=1, max_size=30)):
        digest = digest.with_incident(incident)
    return Message("d", "digest", 0, ("sns",), digest=digest)


_URLS = st.sampled_from(["", URL, "http://127.0.0.1:8080", "https://" + "d" * 150 + ".example/"])


@given(st.one_of(_messages(), _digests(), st.just(Message("t", "test", 0, ("sns",)))), _URLS)
def test_every_message_keeps_the_limits(message: Message, url: str) -> None:
    said = content(message, url, ZONE)
    assert 0 < len(sns.subject(said)) < 100
    assert sns.subject(said).isascii()
    assert sns.subject(said).isprintable()
    assert {*sns.sms(said)} <= sns.BASIC | sns.EXTENSION
    assert 0 < sns.septets(sns.sms(said)) <= 160
    assert "\n" not in said.title
    if message.incident is not None and not message.incident.is_wide and message.cause is not None:
        assert message.cause.ticker in sns.subject(said)
        assert message.cause.ticker in sns.sms(said)


@given(st.text(max_size=400))
def test_any_text_can_be_spelled_and_cut_to_one_segment(text: str) -> None:
    cut = sns.cut(sns.spell(text), sns.SEGMENT_SEPTETS)
    assert {*cut} <= sns.BASIC | sns.EXTENSION
    assert sns.septets(cut) <= sns.SEGMENT_SEPTETS
    if sns.septets(sns.spell(text)) <= sns.SEGMENT_SEPTETS:
        assert cut == sns.spell(text)
    else:
        assert cut.endswith("...")


def test_the_alphabet_is_the_whole_of_the_standard() -> None:
    assert len(sns.BASIC) == 127  # 128 code points, one of which is the escape to the extension
    assert len(sns.EXTENSION) == 10
    assert sns.septets("^{}") == 6
    assert sns.spell("✓") == "?"


def test_half_a_link_is_not_sent_and_a_whole_one_costs_the_end_of_the_text(bench: Bench) -> None:
    bench.take(opened(severity="high", ticker="ABCDEFGHIJKLMNOPQRSTUVWXYZ.12345"))
    (message,) = bench.sent()
    wanted = "https://m.example/?anomaly=ABCDEFGHIJKLMNOPQRSTUVWXYZ.12345-1795530600000-price_spike"
    said = content(message, "https://m.example", ZONE)
    assert said.link == wanted
    assert sns.sms(said).startswith("HIGH: ABCDEFGHIJKLMNOPQRSTUVWXYZ.12345 price spike")
    assert sns.sms(said).endswith(f"... {wanted}")
    test = Message("t", "test", 0, ("sns",))
    assert sns.sms(content(test, URL, ZONE)).endswith(URL)
    assert "http" not in sns.sms(content(test, "https://" + "d" * 150 + ".example/", ZONE))


def test_nothing_is_said_to_be_expected_where_no_good_price_came_before(bench: Bench) -> None:
    """Oil of April 2020, from its first tick on: it said "(expected 0)"."""
    event = opened(severity="critical", kind="bad_tick", ticker="CL=F", value=-37.63)
    bench.take(replace(event, anomaly=replace(event.anomaly, expected=0.0)))
    (message,) = bench.sent()
    assert content(message, URL, "UTC").title == "CRITICAL: CL=F bad tick, -37.63"


def _contents() -> dict[str, Content]:
    bench = Bench(watched=10).had_digests()
    spike = opened(severity="high", value=0.02006, unit="return")
    bench.take(spike, opened(T0_MS + 2000, "low", kind="volume_burst", value=1_203_400.0, unit="shares"))
    bench.take(worse(spike, T0_MS + 5000, "critical"))
    frozen = opened(
        severity="high", kind="frozen_feed", ticker="KO", source="simulated", value=95.0, unit="seconds"
    )
    bench.take(frozen)
    moves = [
        opened(T0_MS + 200_000 + n, "critical", ticker=f"T{n}", value=-0.01 * n, unit="return")
        for n in range(7)
    ]
    bench.take(*moves, at_ms=T0_MS + 201_000)
    quiet = [opened(T0_MS + n, SEVERITIES[n % 2], ticker=f"Q{n}", kind="slow_drift") for n in range(2)]
    bench.take(*quiet, opened(T0_MS, "critical", ticker="OLD", late=True))
    bench.sweep(after_minutes=60)
    opened_, escalated, simulated, market = [message for message in bench.sent() if message.kind != "digest"]
    (digest,) = [message for message in bench.sent() if message.digest]
    assert digest.digest is not None
    assert escalated.incident is not None
    over_ = replace(escalated.incident, open=0, last_ms=T0_MS + 5_430_000)
    more = replace(digest, digest=replace(digest.digest, incidents=503, anomalies=9_980))
    named = {
        "opened": opened_,
        "escalated": escalated,
        "simulated": simulated,
        "market-wide": market,
        "resolved": replace(escalated, kind="resolved", incident=over_),
        "repeated": replace(escalated, kind="repeated"),
        "digest": digest,
        "digest-with-more": more,
        "test": Message("test-1", "test", T0_MS, ("sns",)),
    }
    return {name: content(message, URL, ZONE) for name, message in named.items()}


def _written(said: Content) -> str:
    sms = f"--- SMS, {sns.septets(sns.sms(said))} septets ---\n{sns.sms(said)}\n"
    return f"Subject: {sns.subject(said)}\n\n{sns.email(said)}\n{sms}"


NAMES = (
    "opened",
    "escalated",
    "simulated",
    "market-wide",
    "resolved",
    "repeated",
    "digest",
    "digest-with-more",
    "test",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_wording_is_the_approved_one(name: str) -> None:
    """After a change that is meant: read the text in the failure, and put it into the file."""
    assert _written(_contents()[name]) == (APPROVED / f"{name}.txt").read_text()


@pytest.mark.parametrize(
    ("kind", "value", "unit", "said"),
    [
        ("gap", 152.26, "seconds", "AAPL gap, 2 min 32 s (expected 0 s)"),
        ("gap", 4.638, "seconds", "AAPL gap, 4.64 s (expected 0 s)"),
        ("frozen_feed", 17.0, "ticks", "AAPL frozen feed, 17 ticks"),
        ("level_shift", 0.0073876, "return", "AAPL level shift, 0.739% (expected 0%)"),
        ("vol_shift", -0.12, "return", "AAPL volatility shift, -12.0% (expected 0%)"),
    ],
)
def test_a_title_has_the_digits_and_names_of_the_sentence(
    kind: str, value: float, unit: str, said: str
) -> None:
    bench = Bench()
    bench.take(opened(severity="high", kind=kind, value=value, unit=unit))
    (title,) = (one.short or one.title for one in bench.said())
    assert title == f"HIGH: {said}"


def test_a_digest_says_once_what_a_rule_found() -> None:
    bench, event = Bench(), opened(kind="rule")
    met = "AAPL has a spread of 8.58 bp (limit 5 bp) (rule wide)"
    bench.take(replace(event, anomaly=replace(event.anomaly, explanation=f"{met}.")))
    (said,) = bench.said()
    assert said.title == f"Digest: 1 incident: {met} (medium)"
    assert "\n".join(said.lines).count(met) == 1
