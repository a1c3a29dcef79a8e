"""What sources that call a vendor by HTTP share: their polls, their limits, and reading what a vendor answers."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from producers.errors import shortened
from producers.quote_batch import Quote
from producers.source import NOT_ASKED, Environment, Missing, Quotes, SourceError, SourceSpec
from producers.vendor_client import SHOWN, Vendor, VendorClient, number_of
from producers.vendor_state import PollEndsError, VendorError, VendorState

_UNLIMITED = 60_000.0  # calls a minute
_RETRY_SECONDS = 900.0
_INTERVAL = "POLL_INTERVAL_SECONDS"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
T = TypeVar("T")

_logger = logging.getLogger(__name__)


class VendorSource:
    """Base of a source that calls one vendor by HTTP; the scan keeps its `vendor_state`."""

    def __init__(self, client: VendorClient) -> None:
        self._client = client

    @property
    def vendor_state(self) -> VendorState:
        """What is known of the vendor."""
        return self._client.state

    @vendor_state.setter
    def vendor_state(self, state: VendorState) -> None:
        self._client.state = state

    def _poll_each(self, symbols: Sequence[str], query: Callable[[str], Quote | Missing]) -> Quotes:
        """Poll as many symbols as the limit allows, a call each; the others have their turn in the next polls.

        Raises
        ------
        VendorError
            If none of the calls was answered with a quote, and some failed.
        """
        self._client.begin_poll()
        found: dict[str, Quote | Missing] = dict.fromkeys(symbols, NOT_ASKED)
        errors: list[VendorError] = []
        for symbol in self._turn(symbols):
            try:
                found[symbol] = query(symbol)
            except VendorError as error:
                errors.append(error)
                if isinstance(error, PollEndsError) or error.status == 401:  # concerns every call
                    break
                found[symbol] = Missing(str(error))
            self._client.state.cursor = symbol
        self._client.end_poll(errors, answered=any(isinstance(quote, Quote) for quote in found.values()))
        return found

    def _turn(self, symbols: Sequence[str]) -> list[str]:
        """Return the symbols whose turn it is: those after the one that was queried last."""
        last = self._client.state.cursor
        start = symbols.index(last) + 1 if last in symbols else 0
        return [*symbols[start:], *symbols[:start]][: self._client.affordable()]


def client_of(
    spec: SourceSpec,
    environment: Environment,
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    retry_seconds: float = 0.0,
    read: Callable[[Any], Any] = lambda content: content,
) -> VendorClient:
    """Return a client for the source's vendor at `url`, within the limits that the source declares.

    Parameters
    ----------
    headers
        Sent with every call, the keys among them.
    retry_seconds
        How long a call of a history may wait for its turn.
    read
        As that of a `Vendor`.
    """
    check = (
        f"check {' and '.join(key.variable for key in spec.keys)}, and that the plan covers what is asked for"
    )
    hint = check if spec.keys else "no key is needed: the address may be blocked where the monitor runs"
    vendor = Vendor(spec.name, url, headers or {}, spec.calls_per_minute or _UNLIMITED, hint, read)
    return VendorClient(vendor, poll_seconds(environment), retry_seconds=retry_seconds)


def history_client_of(
    spec: SourceSpec,
    environment: Environment,
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    read: Callable[[Any], Any] = lambda content: content,
) -> VendorClient:
    """Return a client for the history of the source's vendor.

    Where nobody polls, a call takes its time and waits as long as the vendor asks; quotes never wait for bars.
    """
    retry = 0.0 if _INTERVAL in environment else _RETRY_SECONDS
    return client_of(spec, history_environment(environment), url, headers, retry_seconds=retry, read=read)


def history_environment(environment: Environment) -> Environment:
    """Return the environment of a history: where nobody polls, a call takes its time."""
    return {_INTERVAL: "20", **environment}


def poll_seconds(environment: Environment) -> float:
    """Return how long a poll may take so that the next is on time, by POLL_INTERVAL_SECONDS (default 5).

    Raises
    ------
    SourceError
        If the variable holds no number.
    """
    interval = number_of(environment.get(_INTERVAL, "5"))
    if interval is None:
        raise SourceError(f"{_INTERVAL} is {environment[_INTERVAL]!r}", allowed="a number of seconds")
    return min(max(1.0, 0.8 * interval), 20.0)


def read_quote(source: str, read: Callable[[T], Quote | Missing], answer: T) -> Quote | Missing:
    """Return the quote that `read` makes of a vendor's answer for one ticker.

    An answer that it cannot read, for whatever reason, costs that ticker and not the poll.
    """
    try:
        return read(answer)
    except Exception as error:  # noqa: BLE001 - reported as the reason why the ticker is missing
        said = f"{source} answered what is no quote: {type(error).__name__}: {error}: {_shown(answer)}"
        return Missing(shortened(said, SHOWN))


def _shown(answer: object) -> str:
    try:
        return json.dumps(answer)
    except (TypeError, ValueError, RecursionError):
        return type(answer).__name__


def beside(raw: object, kind: type[T]) -> T | None:
    """Return what a vendor says beside the price; None where it is none: it is unknown, and costs no quote.

    Examples
    --------
    >>> beside("189.1", float), beside("n/a", float), beside(None, float)
    (189.1, None, None)
    """
    try:
        return msgspec.convert(raw, kind, strict=False)
    except msgspec.ValidationError:
        return None


def time_of(raw: object) -> datetime | None:
    """Return the time in a vendor's text of RFC 3339; None where it is none, has no offset, or is before 1970."""
    try:
        at = msgspec.convert(raw, datetime)
    except msgspec.ValidationError:
        return None
    return at if at.tzinfo and at >= _EPOCH else None


def epoch_ms(raw: object) -> int | None:
    """Return the same as epoch ms UTC: an odd time beside a price is unknown, and costs no quote."""
    at = time_of(raw)
    return None if at is None else (at - _EPOCH) // timedelta(milliseconds=1)


def bars_of(whose: str, raw: object, kind: type[T]) -> list[T]:
    """Return the bars in a vendor's list; one that is none costs no other, and a warning says how many there were.

    Raises
    ------
    SourceError
        If it is no list, or none of its items is a bar; `whose` bars they would be.
    """
    items = raw if isinstance(raw, list) else [raw]
    found, odd, why = list[T](), 0, ""
    for item in items:
        try:
            found.append(msgspec.convert(item, kind, strict=False))  # numbers may come as text
        except msgspec.ValidationError as error:
            odd, why = odd + 1, str(error)
    if why and not found:
        raise SourceError(f"{whose}: the answer holds no bar: {why}")
    if odd:
        _logger.warning("%s: %d of %d bars cannot be read and are left out: %s", whose, odd, len(items), why)
    return found
