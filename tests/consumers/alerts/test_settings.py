"""What the parameter may hold, and what is said of what it may not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from consumers.alerts.settings import AlertSettings, AlertSettingsError, MarketWide, QuietHours, parse


def test_everything_may_be_left_out() -> None:
    assert parse("{}") == AlertSettings()
    assert AlertSettings().messages_per_hour == 6
    assert AlertSettings().cooldown_minutes == 15


def test_everything_may_be_set() -> None:
    text = {
        "cooldown_minutes": 5,
        "messages_per_hour": 12,
        "kinds": {"frozen_feed": "silent"},
        "tickers": {"brk.b": "off"},
        "quiet_hours": {"from": "22:00", "until": "07:00", "time_zone": "Europe/Berlin", "unless": "none"},
        "market_wide": {"share": 0.2, "at_least": 8},
    }
    settings = parse(json.dumps(text))
    assert settings.mode("BRK.B", "gap") == "off"
    assert settings.mode("BRK.B", "frozen_feed") == "off"
    assert settings.mode("AAPL", "frozen_feed") == "silent"
    assert settings.mode("AAPL", "gap") == "on"
    assert parse('{"market_wide": null}').market_wide is None


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("6", "valid dictionary|object"),
        ("{", "JSON"),
        (
            '{"cooldown": 5}',
            "cooldown: unknown setting .*must be one of cooldown_minutes, messages_per_hour, ",
        ),
        ('{"cooldown_minutes": 0}', r"cooldown_minutes: 0; must be greater than or equal to 1"),
        ('{"messages_per_hour": 1}', r"messages_per_hour: 1; must be greater than or equal to 2"),
        ('{"kinds": {"spike": "off"}}', "kinds.spike: no kind of anomaly; allowed are price_spike, "),
        ('{"kinds": {"gap": "quiet"}}', "kinds.gap: 'quiet'; must be 'on', 'silent' or 'off'"),
        ('{"tickers": {"A B": "off"}}', "tickers.A B: no ticker; allowed are "),
        ('{"quiet_hours": {"from": "22:00"}}', "quiet_hours.until: Field required"),
        (
            '{"quiet_hours": {"from": "22:00", "to": "7:00"}}',
            "quiet_hours.to: unknown setting .*must be one of from, until,",
        ),
        ('{"quiet_hours": {"from": "07:00", "until": "07:00"}}', "allowed are two different times"),
        (
            '{"quiet_hours": {"from": "22:00", "until": "07:00", "time_zone": "New York"}}',
            "quiet_hours.time_zone: no time zone; allowed are names such as",
        ),
        (
            '{"quiet_hours": {"from": "22:00", "until": "07:00", "unless": "worst"}}',
            "quiet_hours.unless: no severity; allowed are low, medium, high, critical and none",
        ),
        ('{"market_wide": {"share": 40}}', r"market_wide.share: 40; must be less than or equal to 1"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(value: str, said: str) -> None:
    with pytest.raises(AlertSettingsError, match=said):
        parse(value)


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(AlertSettingsError, match=r"cooldown_minutes.*; messages_per_hour"):
        parse('{"cooldown_minutes": 0, "messages_per_hour": 0}')


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("now", "ends"),
    [
        ("2026-11-24T02:59:59", None),  # 21:59:59 in New York
        ("2026-11-24T03:00:00", "2026-11-24T12:00:00"),
        ("2026-11-24T11:59:59", "2026-11-24T12:00:00"),
        ("2026-11-24T12:00:00", None),
        ("2026-07-01T02:00:00", "2026-07-01T11:00:00"),  # summer time
        ("2026-11-01T05:30:00", "2026-11-01T12:00:00"),  # the night in which summer time ends
    ],
)
def test_quiet_hours_are_those_of_their_time_zone(now: str, ends: str | None) -> None:
    quiet: Any = QuietHours.model_validate({"from": "22:00", "until": "07:00"})
    assert quiet.end_ms(_ms(now)) == (None if ends is None else _ms(ends))


def test_by_night_only_the_worst_passes_and_digests_wait() -> None:
    settings = parse(
        '{"quiet_hours": {"from": "00:00", "until": "23:59", "time_zone": "UTC", "unless": "high"}}'
    )
    now_ms = _ms("2026-11-24T12:00:00")
    told = [
        severity
        for severity in ("low", "medium", "high", "critical")
        if not settings.quiet_until_ms(now_ms, severity)
    ]
    assert told == ["high", "critical"]
    assert settings.quiet_until_ms(now_ms, None) == _ms("2026-11-24T23:59:00")


@pytest.mark.parametrize(("watched", "tickers"), [(1, 4), (10, 4), (11, 5), (700, 280)])
def test_a_market_wide_move_is_a_share_of_the_watch_list(watched: int, tickers: int) -> None:
    assert MarketWide().tickers(watched) == tickers
