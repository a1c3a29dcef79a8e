"""The shapes of what a person sets about alerts from the page: channels, and the routes that lead to them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from api.models import Severity
from api.parameters import TickerName
from consumers.alerts.settings import MOST_CHANNELS, listed
from consumers.contracts.kinds import EVERY_KIND
from producers.origin import Origin

KindOfRoute = Annotated[str, Field(json_schema_extra={"enum": [*EVERY_KIND]})]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
# For the document only: what it rejects the settings reject in words.
_Time = Annotated[
    str, WithJsonSchema({"type": "string", "pattern": r"^[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?$"})
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class RouteHours(_Strict):
    """Hours of some or all days of the week."""

    start: _Time = Field(alias="from")
    end: _Time = Field(alias="until")
    weekday: list[Weekday] = Field(default=["mon", "tue", "wed", "thu", "fri", "sat", "sun"], min_length=1)
    time_zone: str | None = None


class RouteModel(_Strict):
    """Where news goes that matches every field; an empty list matches all."""

    severity: list[Severity] = Field(default=["low", "medium", "high", "critical"], min_length=1)
    ticker: list[TickerName] = []
    kind: list[KindOfRoute] = []
    origin: list[Origin] = []
    hours: RouteHours | None = None
    channels: list[str] | None = Field(None, description="Names of channels; null for all of them.")
    notify: Literal["at_once", "digest", "never"] | None = Field(
        None, description="null: by the severity, high and critical at once."
    )


class HoursRequest(RouteHours):
    """Hours of some or all days of the week; one day stands for a list of it."""

    weekday: Annotated[
        list[Weekday], BeforeValidator(listed, json_schema_input_type=list[Weekday] | Weekday)
    ] = Field(default=["mon", "tue", "wed", "thu", "fri", "sat", "sun"], min_length=1)


class RouteRequest(RouteModel):
    """Where news goes that matches every field; one value stands for a list of it, an empty list matches all."""

    severity: Annotated[
        list[Severity], BeforeValidator(listed, json_schema_input_type=list[Severity] | Severity)
    ] = Field(default=["low", "medium", "high", "critical"], min_length=1)
    ticker: Annotated[
        list[TickerName], BeforeValidator(listed, json_schema_input_type=list[TickerName] | TickerName)
    ] = []
    kind: Annotated[
        list[KindOfRoute], BeforeValidator(listed, json_schema_input_type=list[KindOfRoute] | KindOfRoute)
    ] = []
    origin: Annotated[
        list[Origin], BeforeValidator(listed, json_schema_input_type=list[Origin] | Origin)
    ] = []
    hours: HoursRequest | None = None
    channels: Annotated[
        list[str] | None, BeforeValidator(listed, json_schema_input_type=list[str] | str | None)
    ] = Field(None, description="Names of channels; null for all of them.")


class ChannelModel(_Strict):
    """A channel: its type, and what that type is set up with. Its secrets are in Secrets Manager."""

    type: str = Field(description="One of `types`.")
    settings: dict[str, str] = {}


class ChannelType(BaseModel):
    """A type of channel: its settings and secrets by name, each with what it is."""

    settings: dict[str, str]
    optional: list[str]
    secrets: dict[str, str]


class AlertRouting(BaseModel):
    """Channels by name, besides `sns`, and the routes: the first that matches decides, else all channels."""

    routes: list[RouteModel]
    channels: dict[str, ChannelModel]


class AlertRoutes(AlertRouting):
    """What is in force, and which types of channels there are."""

    types: dict[str, ChannelType]


class RoutingRequest(_Strict):
    """Routes, channels, or both, in the place of those of before."""

    routes: list[RouteRequest] | None = Field(None, max_length=100)
    channels: dict[str, ChannelModel] | None = Field(
        None, description="By names of 1 to 32 of a-z 0-9 -; `sns` is always there.", max_length=MOST_CHANNELS
    )


class RoutingChange(AlertRouting):
    """What is in force within a minute, what was before, who changed it and when."""

    before: AlertRouting
    by: str
    at: str = Field(description="ISO 8601, ms, UTC.")


class TestRequested(BaseModel):
    """A test message is on its way to every channel."""

    id: str = Field(description="Of the message: `GET /alerts` lists it with its deliveries.")
    by: str
