"""What the parameter may hold, and what is said of what it may not."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import boto3
import pytest

from consumers.alerts.message_store import new_message
from consumers.alerts.model import Message
from consumers.alerts.parameters import PARAMETER, SettingsEditor
from consumers.alerts.settings import (
    AlertSettings,
    AlertSettingsError,
    DigestTimes,
    Hours,
    MarketWide,
    News,
    Way,
    parse,
)
from consumers.alerts.table import WRITES
from tests.aws import aws_in_memory

DESK = {"type": "sns", "settings": {"topic_arn": "arn:aws:sns:us-east-1:1:desk"}}


def test_everything_may_be_left_out() -> None:
    assert parse("{}") == AlertSettings()
    assert AlertSettings().channel_names == ("sns",)


def test_a_digest_for_the_most_channels_of_the_longest_names_fits_into_the_table() -> None:
    """DynamoDB API reference, TransactWriteItems: 100 writes; guide, "Constraints in Amazon DynamoDB": a sort key of
    1,024 bytes.
    """
    settings = parse(json.dumps({"channels": {f"desk-{number:027d}": DESK for number in range(20)}}))
    id_ = f"digest-simulated-{'T' * 32}-{10**12}#{10**6}"
    writes = list(new_message(Message(id_, "digest", 10**12, settings.channel_names), 10**12))
    assert len(writes) <= WRITES // 2, "the rest is for the incidents of the same transaction"
    assert max(len(write.place[1].encode()) for write in writes) <= 1024


def test_everything_may_be_set() -> None:
    text = {
        "time_zone": "Europe/Berlin",
        "channels": {"desk": DESK},
        "routes": [
            {
                "severity": ["high", "critical"],
                "ticker": ["brk.b"],
                "kind": "gap",
                "origin": "live",
                "hours": {"from": "09:30", "until": "16:00", "weekday": ["mon", "fri"]},
                "channels": ["desk"],
                "notify": "at_once",
            }
        ],
        "digest": {"every": "day", "at": "18:00"},
        "mute_timings": [{"from": "22:00", "until": "07:00", "time_zone": "UTC", "unless": "none"}],
        "repeat_interval_hours": 1,
        "resolved_after_minutes": 0,
        "stale_after_minutes": 5,
        "market_wide": {"share": 0.2, "at_least": 8, "at_most": 30},
    }
    settings = parse(json.dumps(text))
    assert settings.routes[0].ticker == ("BRK.B",)
    assert settings.routes[0].kind == ("gap",)
    assert parse('{"market_wide": null}').market_wide is None


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("6", "valid dictionary|object"),
        ("{", "JSON"),
        ('{"cooldown": 5}', "cooldown: unknown setting 'cooldown'; must be one of time_zone, routes, "),
        (
            '{"repeat_interval_hours": 0}',
            r"repeat_interval_hours: 0; must be greater than or equal to 0.25",
        ),
        (
            '{"routes": [{"kind": "spike"}]}',
            "routes.0.kind.0: 'spike' is no kind of anomaly; must be one of bad_tick, ",
        ),
        (
            '{"routes": [{"severity": "worst"}]}',
            "routes.0.severity.0: 'worst' is no severity; must be one of low, ",
        ),
        (
            '{"routes": [{"origin": "mars"}]}',
            "routes.0.origin.0: 'mars' is no origin; must be one of live, simulated",
        ),
        (
            '{"routes": [{"notify": "later"}]}',
            "routes.0.notify: 'later'; must be one of at_once, digest, never",
        ),
        ('{"routes": [{"channels": "desk"}]}', "routes.0.channels: 'desk' is no channel; must be one of sns"),
        (
            '{"routes": [{"tickers": "A"}]}',
            "routes.0.tickers: unknown setting 'tickers'.*; must be one of severity, ticker, kind",
        ),
        ('{"routes": [{"ticker": "A B"}]}', "routes.0.ticker.0: 'A B' is no ticker; must be "),
        ('{"routes": [{"hours": {"from": "9:30"}}]}', "routes.0.hours"),
        (
            '{"channels": {"desk": {"type": "fax"}}}',
            "channels.desk: 'fax' is no type of channel; must be one of ",
        ),
        (
            '{"channels": {"desk": {"type": "sns"}}}',
            "channels.desk: sns: setting topic_arn is missing; must be",
        ),
        (json.dumps({"channels": {"sns": DESK}}), "must be another name"),
        (
            json.dumps({"channels": {f"desk-{number}": DESK for number in range(21)}}),
            "channels: there are 21; must be at most 20",
        ),
        ('{"channels": {"My Desk": {"type": "sns"}}}', "channels.My Desk"),
        ('{"mute_timings": [{"from": "22:00"}]}', "mute_timings.0.until: is missing; must be given"),
        (
            '{"mute_timings": [{"from": "22:00", "to": "7:00"}]}',
            "mute_timings.0.to: unknown setting 'to'; must be one of from",
        ),
        ('{"mute_timings": [{"from": "07:00", "until": "07:00"}]}', "must be two different times"),
        ('{"time_zone": "New York"}', "time_zone: '.*' is no time zone; must be a name such as"),
        ('{"digest": {"every": "minute"}}', "digest.every"),
        (
            '{"digest": {"every": "day", "at": 18}}',
            "digest.at: .*18.* is no time of the day; must be one such as 18:00",
        ),
        ('{"digest": {"at": "18:00Z"}}', "digest.at: 18:00:00.00:00 has a zone; must be one such as 18:00"),
        (
            '{"mute_timings": [{"from": 22, "until": "07:00"}]}',
            "mute_timings.0.from: 22 is no time of the day",
        ),
        ('{"routes": [{"severity": []}]}', "routes.0.severity"),
        ('{"mute_timings": [{"from": "22:00", "until": "07:00", "weekday": []}]}', "mute_timings.0.weekday"),
        ('{"routes": [], "routes": [{"notify": "never"}]}', "'routes' stands twice"),
        pytest.param('{"digest": %s}' % ("9" * 5000), "number out of range", id="a number of 5,000 digits"),
        pytest.param("[" * 100_000, "recursion limit", id="100,000 brackets"),
        (
            '{"channels": {"desk": {"type": "webhook", "settings": {"url": "http://example.com"}}}}',
            "channels.desk: webhook: its address is not acceptable; must be an https:// address",
        ),
        ('{"market_wide": {"share": 40}}', r"market_wide.share: 40; must be less than or equal to 1"),
        ('{"market_wide": {"share": true}}', "market_wide.share: true; must be a number"),
        ('{"repeat_interval_hours": true}', "repeat_interval_hours: true; must be a number"),
        ('{"market_wide": {"at_most": 3}}', r"at_most is 3; must be at least at_least \(4\)"),
        ('{"digest": {"at": "18:00"}}', 'digest: at: must be left out, or every must be "day"'),
        (
            '{"digest": {"every": "day", "at": "1800"}}',
            "digest.at: .*18.* is no time of the day; must be one such as 18:00",
        ),
        (
            '{"mute_timings": [{"from": "9:30", "until": "24:00"}]}',
            "mute_timings.0.until: '24:00' is no time of the day",
        ),
        (
            '{"time_zone": "localtime"}',
            "time_zone: '.*' is no time zone",
        ),  # another one where the notifier runs
        ('{"time_zone": "right/UTC"}', "time_zone: '.*' is no time zone"),  # 27 s off
        (
            '{"time_zone": "america/new_york"}',
            "time_zone: '.*' is no time zone",
        ),  # known to some systems only
        ('{"context": {"sectors": {" ": ["A", "B"]}}}', "no name; must be 1 to 64 characters on one line"),
        ('{"context": {"sectors": {"a\\nb": ["A", "B"]}}}', "no name; must be 1 to 64 characters"),
        pytest.param(
            '{"context": {"sectors": {"%s": ["A", "B"]}}}' % ("x" * 65), "no name", id="65 characters"
        ),
        (
            '{"channels": {"desk": {"type": "sns", "settings": {"topic_arn": "desk"}}}}',
            "channels.desk: sns: its topic_arn is none; must be as in arn:aws:sns:",
        ),
        (
            '{"channels": {"desk": {"type": "webhook", "settings": {"url": "https://me:pw@example.com"}}}}',
            "channels.desk: webhook: its address holds a login, which is not sent",
        ),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(value: str, said: str) -> None:
    with pytest.raises(AlertSettingsError, match=said):
        parse(value)


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(AlertSettingsError, match=r"repeat_interval_hours.*; stale_after_minutes"):
        parse('{"repeat_interval_hours": 0, "stale_after_minutes": 0}')


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("now", "in_force"),
    [
        ("2026-11-24T02:59:59", False),  # 21:59:59 in New York
        ("2026-11-24T03:00:00", True),
        ("2026-11-24T11:59:59", True),
        ("2026-11-24T12:00:00", False),
        ("2026-07-01T02:00:00", True),  # summer time
        ("2026-11-01T05:30:00", True),  # the night in which summer time ends
        ("2026-11-01T12:00:00", False),
    ],
)
def test_hours_are_those_of_their_time_zone(now: str, in_force: bool) -> None:
    hours = Hours.model_validate({"from": "22:00", "until": "07:00"})
    assert hours.holds(_ms(now), "America/New_York") == in_force


def test_what_is_shown_can_be_put_in_force() -> None:
    held = parse(
        '{"routes": [{"ticker": "AAPL", "hours": {"from": "09:30", "until": "16:00"}}, {"channels": []}]}'
    )
    assert parse(held.model_dump_json(by_alias=True)) == held


@pytest.mark.parametrize(
    ("now", "in_force"),
    [
        ("2026-11-01T05:30", True),  # 01:30 in New York, and an hour later once more
        ("2026-11-01T06:30", True),
        ("2026-11-01T06:50", False),
        ("2026-03-08T06:30", True),  # half an hour before 02:00 becomes 03:00
        ("2026-03-08T07:00", False),
    ],
)
def test_hours_are_those_of_a_clock_on_the_wall(now: str, in_force: bool) -> None:
    hours = Hours.model_validate({"from": "01:15", "until": "01:45"})
    assert hours.holds(_ms(now), "America/New_York") == in_force


@pytest.mark.parametrize(
    ("now", "in_force"),
    [("2026-11-28T02:00", True), ("2026-11-28T23:00", False), ("2026-11-27T23:00", True)],
)
def test_a_night_is_of_the_day_on_which_it_began(now: str, in_force: bool) -> None:
    hours = Hours.model_validate({"from": "22:00", "until": "07:00", "weekday": "fri", "time_zone": "UTC"})
    assert hours.holds(_ms(now), "America/New_York") == in_force


@pytest.mark.parametrize(
    ("digest", "now", "due"),
    [
        (DigestTimes(), "2026-11-24T10:00:00", "2026-11-24T11:00:00"),
        (DigestTimes(), "2026-11-24T10:59:59", "2026-11-24T11:00:00"),
        (DigestTimes(every="day"), "2026-11-24T12:59:59", "2026-11-24T13:00:00"),  # 8:00 in New York
        (DigestTimes(every="day"), "2026-11-24T13:00:00", "2026-11-25T13:00:00"),
        (DigestTimes(every="day"), "2026-10-31T12:00:00", "2026-11-01T13:00:00"),  # summer time ends
    ],
)
def test_digests_are_by_schedule(digest: DigestTimes, now: str, due: str) -> None:
    assert digest.next_ms(_ms(now), "America/New_York") == _ms(due)


@pytest.mark.parametrize(
    ("time_zone", "now", "due"),
    [
        ("Asia/Kolkata", "2026-11-24T04:40:00", "2026-11-24T05:30:00"),  # 10:10 and 11:00 there
        ("Asia/Kathmandu", "2026-11-24T04:15:00", "2026-11-24T05:15:00"),  # on the hour: the next one
    ],
)
def test_a_full_hour_is_that_of_the_time_zone(time_zone: str, now: str, due: str) -> None:
    assert DigestTimes().next_ms(_ms(now), time_zone) == _ms(due)


@pytest.mark.parametrize("text", ['{"market_wide": {"at_least": 30}}', '{"digest": {"every": "hour"}}'])
def test_what_is_shown_of_few_settings_can_be_put_in_force(text: str) -> None:
    held = parse(text)
    assert parse(held.model_dump_json(by_alias=True)) == held


def test_the_first_route_that_matches_decides_and_the_rest_goes_to_all_channels() -> None:
    settings = parse(
        json.dumps(
            {
                "channels": {"desk": DESK, "phone": DESK},
                "routes": [
                    {"ticker": "TSLA", "severity": "critical", "channels": ["phone", "desk"]},
                    {"ticker": "TSLA", "channels": "desk", "notify": "digest"},
                ],
            }
        )
    )

    def way(severity: str, ticker: str) -> Way:
        return settings.route(News(severity=severity, ticker=ticker, kind="gap", origin="live"), 0)

    assert way("critical", "TSLA") == Way(channels=("phone", "desk"), notify="at_once")
    assert way("high", "TSLA") == Way(channels=("desk",), notify="digest")
    assert way("high", "AAPL") == Way(channels=("sns", "desk", "phone"), notify="at_once")
    assert way("medium", "AAPL").notify == "digest"


@pytest.mark.parametrize(("watched", "tickers"), [(1, 4), (10, 4), (11, 5), (49, 20), (700, 20)])
def test_a_market_wide_incident_is_a_share_of_the_watch_list(watched: int, tickers: int) -> None:
    assert MarketWide().tickers(watched) == tickers


def test_settings_are_written_as_parameter_store_takes_them() -> None:
    """Systems Manager guide, "Parameter Store reference": no {{}} in a value; "parameter tiers": 4 KB of it."""
    with aws_in_memory():
        ssm = boto3.client("ssm")
        editor = SettingsEditor(ssm)
        text = json.dumps({"context": {"sectors": {"{{chips}}": ["NVDA", "AMD"]}}})
        editor.replace(text, "ann@example.com")
        assert "{{" not in ssm.get_parameter(Name=PARAMETER)["Parameter"]["Value"]
        assert editor.read() == parse(text)
        sectors = {f"{number:02d}{'é' * 62}": ["NVDA", "AMD"] for number in range(30)}
        wide = json.dumps({"context": {"sectors": sectors}}, ensure_ascii=False)
        assert len(wide) < 4096
        with pytest.raises(
            AlertSettingsError, match=r"the settings are 4\d\d\d bytes long; must be at most 4096"
        ):
            editor.replace(wide, "ann@example.com")
