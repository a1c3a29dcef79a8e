"""What the environment tells the scanner, read once at its edge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from producers.markets import Session


class SettingsError(ValueError):
    """A setting is not there or holds what is not allowed; the message names it and what is."""


class ScannerSettings(msgspec.Struct, frozen=True, rename=str.upper):
    """Names and rhythm of the scanner; the variables are called like the fields, in capitals."""

    stream_name: Annotated[str, Meta(min_length=1)]
    scan_table: Annotated[str, Meta(min_length=1)]
    data_bucket: Annotated[str, Meta(min_length=1)]
    source: Annotated[str, Meta(min_length=1)]
    ticker_parameter: Annotated[str, Meta(min_length=1)] = "/stock-tracker/ticker"
    partitions: Annotated[int, Meta(ge=1, le=1024)] = 4
    poll_interval_seconds: Annotated[float, Meta(ge=0.5, le=60)] = 5.0
    session: Session = "regular"
    bus_name: Annotated[str, Meta(min_length=1)] = "stock-market"
    source_secret: str = ""
    """Name of the secret that holds the source's keys, as a JSON object of its variables."""


SCHEDULED = "aws.events"


class ScanRequest(msgspec.Struct, frozen=True):
    """What an invocation may ask for; a scheduled event asks for nothing special.

    `polls` ends the scan after so many polls. `backfill_minutes` produces that much simulated history
    instead of polling. `source` is that of a scheduled event (`aws.events`).
    """

    polls: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    backfill_minutes: Annotated[int, Meta(ge=1, le=240)] | None = None
    source: str = ""


def scanner_settings(environment: Mapping[str, str]) -> ScannerSettings:
    """The settings in the environment.

    Raises
    ------
    SettingsError
        If a variable is missing or holds what is not allowed.
    """
    known = {
        name: environment[name] for name in ScannerSettings.__struct_encode_fields__ if name in environment
    }
    try:
        return msgspec.convert(known, ScannerSettings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"environment of the scanner: {_named(error)}") from error


def scan_request(event: object) -> ScanRequest:
    """What the event asks for.

    Raises
    ------
    SettingsError
        If it asks for something that is not allowed.
    """
    try:
        request = msgspec.convert(event, ScanRequest)
    except msgspec.ValidationError as error:
        raise SettingsError(f"event of the scanner: {_named(error)}") from error
    if request.polls is not None and request.backfill_minutes is not None:
        raise SettingsError("event of the scanner: allowed is one of polls and backfill_minutes, not both")
    return request


def _named(error: msgspec.ValidationError) -> str:
    return str(error).replace("`$.", "`").replace("Object missing required field", "missing")
