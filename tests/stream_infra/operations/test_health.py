"""The short judgement, on facts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from consumers.contracts.counts import TickCounts
from stream_infra import names
from stream_infra.operations.doctor import causes, examine, inputs
from stream_infra.operations.facts import (
    EventRule,
    FeedFacts,
    Function,
    MonitorFacts,
    QuoteSource,
    Stream,
    TableFacts,
    WebAddress,
    Windows,
)
from stream_infra.operations.health import Finding, healthy, judge

NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
LATELY, LONG_AGO = NOW - timedelta(seconds=4), NOW - timedelta(minutes=30)
WINDOWS = Windows(
    committed=dict.fromkeys(range(4), LATELY),
    counts=TickCounts(10, 10),
    ticks={"AAPL": LATELY, "MSFT": LATELY},
    tickers={0: ("AAPL", "KO"), 2: ("AMZN",), 3: ("MSFT",)},
)
SOUND = MonitorFacts(
    now=NOW,
    local=True,
    aws="http://127.0.0.1:4566",
    programs={"emulator": 11, "front-door": 12, "event-source-mapping": 13},
    functions=dict.fromkeys(names.FUNCTIONS, Function(last_ran=LATELY)),
    rules=dict.fromkeys((names.SCHEDULE_RULE, names.DIGEST_RULE, names.ANOMALY_RULE), EventRule()),
    queues={names.DEAD_LETTER_QUEUE: 0, names.NOTIFIER_DEAD_LETTER_QUEUE: 0, names.NOTIFIER_QUEUE: 4},
    tables={names.ANOMALIES_TABLE: TableFacts(), names.WINDOWS_TABLE: TableFacts()},
    stream=Stream(arrived={str(n): LATELY for n in range(4)}),
    windows=WINDOWS,
    api=WebAddress("http://127.0.0.1:8080/api"),
    dashboard=WebAddress("http://127.0.0.1:8080/"),
    outbox=WebAddress("http://127.0.0.1:8080/outbox"),
)


def failed(facts: MonitorFacts) -> list[Finding]:
    return [finding for finding in judge(facts) if finding.state == "failed"]


def test_a_sound_monitor_works() -> None:
    assert failed(SOUND) == []
    assert healthy(judge(SOUND))
    assert {"stream", "scanner", "detector", "windows", "API", "outbox"} <= {f.part for f in judge(SOUND)}


def test_a_parameter_without_effect_fails_and_one_with_half_of_it_is_named() -> None:
    """All was said to work, while a threshold was not in force and tickers were not polled."""
    given = {names.TICKER_PARAMETER: "AAPL; MSFT 0700.HK", names.THRESHOLD_PARAMETER: "2,5"}
    facts = replace(SOUND, parameters=given)
    (found,) = failed(facts)
    assert found.detail.startswith(
        'parameter /stock-tracker/threshold: the threshold is "2,5"; must be a number'
    )
    assert found.action == "stock-monitor recover parameter /stock-tracker/threshold"
    (listed,) = (one for one in judge(facts) if one.part == "watch list")
    assert (listed.state, "'AAPL;' is no ticker" in listed.detail) == ("ok", True)
    (gone,) = failed(replace(SOUND, parameters={names.TICKER_PARAMETER: None}))
    assert (gone.part, gone.detail) == ("watch list", "is not there")


def test_a_partition_that_stands_still_is_not_hidden_by_the_news_of_the_others() -> None:
    stuck = replace(WINDOWS, committed={**WINDOWS.committed, 0: NOW - timedelta(minutes=5)})
    (found,) = failed(replace(SOUND, windows=stuck))
    assert found.part == "windows"
    assert "partition 0 (AAPL, KO) stands still since 5 min ago" in found.detail
    assert "stock-detector" in found.action


def test_a_partition_without_any_window_fails_when_its_ticks_are_on_the_stream() -> None:
    (found,) = failed(replace(SOUND, windows=replace(WINDOWS, committed={**WINDOWS.committed, 2: None})))
    assert "partition 2 (AMZN) holds nothing" in found.detail


@pytest.mark.parametrize(("minutes", "fails"), [(5, False), (11, True)])
def test_a_partition_that_the_scanner_sends_no_more_fails_after_the_longest_halt(
    minutes: int, fails: bool
) -> None:
    arrived = {str(n): LATELY for n in (0, 1, 3)}
    committed = {**WINDOWS.committed, 2: NOW - timedelta(minutes=minutes)}
    facts = replace(SOUND, stream=Stream(arrived=arrived), windows=replace(WINDOWS, committed=committed))
    assert [finding.part for finding in failed(facts)] == ["windows"] * fails
    assert failed(replace(facts, market_open=False)) == []


def test_a_partition_without_watched_tickers_may_be_silent() -> None:
    arrived = {str(n): LATELY for n in (0, 2, 3)}
    committed = {**WINDOWS.committed, 1: LONG_AGO}
    facts = replace(SOUND, stream=Stream(arrived=arrived), windows=replace(WINDOWS, committed=committed))
    assert failed(facts) == []


def test_a_tick_of_the_future_is_a_wrong_clock_not_news() -> None:
    ahead = replace(WINDOWS, ticks={"AAPL": NOW + timedelta(days=1), "MSFT": LATELY})
    (found,) = failed(replace(SOUND, windows=ahead))
    assert (found.part, found.age_seconds) == ("windows", -86_400.0)
    assert "newest tick of AAPL 86,400 s in the future" in found.detail
    assert "clock" in found.action


def test_what_a_clock_that_was_ahead_left_is_no_failure_once_others_have_news() -> None:
    ahead = NOW + timedelta(hours=1)
    windows = replace(
        WINDOWS, ticks={**WINDOWS.ticks, "GONE": ahead}, committed={**WINDOWS.committed, 1: LATELY}
    )
    arrived = {**dict.fromkeys("023", LATELY), "1": ahead}
    facts = replace(SOUND, windows=windows, stream=Stream(arrived=arrived))
    assert failed(facts) == []
    assert list(inputs.clock(facts)) == []
    (found,) = failed(replace(facts, stream=Stream(arrived={"1": ahead})))
    assert (found.part, found.age_seconds) == ("stream", -3600.0)


def test_what_came_while_a_slow_machine_was_examined_is_new_and_not_of_the_future() -> None:
    came = NOW + timedelta(seconds=50)
    windows = replace(WINDOWS, ticks={"AAPL": came}, committed=dict.fromkeys(range(4), came))
    facts = replace(SOUND, stream=Stream(arrived={str(n): came for n in range(4)}), windows=windows)
    assert failed(replace(facts, until=NOW + timedelta(minutes=1))) == []
    assert [f.part for f in failed(replace(facts, until=NOW + timedelta(seconds=40)))] == [
        "stream",
        "windows",
    ]


def test_a_receiver_of_the_outbox_that_has_ended_is_found() -> None:
    ended = WebAddress("http://127.0.0.1:8080/outbox", "its receiver has ended: sent messages do not show")
    (found,) = failed(replace(SOUND, outbox=ended))
    assert (found.part, found.detail) == ("outbox", ended.problem)


def test_what_cannot_be_examined_is_never_well() -> None:
    found = failed(replace(SOUND, queues={}, unseen={"stock-scanner-dlq": "AccessDenied"}))
    assert [(finding.part, finding.detail) for finding in found] == [
        ("stock-scanner-dlq", "cannot be examined: AccessDenied")
    ]


def test_ticks_that_are_not_accounted_for_fail() -> None:
    (found,) = failed(replace(SOUND, windows=replace(WINDOWS, counts=TickCounts(10, 9))))
    assert found.part == "balance of ticks"


def test_news_of_before_the_start_are_no_failure_while_it_is_new() -> None:
    """`status` failed after `make down`, ten minutes and `make up`: "stock-scanner, last ran 10 min ago"."""
    functions = {**SOUND.functions, names.SCANNER: Function(last_ran=LONG_AGO)}
    assert [finding.part for finding in failed(replace(SOUND, functions=functions))] == ["scanner"]
    assert failed(replace(SOUND, functions=functions, just_deployed=True)) == []


def test_data_that_cannot_be_saved_are_named() -> None:
    """The monitor runs on, and what it holds would be lost with the next kill or power cut."""
    full = replace(SOUND, save_problem="No space left on device")
    detail = "the local AWS cannot save its data: No space left on device"
    assert failed(full) == [Finding("saved data", "failed", detail, "mend that, then run `make up`")]
    (diagnosis,) = examine(full)
    assert (diagnosis.cause, diagnosis.part, diagnosis.section) == (
        "not-saved",
        "saved data",
        "local-programs",
    )


def test_a_halted_program_is_named_with_what_makes_it_go_on() -> None:
    """One whose signal is SIGSTOP is there all the same, and of a halted mapping runner nothing said so for minutes."""
    facts = replace(SOUND, halted=(13,))
    assert failed(facts) == [
        Finding("event-source-mapping", "failed", "process 13 is halted by a signal", "run `make up`")
    ]
    (diagnosis,) = causes.programs(facts)
    assert (diagnosis.part, diagnosis.remedy) == ("event-source-mapping", "make up")
    assert diagnosis.finding == "the program event-source-mapping does not run: process 13 is halted"


def test_without_aws_only_programs_and_pages_are_judged() -> None:
    facts = MonitorFacts(
        NOW,
        local=True,
        aws_problem="refused",
        programs={"emulator": None},
        api=WebAddress("u", "down", False),
    )
    assert [finding.part for finding in failed(facts)] == ["emulator", "AWS", "API"]


@pytest.mark.parametrize("market_open", [True, False])
def test_old_news_is_idle_only_while_the_market_is_closed(market_open: bool) -> None:
    old = replace(
        SOUND,
        market_open=market_open,
        stream=Stream(),
        windows=replace(WINDOWS, ticks={"AAPL": LONG_AGO}, committed=dict.fromkeys(range(4), LONG_AGO)),
    )
    states = {finding.part: finding.state for finding in judge(old)}
    assert states["stream"] == states["windows"] == ("failed" if market_open else "idle")


@pytest.mark.parametrize(("just_deployed", "state"), [(True, "idle"), (False, "failed")])
def test_what_never_ran_is_no_failure_just_after_its_deployment(just_deployed: bool, state: str) -> None:
    functions = {**SOUND.functions, names.NOTIFIER: Function()}
    facts = replace(SOUND, functions=functions, just_deployed=just_deployed)
    assert [finding.state for finding in judge(facts) if finding.part == "notifier"] == [state]


def test_a_poll_that_failed_is_said_of_the_source_while_its_market_is_open() -> None:
    source, why = (
        QuoteSource("alpaca", "poll", ("XNYS open",), ("APCA_API_KEY_ID",)),
        "alpaca rejects the key",
    )
    failing = replace(SOUND, source=source, feed=FeedFacts("alpaca", NOW, failing=why))
    (found,) = failed(failing)
    assert found.detail == (
        "alpaca, by poll, market XNYS open; keys present: APCA_API_KEY_ID; "
        "the last poll failed: alpaca rejects the key"
    )
    assert failed(replace(failing, market_open=False)) == []
    assert failed(replace(failing, feed=FeedFacts("coinbase", NOW, failing=why))) == []  # the one before it


def test_polls_that_were_skipped_are_said_of_the_source_while_its_market_is_open() -> None:
    why = "7 of 12 polls were skipped: one of 4 tickers is due every 5 s and took up to 12.0 s"
    late = replace(SOUND, source=QuoteSource("alpaca", "poll"), feed=FeedFacts("alpaca", NOW, late=why))

    def said(facts: MonitorFacts) -> str:
        (found,) = [finding for finding in judge(facts) if finding.part == "source"]
        assert found.state == "ok"
        return found.detail.partition("; of the last scan ")[2]

    assert said(late) == why
    assert said(replace(late, market_open=False)) == ""
