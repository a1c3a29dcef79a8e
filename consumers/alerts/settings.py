"""What a user may set about alerts: the SSM parameter ``/stock-tracker/alerts``, a JSON object."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class AlertSettingsError(ValueError):
    """The parameter holds something that is not allowed; the message names each wrong value and the rule."""


class AlertSettings(BaseModel):
    """How much is sent, and when. Every field may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cooldown_minutes: Annotated[float, Field(ge=1, le=1440)] = 15
    """After an alert of a ticker and kind, more of the same are merged into a digest for this long."""
    messages_per_hour: Annotated[int, Field(ge=2, le=1000)] = 6
    """Most messages in any 60 minutes. The last one is kept for a digest, so that the rest is told too."""
    stale_after_minutes: Annotated[float, Field(ge=1, le=1440)] = 15
    """An anomaly that is learned of later than this goes to a digest, as late ones do."""
    back_to_normal_after_minutes: Annotated[float, Field(ge=0, le=1440)] = 1
    """Only the end of what lasted at least this long is worth a message of its own."""

    @property
    def cooldown_ms(self) -> int:
        """The cooldown in milliseconds."""
        return round(self.cooldown_minutes * 60_000)

    @property
    def stale_after_ms(self) -> int:
        """The age of an anomaly, in milliseconds, from which it is told in a digest only."""
        return round(self.stale_after_minutes * 60_000)


def parse(text: str) -> AlertSettings:
    """Settings from the parameter's text.

    Raises:
        AlertSettingsError: no JSON object, an unknown name, or a value that is not allowed.
    """
    try:
        return AlertSettings.model_validate_json(text)
    except ValidationError as error:
        raise AlertSettingsError("; ".join(_describe(item) for item in error.errors())) from error


def _describe(item: object) -> str:
    assert isinstance(item, dict)  # noqa: S101  pydantic's ErrorDetails is a dict
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"{where}: unknown; allowed are {', '.join(AlertSettings.model_fields)}"
    return f"{where}: {item['msg']} (given: {item['input']!r})" if where else str(item["msg"])
