"""What a user may set about alerts: the SSM parameter ``/stock-tracker/alerts``, a JSON object."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from consumers.contracts.anomaly import KINDS, SEVERITIES
from producers.quote_batch import SYMBOL_RULE, is_symbol
from producers.settings import SettingsError, explain


class AlertSettingsError(SettingsError):
    """The parameter holds something that is not allowed; the message names each wrong value and the rule."""


Mode = Literal["on", "silent", "off"]
"""`silent` is told in digests only, `off` not at all."""
_MODES: tuple[Mode, ...] = ("on", "silent", "off")


def _kind(value: str) -> str:
    if value not in KINDS:
        raise ValueError(f"no kind of anomaly; allowed are {', '.join(KINDS)}")
    return value


def _ticker(value: str) -> str:
    if not is_symbol(value.upper()):
        raise ValueError(f"no ticker; allowed are {SYMBOL_RULE}")
    return value.upper()


def _severity(value: str) -> str:
    if value not in (*SEVERITIES, "none"):
        raise ValueError(f"no severity; allowed are {', '.join(SEVERITIES)} and none")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("no time zone; allowed are names such as America/New_York and UTC") from error
    return value


_FROZEN = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class QuietHours(BaseModel):
    """Hours of every day in which only the worst is sent; the rest is told in a digest when they end."""

    model_config = _FROZEN

    start: Annotated[time, Field(alias="from")]
    end: Annotated[time, Field(alias="until")]
    time_zone: Annotated[str, AfterValidator(_zone)] = "America/New_York"
    unless: Annotated[str, AfterValidator(_severity)] = "critical"
    """The least severity that is sent all the same; "none" for nothing."""

    @model_validator(mode="after")
    def _some_hours(self) -> Self:
        if self.start == self.end or self.start.tzinfo or self.end.tzinfo:
            raise ValueError("from and until: allowed are two different times such as 22:00 and 07:00")
        return self

    def lets_pass(self, severity: str) -> bool:
        """Whether this severity is sent all the same."""
        return self.unless != "none" and SEVERITIES.index(severity) >= SEVERITIES.index(self.unless)

    def end_ms(self, now_ms: int) -> int | None:
        """When the quiet hours that are now on end, epoch ms UTC; None if none are on."""
        now = datetime.fromtimestamp(now_ms / 1000, _zone_info(self.time_zone))
        for days in (-1, 0):
            day = now.date() + timedelta(days=days)
            began = datetime.combine(day, self.start, now.tzinfo)
            overnight = timedelta(days=int(self.end < self.start))
            ends = datetime.combine(day + overnight, self.end, now.tzinfo)
            if began.astimezone(UTC) <= now.astimezone(UTC) < ends.astimezone(UTC):
                return round(ends.timestamp() * 1000)
        return None


class MarketWide(BaseModel):
    """When anomalies of many tickers within a minute are one alert."""

    model_config = _FROZEN

    share: Annotated[float, Field(gt=0, le=1)] = 0.4
    """Of the watch list."""
    at_least: Annotated[int, Field(ge=2, le=10_000)] = 4
    """Tickers, however short the watch list."""

    def tickers(self, watched: int) -> int:
        """How many tickers make a market-wide move."""
        return max(self.at_least, -int(-self.share * watched // 1))


class AlertSettings(BaseModel):
    """How much is sent, and when. Every field may be left out."""

    model_config = _FROZEN

    cooldown_minutes: Annotated[float, Field(ge=1, le=1440)] = 15
    """After an alert of a ticker and kind, more of the same are merged into a digest for this long."""
    messages_per_hour: Annotated[int, Field(ge=2, le=1000)] = 6
    """Most messages in any 60 minutes. What they go to: `consumers.alerts.policy`. The last one is a digest's."""
    stale_after_minutes: Annotated[float, Field(ge=1, le=1440)] = 15
    """An anomaly that is learned of later than this goes to a digest, as late ones do."""
    back_to_normal_after_minutes: Annotated[float, Field(ge=0, le=1440)] = 1
    """Only the end of what lasted at least this long is worth a message of its own."""
    kinds: dict[Annotated[str, AfterValidator(_kind)], Mode] = {}
    """Kinds that are not "on"."""
    tickers: dict[Annotated[str, AfterValidator(_ticker)], Mode] = {}
    """Tickers that are not "on"."""
    quiet_hours: QuietHours | None = None
    market_wide: MarketWide | None = MarketWide()

    @property
    def cooldown_ms(self) -> int:
        """The cooldown in milliseconds."""
        return round(self.cooldown_minutes * 60_000)

    @property
    def stale_after_ms(self) -> int:
        """The age of an anomaly, in milliseconds, from which it is told in a digest only."""
        return round(self.stale_after_minutes * 60_000)

    def mode(self, ticker: str, kind: str) -> Mode:
        """How a ticker and kind are told: the quieter of the two settings."""
        modes = self.tickers.get(ticker, "on"), self.kinds.get(kind, "on")
        return max(modes, key=_MODES.index)

    def quiet_until_ms(self, now_ms: int, severity: str | None) -> int | None:
        """When the quiet hours end that keep this severity (None: a digest) back; None if nothing does."""
        quiet = self.quiet_hours
        if quiet is None or (severity is not None and quiet.lets_pass(severity)):
            return None
        return quiet.end_ms(now_ms)


def parse(text: str) -> AlertSettings:
    """Return the settings that the parameter's text holds.

    Raises
    ------
    AlertSettingsError
        If it is no JSON object, or holds an unknown name or a value that is not allowed.
    """
    try:
        return AlertSettings.model_validate_json(text)
    except ValidationError as error:
        raise AlertSettingsError("; ".join(explain(error.errors(), _allowed, str))) from error


_MODELS: dict[str, type[BaseModel]] = {"quiet_hours": QuietHours, "market_wide": MarketWide}


def _allowed(path: Sequence[str]) -> list[str]:
    model = _MODELS.get(path[0], AlertSettings)
    return [field.alias or name for name, field in model.model_fields.items()]


@lru_cache(maxsize=8)
def _zone_info(name: str) -> ZoneInfo:
    return ZoneInfo(name)
