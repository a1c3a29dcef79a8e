"""What is known of a vendor between polls, scans and processes: its limits and its circuit breaker."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import msgspec

from producers.source import SourceError

Breaker = Literal["closed", "open", "half-open"]
BREAKER_FAILURES = 5
FIRST_OPEN_MS = 30_000
MAX_OPEN_MS = 60_000


class VendorState(msgspec.Struct):
    """What is known of a vendor (times are epoch ms): failed polls in a row, and when it may be called again.

    `open_until_ms` is the breaker's, `blocked_until_ms` what the vendor asked for (429), `next_call_ms`
    the pace that its limit of `calls_per_minute` leaves. `cursor` is the symbol asked for last, where a
    poll asks only for some. `last_error` says what the last poll did not get, and why.
    """

    failures: int = 0
    open_until_ms: int = 0
    blocked_until_ms: int = 0
    next_call_ms: int = 0
    calls_per_minute: float = 0.0
    cursor: str = ""
    last_error: str = ""

    def breaker(self, now_ms: int) -> Breaker:
        """Return the breaker's state: closed lets polls through, open none, half-open one as a trial."""
        if self.failures < BREAKER_FAILURES:
            return "closed"
        return "open" if now_ms < self.open_until_ms else "half-open"

    def check(self, name: str, now_ms: int, until_ms: int) -> None:
        """Check that a poll may begin that lasts until `until_ms`.

        Raises
        ------
        SourceError
            If the breaker is open, or the vendor asked to wait until later than that.
        """
        if self.breaker(now_ms) == "open":
            raise SourceError(
                f"{name} is not called until {_clock(self.open_until_ms)} after {self.failures} failed polls"
                f" in a row; the last: {self.last_error}"
            )
        if self.blocked_until_ms > until_ms:
            raise RateLimitedError(limited(name, self.blocked_until_ms), 429)

    def record_success(self, problem: str = "") -> None:
        """Record a poll that brought something, and what it did not bring."""
        self.failures = self.open_until_ms = 0
        self.last_error = problem

    def record_failure(self, problem: str, now_ms: int, jitter: float) -> None:
        """Record a poll that brought nothing at `now_ms`.

        The breaker opens after five in a row, for longer each time; `jitter` multiplies how long.
        """
        self.failures += 1
        self.last_error = problem
        if self.failures >= BREAKER_FAILURES:
            doubled = FIRST_OPEN_MS * 2 ** min(self.failures - BREAKER_FAILURES, 16)
            self.open_until_ms = now_ms + round(min(doubled, MAX_OPEN_MS) * jitter)


class VendorError(SourceError):
    """A vendor's answer that cannot be used; `status` is its HTTP status, None when there was none."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class TransientError(VendorError):
    """A failure that may not occur again when the call is repeated."""


class PollEndsError(VendorError):
    """Nothing more can be asked for in this poll."""


class RateLimitedError(PollEndsError):
    """The limit of calls is used up until later than this poll can wait."""


class OutOfTimeError(PollEndsError):
    """The time of the poll is up."""


class RejectedRequestError(VendorError):
    """The vendor does not accept this request (400, 404, 422); another may be fine."""


def limited(name: str, until_ms: int) -> str:
    """Return the sentence that a vendor's limit is used up."""
    return f"{name} allows no more calls until {_clock(until_ms)}"


def _clock(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%H:%M:%S} UTC"
