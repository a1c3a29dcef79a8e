"""What a user may set about alerts: the SSM parameter ``/stock-tracker/alerts``, a JSON object."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Annotated, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    field_validator,
    model_validator,
)

from consumers.alerts import channels as registry
from consumers.alerts.model import HIGH, HOUR_MS
from consumers.contracts.anomaly import SEVERITIES
from consumers.contracts.kinds import EVERY_KIND
from producers.errors import named_twice
from producers.origin import Origin
from producers.settings import SettingsError, explain
from producers.symbols import SYMBOL_RULE, in_capitals, is_symbol

Notify = Literal["at_once", "digest", "never"]
DEFAULT_CHANNEL = "sns"
MOST_CHANNELS = 20
"""Each is two of the 100 writes of a message's transaction (`table.WRITES`), and its name a part of a sort key, which
has 1,024 bytes at most (DynamoDB guide, "Constraints in Amazon DynamoDB")."""
LABEL_CHARACTERS = 64
"""Of a name that messages show."""
_ZONE = re.compile(r"[A-Z][\w+-]*(/[A-Z][\w+-]*)*", re.ASCII)
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d(?!\d)", re.ASCII)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class AlertSettingsError(SettingsError):
    """The parameter holds something that is not allowed; the message names each wrong value and the rule."""


def _one_of(what: str, allowed: Sequence[str]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"{value!r} is no {what}; must be one of {', '.join(allowed)}")
        return value

    return AfterValidator(check)


def _ticker(value: str) -> str:
    if not is_symbol(symbol := in_capitals(value.strip())):
        raise ValueError(f"{value!r} is no ticker; must be {SYMBOL_RULE}")
    return symbol


def _zone(value: str) -> str:
    problem = ValueError(f"{value!r} is no time zone; must be a name such as America/New_York or UTC")
    if not _ZONE.fullmatch(value):  # such as localtime: another one, or none, where the notifier runs
        raise problem
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise problem from error
    return value


def listed(value: object) -> object:
    """Return one text as a list of it: a person need not write brackets."""
    return [value] if isinstance(value, str) else value


def _clock(value: object) -> object:
    if isinstance(value, time) or (isinstance(value, str) and _TIME.match(value)):
        return value
    raise ValueError(f"{value!r} is no time of the day; must be one such as 18:00")


def _no_flag(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"{json.dumps(value)}; must be a number")
    return value


def _label(value: str) -> str:
    if not value.strip() or len(value) > LABEL_CHARACTERS or not value.isprintable():
        raise ValueError(f"{value!r} is no name; must be 1 to {LABEL_CHARACTERS} characters on one line")
    return value


def _channel_name(value: str) -> str:
    if not re.fullmatch("[a-z0-9-]{1,32}", value):
        raise ValueError(f"{value!r} is no name of a channel; must be 1 to 32 of a-z 0-9 -")
    return value


def _local(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueError(f"{value.isoformat()} has a zone; must be one such as 18:00, time_zone says where")
    return value


def _as_written(value: time) -> str:
    return value.isoformat("auto" if value.second or value.microsecond else "minutes")


_Number = Annotated[float, BeforeValidator(_no_flag)]
_Label = Annotated[str, AfterValidator(_label)]
_Kind = Annotated[str, _one_of("kind of anomaly", EVERY_KIND)]
_Severity = Annotated[str, _one_of("severity", SEVERITIES)]
_Origin = Annotated[str, _one_of("origin", get_args(Origin))]
_Weekday = Annotated[str, _one_of("weekday", WEEKDAYS)]
_Ticker = Annotated[str, AfterValidator(_ticker)]
_Zone = Annotated[str, AfterValidator(_zone)]
_Some = BeforeValidator(listed)
_Time = Annotated[
    time, BeforeValidator(_clock), AfterValidator(_local), PlainSerializer(_as_written, when_used="json")
]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Hours(_Strict):
    """Hours of some or all days of the week, in the time zone of the settings unless it names one."""

    start: Annotated[_Time, Field(alias="from")]
    end: Annotated[_Time, Field(alias="until")]
    weekday: Annotated[tuple[_Weekday, ...], Field(min_length=1), _Some] = WEEKDAYS
    time_zone: _Zone | None = None

    @model_validator(mode="after")
    def _some_hours(self) -> Self:
        if self.start == self.end:
            raise ValueError("from and until: must be two different times such as 22:00 and 07:00")
        return self

    def holds(self, now_ms: int, time_zone: str) -> bool:
        """Return whether `now_ms` (epoch ms UTC) is in these hours; those past midnight are of the day they began.

        They are those of a clock on the wall: an hour that comes twice as daylight saving ends is in them twice.
        """
        now = datetime.fromtimestamp(now_ms / 1000, zone(self.time_zone or time_zone))
        at, is_night = now.time(), self.end < self.start
        is_next_day = is_night and at < self.end
        day = (now.date() - timedelta(days=int(is_next_day))).weekday()
        holds = is_next_day or (self.start <= at and (is_night or at < self.end))
        return holds and WEEKDAYS[day] in self.weekday


class MuteTiming(Hours):
    """Hours in which only what is at least as severe as `unless` is sent; "none" for nothing."""

    unless: Annotated[str, _one_of("severity", (*SEVERITIES, "none"))] = "critical"


class MarketWide(_Strict):
    """When anomalies of many tickers within a minute are one incident."""

    share: Annotated[_Number, Field(gt=0, le=1)] = 0.4
    """Of the watch list."""
    at_least: Annotated[int, Field(ge=2, le=10_000)] = 4
    """Tickers, however short the watch list."""
    at_most: Annotated[int, Field(ge=2, le=10_000)] = 20
    """Tickers that are enough, however long the watch list."""

    @model_validator(mode="after")
    def _at_most_has_an_effect(self) -> Self:
        if self.at_most < self.at_least and self.at_most != type(self).model_fields["at_most"].default:
            raise ValueError(f"at_most is {self.at_most}; must be at least at_least ({self.at_least})")
        return self

    def tickers(self, watched: int) -> int:
        """Return how many tickers make a market-wide incident."""
        return max(self.at_least, min(self.at_most, -int(-self.share * watched // 1)))


class Route(_Strict):
    """Where news goes that matches every field; a field that is left out matches all."""

    severity: Annotated[tuple[_Severity, ...], Field(min_length=1), _Some] = SEVERITIES
    ticker: Annotated[tuple[_Ticker, ...], _Some] = ()
    kind: Annotated[tuple[_Kind, ...], _Some] = ()
    origin: Annotated[tuple[_Origin, ...], _Some] = ()
    hours: Hours | None = None
    channels: Annotated[tuple[str, ...], _Some] | None = None
    """Names of channels; all where it is left out."""
    notify: Notify | None = None
    """At once, in digests, or never; by the severity where it is left out: high and critical at once."""

    def matches(self, news: News, now_ms: int, time_zone: str) -> bool:
        """Return whether news at `now_ms` (epoch ms UTC) goes this way."""
        return (
            news.severity in self.severity
            and news.ticker in (self.ticker or (news.ticker,))
            and news.kind in (self.kind or (news.kind,))
            and news.origin in (self.origin or (news.origin,))
            and (self.hours is None or self.hours.holds(now_ms, time_zone))
        )


class News(_Strict):
    """What routes go by."""

    severity: str
    ticker: str
    kind: str
    origin: str


class Way(_Strict):
    """Where news goes, and when."""

    channels: tuple[str, ...]
    notify: Notify


class DigestTimes(_Strict):
    """When digests go out: at every full hour (the first of an hour at once), or once a day."""

    every: Literal["hour", "day"] = "hour"
    at: _Time = time(8)

    @model_validator(mode="after")
    def _at_has_an_effect(self) -> Self:
        if self.every == "hour" and self.at != type(self).model_fields["at"].default:
            raise ValueError('at: must be left out, or every must be "day"')
        return self

    def next_ms(self, since_ms: int, time_zone: str) -> int:
        """Return when the next digest after `since_ms` is due; both are epoch ms UTC."""
        since = datetime.fromtimestamp(since_ms / 1000, zone(time_zone))
        if self.every == "hour":  # of a clock on the wall, which may be half an hour from that of UTC
            ahead_ms = round((since.utcoffset() or timedelta()) / timedelta(milliseconds=1))
            return ((since_ms + ahead_ms) // HOUR_MS + 1) * HOUR_MS - ahead_ms
        today = datetime.combine(since.date(), self.at, since.tzinfo)
        due = today if today.astimezone(UTC) > since.astimezone(UTC) else today + timedelta(days=1)
        return round(due.timestamp() * 1000)


class ContextSettings(_Strict):
    """What a ticker's move is compared with."""

    index: Annotated[tuple[_Ticker, ...], _Some] = ("SPY", "VOO", "IVV", "QQQ")
    """The first of these that is watched stands for the market."""
    sectors: dict[_Label, Annotated[tuple[_Ticker, ...], Field(min_length=2, max_length=200)]] = {}
    """Tickers that belong together, by a name of the user's."""


class ChannelSettings(_Strict):
    """One channel: its type, and what that type is set up with. Its secrets are in Secrets Manager."""

    type: str
    settings: dict[str, str] = {}

    @model_validator(mode="after")
    def _as_declared(self) -> Self:
        try:
            registry.declared(self.type).check(self.settings)
        except registry.ChannelError as error:
            raise ValueError(str(error)) from error
        except Exception as error:  # a channel may be anybody's code: no settings at all would alert nobody
            raise ValueError(f"{self.type}: its check fails: {type(error).__name__}: {error}") from error
        return self


class AlertSettings(_Strict):
    """Who is notified of what, and when. Every field may be left out."""

    time_zone: _Zone = "America/New_York"
    """Of the times in messages, and of hours that name no other."""
    routes: tuple[Route, ...] = ()
    """The first that matches decides. What none matches goes to all channels."""
    channels: dict[Annotated[str, AfterValidator(_channel_name)], ChannelSettings] = {}
    """By names of the user's, besides `sns`."""
    digest: DigestTimes = DigestTimes()
    mute_timings: tuple[MuteTiming, ...] = ()
    repeat_interval_hours: Annotated[_Number, Field(ge=0.25, le=168)] = 4
    """An incident that goes on and that nobody acknowledged is repeated this often."""
    resolved_after_minutes: Annotated[_Number, Field(ge=0, le=1440)] = 1
    """Only the end of what lasted at least this long is worth a message."""
    stale_after_minutes: Annotated[_Number, Field(ge=1, le=1440)] = 15
    """An anomaly that is learned of later than this goes to a digest, as late ones do."""
    market_wide: MarketWide | None = MarketWide()
    context: ContextSettings = ContextSettings()

    @field_validator("channels")
    @classmethod
    def _own_names(cls, value: dict[str, ChannelSettings]) -> dict[str, ChannelSettings]:
        if DEFAULT_CHANNEL in value:
            raise ValueError(f"{DEFAULT_CHANNEL} is always there; must be another name")
        if len(value) > MOST_CHANNELS:
            raise ValueError(f"there are {len(value)}; must be at most {MOST_CHANNELS}")
        return value

    @model_validator(mode="after")
    def _known_channels(self) -> Self:
        for number, route in enumerate(self.routes):
            for name in route.channels or ():
                if name not in self.channel_names:
                    allowed = ", ".join(self.channel_names)
                    raise ValueError(
                        f"routes.{number}.channels: {name!r} is no channel; must be one of {allowed}"
                    )
        return self

    @property
    def channel_names(self) -> tuple[str, ...]:
        """All channels: `sns`, and those that are set up."""
        return (DEFAULT_CHANNEL, *self.channels)

    def is_outside(self, channel: str) -> bool:
        """Return whether a channel of a name is no service of AWS, and may hang however AWS is."""
        return channel in self.channels and self.channels[channel].type != DEFAULT_CHANNEL

    def stateful(self, channels: Sequence[str]) -> tuple[str, ...]:
        """Return those of some channels in which an incident is open until it is resolved there."""
        types = {name: self.channels[name].type for name in channels if name in self.channels}
        return tuple(name for name, type_ in types.items() if registry.declared(type_).keeps_state)

    def route(self, news: News, now_ms: int) -> Way:
        """Return where news at `now_ms` (epoch ms UTC) goes, and when, but for silences and mute timings."""
        matching = (route for route in self.routes if route.matches(news, now_ms, self.time_zone))
        found = next(matching, Route())
        by_severity: Notify = "at_once" if SEVERITIES.index(news.severity) >= HIGH else "digest"
        channels = self.channel_names if found.channels is None else found.channels
        return Way(channels=channels, notify=found.notify or by_severity if channels else "never")

    def is_muted(self, now_ms: int, rank: int) -> bool:
        """Return whether a mute timing keeps a severity (by its rank; -1: a digest) back at `now_ms`."""
        return any(
            timing.holds(now_ms, self.time_zone)
            and (timing.unless == "none" or rank < SEVERITIES.index(timing.unless))
            for timing in self.mute_timings
        )


def parse(text: str) -> AlertSettings:
    """Return the settings in the parameter's text.

    Raises
    ------
    AlertSettingsError
        No JSON object, an unknown name, or a value that is not allowed.
    """
    text = text.removeprefix("\ufeff")
    if (twice := named_twice(text)) is not None:
        raise AlertSettingsError(f"{twice!r} stands twice", allowed="a name that is there once")
    try:
        return AlertSettings.model_validate_json(text)
    except ValidationError as error:
        raise AlertSettingsError("; ".join(explain(error.errors(), _allowed, str))) from error


_MODELS: dict[str, type[BaseModel]] = {
    "mute_timings": MuteTiming,
    "market_wide": MarketWide,
    "routes": Route,
    "digest": DigestTimes,
    "channels": ChannelSettings,
    "context": ContextSettings,
}


def _allowed(path: Sequence[str]) -> list[str]:
    model = Hours if "hours" in path else _MODELS.get(path[0], AlertSettings)
    return [field.alias or name for name, field in model.model_fields.items()]


@lru_cache(maxsize=8)
def zone(name: str) -> ZoneInfo:
    """Return the time zone of a name."""
    return ZoneInfo(name)
