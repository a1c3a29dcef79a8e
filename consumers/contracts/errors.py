"""The error that every adapter of the consumers raises when a call to AWS fails."""

from __future__ import annotations

from producers.errors import MonitorError


class IOFailedError(MonitorError):
    """A call to AWS failed; the same call may succeed later."""
