"""What is sent at once, what waits for a digest, and what is not sent: the rules of `policy`, one by one."""

from __future__ import annotations

from dataclasses import replace
from datetime import time
from itertools import permutations

import pytest

from consumers.alerts.cache import AlertCache
from consumers.alerts.channels import ChannelError
from consumers.alerts.channels.sns import email, sms, subject
from consumers.alerts.event import AlertEvent, Change
from consumers.alerts.model import Acknowledgement, Digest, Silence
from consumers.alerts.places import digest_place
from consumers.alerts.rendering.texts import subject_of
from consumers.alerts.settings import AlertSettings, ChannelSettings, DigestTimes, MuteTiming, Route
from consumers.alerts.table import ConflictError, decode
from tests.consumers.alerts.bench import HOUR_MS, MINUTE_MS, T0_MS, Bench, opened, over, worse


@pytest.mark.parametrize(
    ("severity", "message"), [("low", None), ("medium", None), ("high", "opened"), ("critical", "opened")]
)
def test_high_and_critical_are_sent_at_once_and_the_rest_at_the_next_full_hour(
    bench: Bench, severity: str, message: str | None
) -> None:
    assert bench.had_digests().take(opened(severity=severity)) == [message]
    bench.sweep(after_minutes=59)
    assert bench.kinds() == (["digest"] if message is None else ["opened"])


def test_eight_digests_are_sent_at_once_and_then_one_in_a_quarter_of_an_hour(bench: Bench) -> None:
    first = [opened(severity="low", ticker="KO"), opened(severity="medium", ticker="MSFT")]
    assert bench.take(*first) == ["digest", None]
    (said,) = bench.said()
    assert said.title == "Digest: 2 incidents: MSFT price spike (medium), KO price spike (low)"
    for n in range(7):
        assert bench.take(opened(T0_MS + n, "low", ticker=f"T{n}"), at_ms=bench.now_ms + 1) == ["digest"]
    waits = [opened(T0_MS + 9, "low", ticker="XOM"), worse(first[0], T0_MS + 10, "medium")]
    assert bench.take(*waits) == [None] * 2
    began_ms = T0_MS + 200
    bench.now_ms = began_ms + 15 * MINUTE_MS - 1
    assert bench.take(opened(bench.now_ms, "low", ticker="IBM")) == [None]
    bench.now_ms = began_ms + 15 * MINUTE_MS
    assert bench.take(opened(bench.now_ms, "low", ticker="PG")) == ["digest"]
    assert bench.take(opened(bench.now_ms, "low", ticker="GE")) == [None]
    bench.sweep(after_minutes=60)  # what waited is in the digest of the full hour
    assert bench.kinds() == ["digest"] * 10
    assert [len(bench.incident(event).notifications) for event in waits] == [1, 2]
    for n in range(5):
        sent = bench.take(opened(bench.now_ms, "low", ticker=f"U{n}"), at_ms=bench.now_ms + 1)
        assert sent == (["digest"] if n < 4 else [None])


def test_digests_of_one_moment_are_two(bench: Bench) -> None:
    """Functions at work at once make them: neither waits for the other's."""
    assert [*bench.take(opened(ticker="KO")), *bench.take(opened(ticker="PG"))] == ["digest"] * 2
    assert len({message.id for message in bench.sent()}) == 2
    assert [bench.incident(opened(ticker=one)).notified_rank for one in ("KO", "PG")] == [1, 1]


@pytest.mark.parametrize(
    "settings",
    [
        {"digest": {"every": "day"}},
        {"mute_timings": [{"from": "00:00", "until": "23:59", "unless": "low"}]},
        {"routes": [{"notify": "never"}]},
    ],
)
def test_minor_news_waits_where_digests_are_daily_or_muted(bench: Bench, settings: dict[str, object]) -> None:
    bench.settings = AlertSettings.model_validate(settings)
    assert bench.take(opened(severity="medium")) == [None]


def test_what_is_late_or_silenced_makes_no_digest_at_once(bench: Bench) -> None:
    bench.store.put_silence(Silence(bench.now_ms + HOUR_MS, "MSFT"))
    minor = opened(severity="low", late=True), opened(severity="low", ticker="MSFT")
    assert bench.take(*minor, opened(severity="low", source="replay-1")) == [None] * 3


def test_nothing_limits_how_many_critical_incidents_are_sent(bench: Bench) -> None:
    for n in range(200):
        event = opened(T0_MS + n * 1000, "critical", ticker=f"T{n}")
        assert bench.take(event, at_ms=event.at_ms) == ["opened"]


def test_an_incident_is_told_again_only_when_it_gets_worse(bench: Bench) -> None:
    first = opened(severity="high")
    second = opened(T0_MS + 1000, "high", kind="gap")
    assert bench.take(first, second) == ["opened", None]
    assert bench.take(worse(second, T0_MS + 2000, "critical")) == ["escalated"]
    assert bench.take(opened(T0_MS + 3000, "critical")) == [None]
    incident = bench.incident(first)
    assert (incident.anomalies, incident.open, incident.severity) == (3, 3, "critical")
    assert [one.kind for one in incident.notifications] == ["opened", "escalated"]


def test_medium_that_becomes_high_leaves_the_digest(bench: Bench) -> None:
    event = opened(severity="medium")
    assert bench.had_digests().take(event) == [None]
    assert bench.take(worse(event, T0_MS + 5000, "high")) == ["opened"]
    bench.sweep(after_minutes=61)
    assert bench.kinds() == ["opened"]


def test_an_escalation_that_overtakes_its_anomaly_is_the_one_message(bench: Bench) -> None:
    event = opened(severity="medium")
    assert bench.take(worse(event, T0_MS + 10, "high")) == ["opened"]
    assert bench.take(event) == [None]
    assert bench.incident(event).anomalies == 1
    assert bench.incident(event).samples[0].severity == "high"


def test_an_end_that_overtakes_its_anomaly_leaves_nothing_open(bench: Bench) -> None:
    event = opened(severity="high")
    bench.take(over(event, T0_MS + 10))
    bench.take(event)
    incident = bench.incident(event)
    assert (incident.anomalies, incident.open, incident.state(bench.now_ms)) == (1, 0, "resolved")
    assert incident.samples[0].ended_ms == T0_MS + 10


def test_anomalies_of_a_ticker_within_two_minutes_are_one_incident(bench: Bench) -> None:
    first = opened(severity="high")
    near, far = opened(T0_MS + 2 * MINUTE_MS, "high"), opened(T0_MS + 4 * MINUTE_MS + 1, "high")
    assert bench.take(first, near, far, at_ms=far.at_ms) == ["opened", None, "opened"]
    assert bench.incident(near).id == bench.incident(first).id != bench.incident(far).id


def test_the_end_of_what_lasted_is_told_once_nothing_followed(bench: Bench) -> None:
    event = opened(severity="high")
    bench.take(event)
    assert bench.take(over(event, T0_MS + 5 * MINUTE_MS), at_ms=T0_MS + 5 * MINUTE_MS) == [None]
    assert bench.incident(event).state(bench.now_ms) == "resolved"
    bench.sweep(after_minutes=1)
    assert bench.kinds() == ["opened"]
    bench.sweep(after_minutes=1)
    bench.sweep(after_minutes=60)
    assert bench.kinds() == ["opened", "resolved"]
    assert bench.said()[1].title == "Resolved after 5 min: AAPL price spike, peak severity high"


def test_what_goes_on_after_its_end_was_told_is_told_anew(bench: Bench) -> None:
    event, end_ms = opened(severity="high"), T0_MS + 5 * MINUTE_MS
    bench.take(event)
    bench.take(over(event, end_ms), at_ms=end_ms)
    bench.sweep(after_minutes=2)
    assert bench.kinds() == ["opened", "resolved"]
    again = opened(end_ms + 2 * MINUTE_MS, "high")
    assert bench.take(again) == ["opened"]
    assert bench.incident(again).id == bench.incident(event).id


def test_what_a_batch_brings_of_an_incident_is_one_message_about_the_worst_of_it(bench: Bench) -> None:
    high, critical = opened(severity="high"), opened(T0_MS + 1, "critical", kind="gap")
    assert bench.take(critical, high, opened(T0_MS + 2, "high", kind="level_shift")) == ["opened", None, None]
    (message,) = bench.sent()
    assert message.cause == critical.anomaly


def test_the_end_of_what_was_short_or_not_told_is_not_told(bench: Bench) -> None:
    short, quiet = opened(severity="high"), opened(severity="low", ticker="MSFT")
    bench.take(short, quiet)
    bench.take(over(short, T0_MS + 59_000), over(quiet, T0_MS + 20 * MINUTE_MS))
    bench.sweep(after_minutes=30)
    bench.sweep(after_minutes=60)
    assert bench.kinds() == ["opened", "digest"]


def _saying(event: AlertEvent, explanation: str) -> AlertEvent:
    return replace(event, anomaly=replace(event.anomaly, explanation=explanation))


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_an_anomaly_that_is_over_still_says_what_happened_whatever_came_first(
    bench: Bench, order: tuple[int, ...]
) -> None:
    first = _saying(opened(), "It rose.")
    more = _saying(worse(first, T0_MS + 100, "high"), "It rose by more.")
    events = (first, more, _saying(over(more, T0_MS + 200), "It is over."))
    for number in order:
        bench.take(events[number])
    (sample,) = bench.incident(first).samples
    assert (sample.explanation, sample.severity, sample.ended_ms) == ("It rose by more.", "high", T0_MS + 200)


def test_what_is_repeated_names_the_anomaly_that_goes_on(bench: Bench) -> None:
    worst, other = opened(severity="critical"), opened(T0_MS + 100, "low", kind="vol_shift")
    bench.take(worst, other, over(worst, T0_MS + 200))
    bench.sweep(after_minutes=4 * 60 + 1)
    assert bench.kinds() == ["opened", "repeated"]
    assert bench.said()[-1].title.startswith("Still CRITICAL: AAPL volatility shift, ")


def test_what_goes_on_is_repeated_until_somebody_acknowledges_it(bench: Bench) -> None:
    event = opened(severity="high")
    bench.take(event)
    bench.sweep(after_minutes=239)
    bench.sweep(after_minutes=2)
    assert bench.kinds() == ["opened", "repeated"]
    until_ms = bench.now_ms + 8 * HOUR_MS
    bench.store.acknowledge(bench.incident(event).id, Acknowledgement("me", until_ms, 2), bench.now_ms)
    assert bench.incident(event).state(bench.now_ms) == "acknowledged"
    bench.sweep(after_minutes=5 * 60)
    assert bench.kinds() == ["opened", "repeated"]
    bench.sweep(after_minutes=4 * 60)
    assert bench.kinds() == ["opened", "repeated", "repeated"]


def test_what_is_acknowledged_is_told_again_only_if_it_gets_worse(bench: Bench) -> None:
    event = opened(severity="medium")
    bench.had_digests().take(event)
    _acknowledge(bench, event)
    assert bench.take(opened(T0_MS + 1000, "medium", kind="gap")) == [None]
    bench.sweep(after_minutes=45)
    assert bench.kinds() == []
    assert bench.take(worse(event, bench.now_ms, "high")) == ["opened"]
    _acknowledge(bench, event)
    assert bench.store.acknowledged(bench.now_ms) == [bench.incident(event)]
    assert bench.take(worse(event, bench.now_ms, "critical")) == ["escalated"]
    assert bench.incident(event).state(bench.now_ms) == "open"
    assert bench.store.acknowledged(bench.now_ms) == []


def _acknowledge(bench: Bench, event: AlertEvent) -> None:
    known = Acknowledgement("me", bench.now_ms + HOUR_MS, 0)
    assert bench.store.acknowledge(bench.incident(event).id, known, bench.now_ms) is not None


@pytest.fixture
def pager() -> Bench:
    """A notifier with a channel in which an incident is open until it is resolved."""
    return Bench(settings=AlertSettings(channels={"pager": ChannelSettings(type="pagerduty")}), watched=4)


def test_an_acknowledgement_is_sent_to_what_keeps_a_state_and_to_nothing_else(pager: Bench) -> None:
    event = opened(severity="high")
    pager.take(event)
    pager.store.put_silence(Silence(pager.now_ms + HOUR_MS, "AAPL"))
    _acknowledge(pager, event)
    pager.sweep(after_minutes=1)
    pager.sweep(after_minutes=1)
    assert [message.kind for message in pager.sent("pager")] == ["opened", "acknowledged"]
    assert pager.kinds() == ["opened"]
    (due,) = pager.store.due(pager.now_ms + 5 * HOUR_MS)
    assert int(due[1][1].partition("#")[0]) >= pager.now_ms + 30 * MINUTE_MS  # no sweep looks at it before


def test_an_acknowledgement_that_was_not_taken_comes_again_though_its_ticker_is_silenced(
    pager: Bench,
) -> None:
    event = opened(severity="high")
    pager.take(event)
    pager.store.put_silence(Silence(pager.now_ms + HOUR_MS, "AAPL"))
    _acknowledge(pager, event)
    pager.phones.down["pager"] = ChannelError("down", where="pager")
    pager.sweep(after_minutes=1)
    assert [message.kind for message in pager.sent("pager")] == ["opened"]
    del pager.phones.down["pager"]
    pager.sweep(after_minutes=1)
    assert [message.kind for message in pager.sent("pager")] == ["opened", "acknowledged"]


def test_what_keeps_a_state_is_sent_every_end_and_no_digest(pager: Bench) -> None:
    short = opened(severity="high")
    pager.take(short, opened(severity="low", ticker="KO"))
    pager.take(over(short, T0_MS + 5_000))
    pager.sweep(after_minutes=60)
    assert [message.kind for message in pager.sent("pager")] == ["opened", "resolved"]
    assert pager.kinds() == ["opened", "digest"]


def test_what_a_market_wide_incident_takes_over_is_resolved_where_a_state_is_kept(pager: Bench) -> None:
    crash = [opened(T0_MS + n, "high", ticker=f"T{n}", unit="return", value=-0.01) for n in range(4)]
    for event in crash:
        pager.take(event)
    assert len(pager.store.unresolved("live", ["market", "T0", "T1", "T2", "T3"])) == 1
    pager.sweep(after_minutes=1)
    of: dict[str, list[str]] = {}
    for message in pager.sent("pager"):
        assert message.incident is not None
        of.setdefault(message.incident.id, []).append(message.kind)
    assert of.pop("live-market-1795530600003") == ["opened"]
    assert list(of.values()) == [["opened", "resolved"]] * 3
    assert pager.kinds() == ["opened"] * 4


def test_an_incident_of_which_nothing_is_heard_for_a_day_is_over(bench: Bench) -> None:
    event = opened(severity="low")
    bench.take(event)
    bench.sweep(after_minutes=60)
    bench.sweep(after_minutes=24 * 60)
    assert bench.incident(event).state(bench.now_ms) == "resolved"


def test_silenced_is_sent_once_it_is_not(bench: Bench) -> None:
    silence = Silence(bench.now_ms + 3 * HOUR_MS, "AAPL", "price_spike", reason="earnings")
    bench.store.put_silence(silence)
    assert bench.take(opened(severity="critical"), opened(severity="high", ticker="MSFT")) == [None, "opened"]
    bench.sweep(after_minutes=120)
    assert bench.kinds() == ["opened"]
    assert bench.store.delete_silence(silence.scope)
    assert not bench.store.delete_silence(silence.scope)
    bench.sweep(after_minutes=1)
    assert bench.kinds() == ["opened", "opened"]


def test_a_digest_that_was_not_taken_waits_where_all_of_it_is_silenced(bench: Bench) -> None:
    bench.phones.down["sns"] = ChannelError("down", where="sns")
    bench.take(opened(severity="low"), opened(severity="low", ticker="KO"))
    bench.phones.down.clear()
    bench.store.put_silence(Silence(bench.now_ms + HOUR_MS, "AAPL"))
    bench.store.put_silence(Silence(bench.now_ms + HOUR_MS, "KO"))
    bench.sweep(after_minutes=59)
    assert bench.kinds() == []
    assert bench.store.delete_silence("KO#*")
    bench.sweep(after_minutes=0.5)
    assert bench.kinds() == ["digest"]


def test_a_silence_of_a_month_loses_nothing(bench: Bench) -> None:
    bench.store.put_silence(Silence(bench.now_ms + 30 * 24 * HOUR_MS, "AAPL"))
    bench.take(opened(severity="critical"))
    bench.sweep(after_minutes=29 * 24 * 60)
    assert bench.sent() == []
    bench.sweep(after_minutes=24 * 60 + 1)
    bench.sweep(after_minutes=1)
    assert bench.kinds() == ["digest"]


def test_by_night_only_the_worst_is_sent_and_digests_wait(bench: Bench) -> None:
    night = MuteTiming(start=time(9, 0), end=time(12, 0), unless="critical")  # T0 is 9:30 in New York
    bench.settings = AlertSettings(mute_timings=(night,))
    sent = bench.take(opened(severity="high"), opened(severity="critical", ticker="MSFT"))
    assert sent == [None, "opened"]
    bench.sweep(after_minutes=90)
    assert bench.kinds() == ["opened"]
    bench.sweep(after_minutes=61)
    assert bench.kinds() == ["opened", "opened"]


@pytest.mark.parametrize("digest", ["hour", "day"])
def test_what_only_a_mute_timing_or_a_silence_keeps_back_is_sent_when_it_ends(
    bench: Bench, digest: str
) -> None:
    """Where digests are daily it would otherwise be sent hours after the mute timing."""
    lunch = MuteTiming(start=time(9, 0), end=time(9, 40), unless="none")  # T0 is 9:30 in New York
    bench.settings = AlertSettings(
        mute_timings=(lunch,), digest=DigestTimes.model_validate({"every": digest})
    )
    bench.store.put_silence(Silence(bench.now_ms + 15 * MINUTE_MS, "KO"))
    events = [
        opened(severity=how, ticker=of) for of, how in (("AAPL", "critical"), ("KO", "high"), ("PG", "low"))
    ]
    bench.take(*events, *[over(event, T0_MS + MINUTE_MS) for event in events])
    bench.sweep(after_minutes=9)
    assert bench.kinds() == []
    bench.sweep(after_minutes=2)
    bench.sweep(after_minutes=5)
    assert [
        subject_of(one) for message in bench.sent() if message.digest for one in message.digest.listed
    ] == [
        "AAPL price spike",
        "KO price spike",
    ]


@pytest.mark.parametrize("pager", [{}, {"pager": ChannelSettings(type="pagerduty")}])
def test_what_still_goes_on_when_its_mute_timing_or_silence_ends_is_sent_at_once_to_all(
    bench: Bench, pager: dict[str, ChannelSettings]
) -> None:
    """As in Alertmanager. It was in a digest only, of which PagerDuty gets none: a page was missed for good."""
    mute = MuteTiming(start=time(9, 0), end=time(9, 40), unless="critical")  # T0 is 9:30 in New York
    bench.settings = AlertSettings(mute_timings=(mute,), channels=pager)
    bench.store.put_silence(Silence(bench.now_ms + 5 * MINUTE_MS, "AAPL"))
    bench.store.put_silence(Silence(bench.now_ms + 5 * MINUTE_MS, "PG"))
    critical, high, known = (
        opened(severity=how, ticker=of)
        for of, how in (("AAPL", "critical"), ("KO", "high"), ("PG", "critical"))
    )
    bench.take(critical, high, known)
    (pg,) = (one for one in bench.incidents() if one.subject == "PG")
    bench.store.acknowledge(pg.id, Acknowledgement("ann", bench.now_ms + HOUR_MS, 3), bench.now_ms)
    bench.sweep(after_minutes=4)
    assert bench.kinds() == []
    bench.sweep(after_minutes=2)  # the silence ended, and no mute timing keeps a critical one back
    assert [(one.kind, one.incident and one.incident.subject) for one in bench.sent()] == [("opened", "AAPL")]
    bench.sweep(after_minutes=5)
    bench.sweep(after_minutes=5)
    bench.take(worse(high, bench.now_ms, "critical"))
    assert [
        (one.kind, one.incident.subject if one.incident else "", one.channels) for one in bench.sent()
    ] == [
        ("opened", "AAPL", ("sns", *pager)),
        ("opened", "KO", ("sns", *pager)),
        ("escalated", "KO", ("sns", *pager)),
    ]


def test_late_replayed_and_stale_are_in_digests_and_a_backfill_in_nothing(bench: Bench) -> None:
    late = opened(T0_MS, "critical", late=True)
    replayed = opened(T0_MS, "critical", ticker="MSFT", source="replay-2026")
    stale = opened(T0_MS - 16 * MINUTE_MS, "critical", ticker="NVDA")
    assert bench.take(late, replayed, stale) == [None] * 3
    bench.sweep(after_minutes=60)
    assert bench.kinds() == ["digest", "digest"]
    assert {
        message.digest.origin: message.digest.incidents for message in bench.sent() if message.digest
    } == {
        "live": 2,
        "replay": 1,
    }


def test_live_quotes_that_carry_on_what_began_in_a_backfill_are_an_incident_of_their_own(
    bench: Bench,
) -> None:
    past = opened(T0_MS, "low", source="backfill-alpaca")
    live = replace(past, source="alpaca")
    assert bench.take(past, worse(past, T0_MS + 1, "medium")) == [None, None]
    assert bench.take(worse(live, bench.now_ms, "critical")) == ["opened"]
    incident = bench.incident(live)
    assert (incident.origin, incident.anomalies, incident.open) == ("live", 1, 1)
    assert bench.take(worse(live, bench.now_ms, "critical"), past, over(live, bench.now_ms + 1)) == [None] * 3
    assert {each.origin: each.resolved_ms is not None for each in bench.incidents()} == {
        "backfill": True,
        "live": True,
    }


def test_late_ones_are_incidents_of_their_own(bench: Bench) -> None:
    late, live = opened(T0_MS, "critical", late=True), opened(T0_MS + 1, "high", kind="gap")
    assert bench.take(late, live) == [None, "opened"]
    assert bench.incident(late).id != bench.incident(live).id


def test_simulated_is_labelled(bench: Bench) -> None:
    bench.take(
        opened(severity="high", source="simulated"), opened(severity="low", ticker="MSFT", source="simulated")
    )
    bench.sweep(after_minutes=60)
    for said in bench.said():
        assert said.title.startswith("[SIMULATED] ")
        assert sms(said).startswith("[SIMULATED] ")
        assert subject(said).startswith("[SIMULATED] ")


def test_a_misprint_inhibits_spike_and_spread_of_its_print(bench: Bench) -> None:
    misprint = opened(severity="medium", kind="bad_tick")
    spike, spread = opened(severity="critical"), opened(T0_MS + 5000, "critical", kind="spread_blowout")
    assert bench.had_digests().take(spike, misprint, spread) == [None] * 3
    incident = bench.incident(misprint)
    assert (incident.anomalies, incident.severity, incident.samples[0].kind) == (3, "medium", "bad_tick")
    bench.take(over(misprint, T0_MS + 10_000))
    assert bench.take(opened(T0_MS + 11_000, "critical")) == ["opened"]


def test_more_tickers_than_are_watched_are_no_share_of_them(bench: Bench) -> None:
    bench.watched = 4  # five before somebody took one off the list
    bench.take(*(opened(T0_MS + n, "critical", ticker=f"T{n}", kind="gap") for n in range(5)))
    assert [said.title for said in bench.said()] == [
        "CRITICAL: feed stall, 5 tickers within a minute (T0, T1, T2, T3, T4)"
    ]


def test_a_market_wide_move_is_one_incident_with_its_tickers_ranked(bench: Bench) -> None:
    bench.watched = 10
    crash = [
        opened(T0_MS + n, "critical", ticker=f"T{n}", value=-0.01 * (n + 1), unit="return") for n in range(10)
    ]
    assert bench.take(*crash) == ["opened", *[None] * 9]
    (incident,) = bench.incidents()
    assert (incident.subject, incident.anomalies, len(incident.tickers)) == ("market", 10, 10)
    (said,) = bench.said()
    assert said.title == (
        "CRITICAL: market-wide, 10 of 10 tickers within a minute (T0, T1, T2, T3, T4 and 5 more)"
    )
    assert said.lines[0].startswith("First to move (EST): T0 09:30:00, T1 ")
    assert said.lines[1].startswith("Largest moves: T9 -10.00%, T8 -9.00%")


def test_singles_that_came_before_are_merged_into_it(bench: Bench) -> None:
    bench.watched = 10
    crash = [opened(T0_MS + n, "critical" if n == 0 else "high", ticker=f"T{n}") for n in range(10)]
    sent = [bench.take(event)[0] for event in crash]
    assert sent == ["opened"] * 4 + [None] * 6  # three of one ticker, one of the market
    (incident,) = bench.incidents()
    assert (incident.subject, incident.severity) == ("market", "critical")
    assert (incident.anomalies, incident.open) == (10, 10)
    assert {bench.incident(event).id for event in crash} == {incident.id}
    assert bench.store.unresolved("live", ["market", *(event.anomaly.ticker for event in crash)]) == [
        incident
    ]


def test_what_began_before_a_move_of_the_market_stays_an_incident_of_its_own(bench: Bench) -> None:
    bench.watched = 10
    old = opened(T0_MS - 90_000, "high", ticker="T0")
    bench.take(old, at_ms=T0_MS - 90_000)
    crash = [opened(T0_MS + n, "high", ticker=f"T{n}", kind="level_shift") for n in range(4)]
    for event in crash:
        bench.take(event, at_ms=T0_MS + 10)
    assert {bench.incident(event).id for event in (old, crash[0])} == {bench.incident(old).id}
    assert bench.incident(old).subject == "T0"
    assert [bench.incident(event).subject for event in crash[1:]] == ["market"] * 3


@pytest.mark.parametrize("change", ["escalated", "ended"])
def test_what_gets_worse_or_ends_is_no_move_of_the_market(bench: Bench, change: Change) -> None:
    bench.watched = 10
    before_ms = T0_MS - 10 * MINUTE_MS
    old = [opened(before_ms + n * 130_000, "low", ticker=f"T{n}") for n in range(3)]
    for event in old:
        bench.take(event, at_ms=event.at_ms)
    later = [replace(worse(event, T0_MS, "medium"), change=change) for event in old]
    bench.take(*later, opened(ticker="T9", severity="high"), at_ms=T0_MS)
    assert sorted(incident.subject for incident in bench.incidents()) == ["T0", "T1", "T2", "T9"]


def test_what_the_market_takes_over_is_repeated_no_sooner_than_it_would_have_been(bench: Bench) -> None:
    bench.watched = 4
    bench.settings = AlertSettings(routes=(Route(ticker=("T3",), notify="never"), Route()))
    for n in range(4):
        bench.take(opened(T0_MS + n, "high", ticker=f"T{n}"))
    assert [incident.subject for incident in bench.incidents()] == ["market"]
    bench.sweep(after_minutes=239)
    assert bench.kinds() == ["opened"] * 3
    bench.sweep(after_minutes=2)
    assert bench.kinds() == ["opened"] * 3 + ["repeated"]


def test_what_a_batch_tells_of_long_ago_hides_nothing_of_now(bench: Bench) -> None:
    bench.watched = 10
    old = opened(T0_MS - 4 * MINUTE_MS, "low", ticker="OLD", kind="gap")
    bench.take(old, opened(T0_MS, "high", ticker="T0", kind="gap"), at_ms=T0_MS)
    stall = [opened(T0_MS + n, "high", ticker=f"T{n}", kind="gap") for n in range(1, 4)]
    bench.take(*stall, at_ms=T0_MS + 10)
    assert {bench.incident(event).subject for event in stall} == {"feed"}
    assert sorted(move.ticker for move in bench.incident(stall[0]).tickers) == ["T0", "T1", "T2", "T3"]


def test_a_stall_over_many_tickers_is_one_incident(bench: Bench) -> None:
    bench.watched = 8
    stall = [opened(T0_MS + n, "low", ticker=f"T{n}", kind="gap") for n in range(8)]
    assert bench.take(*stall) == ["opened", *[None] * 7]
    assert bench.said()[0].title.startswith("HIGH: feed stall, 8 of 8 tickers")
    bench.take(*(over(event, event.at_ms + 90_000) for event in stall), at_ms=T0_MS + 90_000)
    bench.sweep(after_minutes=3)
    assert bench.kinds() == ["opened", "resolved"]
    assert len(bench.incidents()) == 1


def test_what_is_worse_than_the_market_breaks_through_it_and_after_it_all_is_as_before(bench: Bench) -> None:
    bench.watched = 5
    crash = [opened(T0_MS + n, "medium", ticker=f"T{n}") for n in range(4)]
    assert bench.take(*crash) == ["opened", None, None, None]
    assert bench.take(opened(T0_MS + 5000, "high", ticker="T4")) == [None]
    assert bench.take(worse(crash[2], T0_MS + 9000, "critical")) == ["escalated"]
    assert bench.take(worse(crash[3], T0_MS + 9500, "critical")) == [None]
    alone = opened(T0_MS + 10 * MINUTE_MS, "high", ticker="T4")
    assert bench.take(alone, at_ms=alone.at_ms) == ["opened"]
    assert bench.incident(alone).subject == "T4"


def test_a_silenced_ticker_is_not_in_a_market_wide_incident(bench: Bench) -> None:
    bench.watched = 10
    bench.store.put_silence(Silence(bench.now_ms + HOUR_MS, ticker="T0"))
    assert bench.take(*(opened(T0_MS + n, ticker=f"T{n}") for n in range(5))) == [
        None,
        "opened",
        None,
        None,
        None,
    ]
    (said,) = bench.said()
    assert "T0" not in said.title + email(said)


def test_one_ticker_with_many_kinds_is_no_move_of_the_market(bench: Bench) -> None:
    bench.watched = 1
    kinds = ("price_spike", "level_shift", "volume_burst", "vol_shift", "slow_drift")
    bench.take(*(opened(severity="high", kind=kind) for kind in kinds))
    assert [incident.subject for incident in bench.incidents()] == ["AAPL"]


def test_routes_decide_where_and_when(bench: Bench) -> None:
    bench.settings = AlertSettings.model_validate(
        {
            "channels": {"desk": {"type": "sns", "settings": {"topic_arn": "arn:aws:sns:us-east-1:1:desk"}}},
            "routes": [
                {"ticker": "TSLA", "notify": "never"},
                {"ticker": "MSFT", "channels": ["desk"], "notify": "at_once"},
                {"kind": "gap", "severity": ["high"], "notify": "digest", "channels": "desk"},
            ],
        }
    )
    events = [
        opened(severity="critical", ticker="TSLA"),
        opened(severity="low", ticker="MSFT"),
        opened(severity="high", ticker="KO", kind="gap"),
        opened(severity="high", ticker="XOM"),
    ]
    assert bench.had_digests().take(*events) == [None, "opened", None, "opened"]
    bench.sweep(after_minutes=60)
    assert [message.kind for message in bench.sent("desk")] == ["opened", "opened", "digest"]
    assert [message.incident.subject for message in bench.sent() if message.incident] == ["XOM"]
    assert bench.incident(events[0]).state(bench.now_ms) == "open"  # it is there all the same


def test_a_route_without_channels_sends_nothing(bench: Bench) -> None:
    bench.settings = AlertSettings(routes=(Route(channels=()),))
    assert bench.take(opened(severity="critical")) == [None]
    bench.sweep(after_minutes=60)
    assert bench.sent() == []


def test_a_digest_lists_the_worst_and_counts_the_rest(bench: Bench) -> None:
    bench.had_digests()
    bench.take(*(opened(T0_MS + n, "low", ticker=f"T{n}") for n in range(60)), at_ms=T0_MS + 1000)
    bench.take(opened(T0_MS + 100, "medium", ticker="WORST"))
    bench.sweep(after_minutes=60)
    assert bench.kinds() == ["digest"]
    (said,) = bench.said()
    assert (
        said.title == "Digest: 61 incidents: WORST price spike (medium), T0 price spike (low) and 59 others"
    )
    assert said.lines[-1] == "and 41 more incidents"
    assert len(said.lines) == 22


def test_two_sweeps_of_one_millisecond_make_two_digests(bench: Bench) -> None:
    """With one id the second of them counts as sent already."""
    bench.had_digests().take(opened(severity="low"))
    bench.sweep(after_minutes=60)
    due_ms, bench.now_ms = bench.now_ms, T0_MS + 1000
    bench.take(opened(severity="low", ticker="KO"))
    bench.now_ms = due_ms
    bench.sweep()
    first, second = bench.sent()
    assert first.made_ms == second.made_ms
    assert first.id != second.id


def test_a_digest_that_an_older_version_began_has_an_id_as_a_message() -> None:
    digest = decode(
        '{"origin":"live","channels":["sns","desk"],"started_ms":1,"lines":[],"incidents":1}', Digest
    )
    assert digest.message(5).id == "digest-live-sns-desk-5"


def test_a_digest_that_grew_meanwhile_is_not_closed(bench: Bench) -> None:
    events = [opened(severity="low"), opened(severity="low", ticker="KO")]
    bench.had_digests().take(*events)
    first, both = Digest("live", ("sns",), "digest-1"), Digest("live", ("sns",), "digest-1")
    for digest in (
        first.with_incident(bench.incident(events[0])),
        both.with_incident(bench.incident(events[1])),
    ):
        cache = AlertCache(bench.table)
        cache.get(digest_place("live", ("sns",)), Digest)
        cache.put(digest_place("live", ("sns",)), digest)
        bench.store.commit(cache, [], bench.now_ms)
    with pytest.raises(ConflictError):
        bench.store.finish_digest(first, 1, bench.now_ms)
    assert [version for _, version in bench.store.open_digests()] == [2]


def test_an_anomaly_that_ends_after_its_incident_timed_out_opens_nothing(bench: Bench) -> None:
    event = opened(severity="high")
    bench.take(event)
    for _ in range(26):
        bench.sweep(after_minutes=60)
    assert bench.incident(event).state(bench.now_ms) == "resolved"
    bench.take(over(event, bench.now_ms))
    incident = bench.incident(event)
    assert (incident.open, incident.state(bench.now_ms)) == (0, "resolved")


def test_nobody_is_notified_of_the_past_that_a_simulation_begins_with(bench: Bench) -> None:
    later_ms = T0_MS + 180_000
    bench.take(opened(severity="critical", source="simulated"), at_ms=later_ms)
    assert bench.sent() == []
    bench.take(
        opened(severity="critical", ticker="MSFT"), at_ms=later_ms
    )  # a live one that comes late is news
    assert len(bench.sent()) == 1
