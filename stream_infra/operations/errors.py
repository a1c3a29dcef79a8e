"""Errors of the command line; like all of the product's, they derive from `producers.errors.MonitorError`."""

from __future__ import annotations

from producers.errors import MonitorError


class NotRunningError(MonitorError):
    """There is no monitor to talk to: neither a local one, nor ``--aws``."""


class UnreachableError(MonitorError):
    """The monitor's address is known but nothing responds there."""


class NotDeployedError(MonitorError):
    """The account or the local AWS lacks a part (a stack, a table, a stream) that the command needs."""


class InputError(MonitorError, ValueError):
    """An argument, an option or a file holds something that is not allowed."""


class FailedError(MonitorError):
    """A step was tried and did not succeed; the message says how far it came and what to do."""
