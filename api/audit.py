"""What people change, as a line of the log each: who, what was there before, and what is now."""

from __future__ import annotations

from aws_lambda_powertools import Logger

_logger = Logger(service="stock-api-handler", child=True)


def record(what: str, by: str, before: object, after: object) -> None:
    """Log a change; when it was made is the line's own time.

    Parameters
    ----------
    what
        The kind of thing, such as "rule".
    by
        Who made the request, see `api.access.caller`.
    before, after
        As JSON has it; None where it was made, or taken away.
    """
    _logger.info(f"{what} changed", extra={"by": by, "before": before, "after": after})
