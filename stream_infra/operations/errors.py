"""Errors that a person at the command line can act on; all else is a defect and shows its traceback."""

from __future__ import annotations


class StockMonitorError(Exception):
    """Something expected went wrong; the message says what, where, and what to do.

    The command line prints it as one line on stderr (as JSON with ``--json``) and exits 1.
    """


class NotRunningError(StockMonitorError):
    """There is no monitor to talk to: neither a local one, nor ``--aws``."""


class UnreachableError(StockMonitorError):
    """The monitor's address is known but nothing answers there."""


class NotDeployedError(StockMonitorError):
    """The account or the local AWS lacks a part (a stack, a table, a stream) that the command needs."""


class InputError(StockMonitorError, ValueError):
    """An argument, an option or a file holds something that is not allowed; the message says what is."""
