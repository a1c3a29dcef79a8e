"""What the client raises."""

from __future__ import annotations

from producers.errors import MonitorError


class ApiError(MonitorError):
    """The API returned an error; `status` is the HTTP status, the text its problem document's detail."""

    def __init__(self, what: str, *, where: str = "", allowed: str = "", status: int = 0) -> None:
        super().__init__(what, where=where, allowed=allowed)
        self.status = status


class ApiUnavailableError(ApiError):
    """The API did not respond, or only with errors that pass, for all the time of the retries."""
