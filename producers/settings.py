"""How programs read their settings, and those of the scanner."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

from producers.errors import MonitorError, did_you_mean, shown
from producers.markets import Session
from producers.source import Mode

T = TypeVar("T", bound=msgspec.Struct)


class SettingsError(MonitorError, ValueError):
    """A setting is missing or has a value that is not allowed; names the setting and what it must be."""


def read_environment(environment: Mapping[str, str], kind: type[T], program: str) -> T:
    """Return the settings that a program reads from its environment; the one way to read an environment.

    Parameters
    ----------
    environment
        Variables; one that is empty counts as not set.
    kind
        The settings, a `msgspec.Struct` whose fields are renamed to their variables.
    program
        Whose environment it is, for messages.

    Raises
    ------
    SettingsError
        If a variable is missing or holds what is not allowed.
    """
    known = {name: value for name in kind.__struct_encode_fields__ if (value := environment.get(name))}
    where = f"environment of {program}"
    try:
        return msgspec.convert(known, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _setting_error(str(error), known, kind, where) from error


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
    source_mode: Mode | None = None
    """Whether the source polls or streams; None is the way that the source usually takes."""
    markets: str = ""
    """Markets of tickers whose form does not say theirs, as in ``ABC=XLON,XYZ=XETR``."""
    source_secret: str = ""
    """Name of the secret that holds the source's keys, as a JSON object of its variables."""


SCHEDULED = "aws.events"


class ScanRequest(msgspec.Struct, frozen=True):
    """What an invocation may request; a scheduled event requests nothing special.

    `polls` ends the scan after so many polls. `backfill_minutes` produces that much simulated history
    instead of polling. `validate` polls once for these tickers, publishes nothing, and says which the source does
    not quote. `source` is that of a scheduled event (`aws.events`).
    """

    polls: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    backfill_minutes: Annotated[int, Meta(ge=1, le=240)] | None = None
    source: str = ""
    validate: Annotated[tuple[str, ...], Meta(max_length=1_000)] = ()


def scanner_settings(environment: Mapping[str, str]) -> ScannerSettings:
    """Return the scanner's settings.

    Raises
    ------
    SettingsError
        If a variable is missing or holds what is not allowed.
    """
    return read_environment(environment, ScannerSettings, "stock-scanner")


def scan_request(event: object) -> ScanRequest:
    """Return what the event requests.

    Raises
    ------
    SettingsError
        If it requests something that is not allowed.
    """
    try:
        request = msgspec.convert(event, ScanRequest)
    except msgspec.ValidationError as error:
        raise SettingsError(f"event of the scanner: {_named(error)}") from error
    if request.polls is not None and request.backfill_minutes is not None:
        raise SettingsError(
            "event of the scanner: polls and backfill_minutes are both there; must be one of them"
        )
    return request


def _setting_error(
    problem: str, known: Mapping[str, str], kind: type[msgspec.Struct], where: str
) -> SettingsError:
    """Return the error for one problem of msgspec's, such as "Expected `int` >= 1 - at `$.PARTITIONS`"."""
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", problem):
        return SettingsError(f"{missing[1]} is not set", where=where)
    found = re.fullmatch(r"(?:Expected )?(.*?) - at `\$\.(\w+)`", problem)
    if found is None:
        return SettingsError(problem, where=where)
    rule, name = found.groups()
    if choices := get_args(get_type_hints(kind).get(name.lower())):
        rule = f"one of {', '.join(map(str, choices))}"
    return SettingsError(f"{name} is {known.get(name)!r}", where=where, allowed=rule.replace("`", ""))


def _named(error: msgspec.ValidationError) -> str:
    return str(error).replace("`$.", "`").replace("Object missing required field", "missing")


def explain(
    errors: Iterable[Mapping[str, Any]],
    allowed: Callable[[Sequence[str]], Sequence[str]],
    where: Callable[[str], str],
) -> list[str]:
    """Return pydantic's errors as sentences: where, what is wrong, and what it must be.

    Parameters
    ----------
    errors
        What `ValidationError.errors` returns. Taken as it is, so that nobody loads pydantic for this module.
    allowed
        Names that are allowed at a path, for an unknown one.
    where
        Where a person finds the value at a path, joined by dots; empty for the whole.
    """
    found = list(errors)
    paths = [error["loc"] for error in found]
    return [
        _explained(error, allowed, where)
        for error in found
        if error["type"] != "too_short" or not any(_is_below(path, error["loc"]) for path in paths)
    ]


def _is_below(path: Sequence[object], other: Sequence[object]) -> bool:
    return len(path) > len(other) and path[: len(other)] == other


def choices(error: Mapping[str, Any]) -> str:
    """Return which names pydantic would take, as in "one of hour, day"; "" for an error of another type."""
    names = re.findall("'([^']*)'", error["ctx"]["expected"]) if error["type"] == "literal_error" else []
    return f"one of {', '.join(names)}" if len(names) > 1 else "".join(names)


def _explained(
    error: Mapping[str, Any], allowed: Callable[[Sequence[str]], Sequence[str]], where: Callable[[str], str]
) -> str:
    path = [str(part) for part in error["loc"] if part != "[key]"]
    place = where(".".join(path))
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        names = allowed(path)
        what = f"unknown setting {path[-1]!r}{did_you_mean(path[-1], names)}"
        return str(SettingsError(what, where=place, allowed=f"one of {', '.join(names)}"))
    if error["type"] == "missing":
        return str(SettingsError("is missing", where=place, allowed="given"))
    if at_least := re.fullmatch(
        r"(?:Input should be|\w+ should have) (.*?)(?:, unable.*| after validation.*)?", message
    ):
        rule = at_least[1].replace("a valid string", "text, in quotes").replace("a valid array", "a list")
        given = error["input"]
        what = shown(given) if given is None or isinstance(given, bool | list | dict) else repr(given)
        return str(SettingsError(what, where=place, allowed=choices(error) or rule))
    return str(SettingsError(message, where=place))
