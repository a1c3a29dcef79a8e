"""HTTP towards a vendor of quotes: its rate limit, retries with backoff and jitter, a circuit breaker.

A vendor's limits outlast a process: what has to be remembered between polls, scans and processes is in
`VendorState`, which the scan keeps.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from producers.errors import shortened
from producers.http import HttpClient, NoReplyError, seconds_to_wait
from producers.source import SourceError
from producers.vendor_state import (
    OutOfTimeError,
    PollEndsError,
    RateLimitedError,
    RejectedRequestError,
    TransientError,
    VendorError,
    VendorState,
    limited,
)

MAX_ATTEMPTS = 3
_FIRST_BACKOFF_MS = 200
_MAX_BACKOFF_MS = 4_000
_BURST_MS = 10_000  # how much of the rate limit may be used at once
_BLOCKED_MS = 15_000  # after a 429 that does not say for how long
_MAX_BLOCKED_MS = 3_600_000
_LONGEST_RESET_S = 30 * 86_400
SHOWN = 160
"""Characters of an answer that an error quotes."""
_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")  # no text of UTF-8 holds one
_DEEPEST = 64  # far beyond what any vendor nests; readers take some hundreds
_TEXT_OR_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{\]}]', re.DOTALL)
_LONGEST_WHOLE = 20  # digits; Python reads no number of more than 4,300
NOT_JSON = (
    msgspec.MsgspecError,
    ValueError,
    RecursionError,
)  # ValueError: no UTF-8, or no JSON to Python either


@dataclass(frozen=True, slots=True)
class Vendor:
    """Who is called: its name in messages, its address, and what its documentation says of limits.

    `hint` tells a user what to do about a key that is rejected. `read` returns what an answer of status 200 says, or
    raises the `VendorError` that it tells of: one that is limited or transient is treated as if its status said so.
    """

    name: str
    url: str
    headers: Mapping[str, str]
    calls_per_minute: float
    hint: str
    read: Callable[[Any], Any] = lambda content: content


class VendorClient:
    """Calls a vendor as often as it allows, for at most `poll_seconds` a poll.

    Parameters
    ----------
    vendor
        Who is called.
    poll_seconds
        How long a poll may take with all its waiting and retries.
    retry_seconds
        How long a call of a history may wait for its turn.
    clock_ms, sleep, rng
        Epoch milliseconds, waiting, and the jitter.
    """

    def __init__(
        self,
        vendor: Vendor,
        poll_seconds: float,
        *,
        retry_seconds: float = 0.0,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        sleep: Callable[[float], None] = time.sleep,
        rng: random.Random | None = None,
    ) -> None:
        if urlsplit(vendor.url).scheme not in {"http", "https"}:
            raise SourceError(f"{vendor.name}: address {vendor.url!r}; must be one like https://…")
        self.vendor = vendor
        self.state = VendorState(calls_per_minute=vendor.calls_per_minute)
        self._poll_ms = round(poll_seconds * 1000)
        self._retry_ms = round(retry_seconds * 1000)
        self._clock_ms = clock_ms
        self._sleep = sleep
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._http = HttpClient(vendor.url, vendor.headers)
        self._deadline_ms = 0

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def affordable(self) -> int:
        """Return how many calls this poll may make without waiting for its limit."""
        now_ms = self._clock_ms()
        spare_ms = now_ms + _BURST_MS - max(self.state.next_call_ms, now_ms)
        return max(1, spare_ms // self._interval_ms() + 1)

    def begin_poll(self) -> None:
        """Start a poll.

        Raises
        ------
        SourceError
            If the breaker is open, or the vendor asked to wait until later than this poll lasts.
        """
        now_ms = self._clock_ms()
        self._deadline_ms = now_ms + self._poll_ms
        self.state.check(self.vendor.name, now_ms, self._deadline_ms)

    def end_poll(self, errors: Sequence[VendorError], *, answered: bool) -> None:
        """Count the poll for the breaker; a used-up limit is no failure of the vendor's.

        Raises
        ------
        VendorError
            The error that says best why, if nothing was answered at all.
        """
        best = next((error for error in errors if not isinstance(error, PollEndsError)), None)
        best = best or (errors[-1] if errors else None)
        if answered or best is None:
            self.state.record_success(str(best or ""))
            return
        if isinstance(best, RateLimitedError):
            self.state.last_error = str(best)
        else:
            self.state.record_failure(str(best), self._clock_ms(), self._rng.uniform(0.8, 1.2))
        raise best

    def get(self, path: str, parameters: Mapping[str, str]) -> Any:
        """Return the JSON that the vendor answers to a GET, within the time of the poll that was begun.

        Raises
        ------
        PollEndsError, RejectedRequestError, VendorError
            As their classes say; what is transient was tried up to three times, with growing pauses.
        """
        attempts = 1 if self.state.breaker(self._clock_ms()) == "half-open" else MAX_ATTEMPTS
        for attempt in range(1, attempts + 1):
            self._wait_for_turn()
            try:
                return self._once(path, parameters)
            except TransientError:
                pause_ms = self._backoff_ms(attempt)
                if attempt == attempts or self._clock_ms() + pause_ms >= self._deadline_ms:
                    raise
                self._sleep(pause_ms / 1000)
        raise AssertionError  # the last attempt returns or raises

    def poll(self, path: str, parameters: Mapping[str, str]) -> Any:
        """Make a poll of a single call: return the JSON that the vendor answers to a GET.

        Raises
        ------
        SourceError
            If the vendor may not be called now, or does not answer.
        """
        self.begin_poll()
        try:
            answer = self.get(path, parameters)
        except VendorError as error:
            self.end_poll([error], answered=False)
            raise
        self.end_poll([], answered=True)
        return answer

    def pages(self, path: str, parameters: Mapping[str, str]) -> Any:
        """Return the answer to one call of a history, which waits for its turn, and as long as the vendor asks.

        Raises
        ------
        SourceError
            If the vendor does not answer, or asks for a longer wait than it is tried again.
        """
        give_up_ms = self._clock_ms() + self._retry_ms
        while True:
            now_ms = self._clock_ms()
            due_ms = max(self.state.blocked_until_ms, self.state.next_call_ms - _BURST_MS)
            if due_ms > give_up_ms:
                raise RateLimitedError(limited(self.vendor.name, due_ms), 429)
            if due_ms > now_ms:
                self._sleep((due_ms - now_ms) / 1000)
            try:
                return self.poll(path, parameters)
            except RateLimitedError:
                if self._clock_ms() >= give_up_ms:
                    raise

    def _wait_for_turn(self) -> None:
        # A leaky bucket (GCRA): calls are `_interval_ms` apart on average, and some may come early.
        state, now_ms = self.state, self._clock_ms()
        if now_ms >= self._deadline_ms:
            raise OutOfTimeError(f"{self.vendor.name}: the time for this poll is up")
        due_ms = max(now_ms, state.blocked_until_ms, state.next_call_ms - _BURST_MS)
        if due_ms > self._deadline_ms:
            raise RateLimitedError(limited(self.vendor.name, due_ms), 429)
        if due_ms > now_ms:
            self._sleep((due_ms - now_ms) / 1000)
        state.next_call_ms = max(state.next_call_ms, due_ms) + self._interval_ms()

    def _interval_ms(self) -> int:
        # In no minute more calls than allowed, with those that come early.
        return int((60_000 + _BURST_MS) / self.state.calls_per_minute) + 1

    def _once(self, path: str, parameters: Mapping[str, str]) -> Any:
        # A clock that is set back in the meantime makes no call longer than a poll.
        left = max(0.1, min(self._deadline_ms - self._clock_ms(), self._poll_ms) / 1000)
        query = f"?{urlencode(parameters, safe=',')}" if parameters else ""
        try:
            answer = self._http.get(f"{self.vendor.url.rstrip('/')}{path}{query}", left)
        except NoReplyError as error:
            host = urlsplit(self.vendor.url).netloc
            raise TransientError(f"{self.vendor.name} does not answer: {error.reason} ({host})") from error
        self._record_limit(answer.headers)
        if answer.status != 200:
            raise self._failure(answer.status, answer.headers, answer.body)
        try:
            content = decoded(answer.body)
        except NOT_JSON as error:
            text = shortened(answer.body.decode(errors="replace"), SHOWN)
            raise TransientError(f"{self.vendor.name} answered what is not JSON: {text!r}", 200) from error
        if _complaint(content):
            said = self._error_text(answer.body)
            raise VendorError(f"{self.vendor.name} answers an error (200: {said}): {self.vendor.hint}", 200)
        try:
            return self.vendor.read(content)
        except RateLimitedError as error:
            until_ms = self.state.blocked_until_ms = self._blocked_until(answer.headers)
            raise RateLimitedError(f"{limited(self.vendor.name, until_ms)}: {error}", 429) from error

    def _failure(self, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
        name, said = self.vendor.name, self._error_text(body)
        if 300 <= status < 400:
            to = headers.get("Location") or "nowhere"
            to = f"it redirects to {to}; check its address, or sign in to the network"
            said = self._error_text(to.encode())
        if status == 429:
            until_ms = self._blocked_until(headers)
            self.state.blocked_until_ms = until_ms
            return RateLimitedError(f"{limited(name, until_ms)}: {said}", status)
        if (
            retry_after_ms(headers, self._clock_ms()) is not None
        ):  # such as 403 or 418 of one that is banned, and 503
            self.state.blocked_until_ms = self._blocked_until(headers)
        if status == 401:
            return VendorError(f"{name} rejects the key (401: {said}): {self.vendor.hint}", status)
        if status == 403:
            return VendorError(f"{name} denies access (403: {said}): {self.vendor.hint}", status)
        if status >= 500 or status == 408:
            return TransientError(f"{name} fails (status {status}: {said})", status)
        if status in {400, 404, 422}:
            return RejectedRequestError(f"{name} rejects the request ({status}: {said})", status)
        return VendorError(f"{name} answered status {status}: {said}", status)

    def _error_text(self, body: bytes) -> str:
        text = body.decode(errors="replace")
        try:
            content = decoded(body)
        except NOT_JSON:
            content = None
        text = _complaint(content) or text
        for secret in self.vendor.headers.values():  # should the vendor repeat what it was sent
            text = text.replace(secret, "***")
        return shortened(" ".join(text.split()), SHOWN) or "no reason given"

    def _record_limit(self, headers: Mapping[str, str]) -> None:
        limit, remaining = number_of(headers.get("X-RateLimit-Limit")), headers.get("X-RateLimit-Remaining")
        if limit is not None and limit >= 1:
            self.state.calls_per_minute = limit
        if number_of(remaining) == 0:
            self.state.blocked_until_ms = self._blocked_until(headers)

    def _blocked_until(self, headers: Mapping[str, str]) -> int:
        now_ms = self._clock_ms()
        asked_ms, reset = retry_after_ms(headers, now_ms), number_of(headers.get("X-RateLimit-Reset"))
        if asked_ms is not None:
            until_ms = asked_ms
        elif reset is not None:  # epoch seconds, or those that are left
            until_ms = reset * 1000 if reset > _LONGEST_RESET_S else now_ms + reset * 1000
        else:
            until_ms = now_ms + _BLOCKED_MS * self._rng.uniform(1.0, 1.5)
        return round(min(max(until_ms, now_ms), now_ms + _MAX_BLOCKED_MS))

    def _backoff_ms(self, attempt: int) -> float:
        longest = min(_MAX_BACKOFF_MS, _FIRST_BACKOFF_MS * 2**attempt)
        return self._rng.uniform(longest / 4, longest)


def retry_after_ms(headers: Mapping[str, str], now_ms: int) -> float | None:
    """Return until when a server asks not to be called (epoch ms), by seconds or by a date (RFC 9110, 10.2.3)."""
    seconds = seconds_to_wait(headers.get("Retry-After") or "", now_ms)
    return None if seconds is None else now_ms + seconds * 1000


def decoded(body: bytes) -> Any:
    """Return the JSON in an answer; NaN, endless numbers, other bytes than UTF-8 cost the values that hold them alone.

    So do half characters and what is nested without end.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body.decode(json.detect_encoding(body), "replace")
        return json.loads(_shallow(_HALF_CHARACTER.sub("?", text)), parse_int=_whole)


def _shallow(text: str) -> str:
    """Return JSON with null in place of what is nested deeper than `_DEEPEST`."""
    kept, depth, start = list[str](), 0, 0
    for found in _TEXT_OR_BRACKET.finditer(text):
        if found[0] in {"[", "{"}:
            if depth == _DEEPEST:
                kept += text[start : found.start()], "null"
            depth += 1
        elif found[0] in {"]", "}"}:
            depth -= 1
            if depth == _DEEPEST:
                start = found.end()
    return "".join([*kept, text[start:]])


def _complaint(content: Any) -> str:
    """Return what an answer says is wrong, in the forms that vendors have; "" for nothing.

    A list named `error` is that of Kraken, where an empty one is no error.
    """
    if not isinstance(content, dict):
        return ""
    said = content.get("message") or content.get("error") or content.get("errors") or ""
    if isinstance(said, dict):
        said = said.get("message") or json.dumps(said)
    is_krakens = said is content.get("error") and isinstance(said, list)
    return "" if is_krakens else str(said)


def _whole(digits: str) -> float:
    return int(digits) if len(digits) <= _LONGEST_WHOLE else float(digits)


def number_of(text: str | None) -> float | None:
    """Return the number of a header or a setting; None where it is none, or negative."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < 1e12 else None
