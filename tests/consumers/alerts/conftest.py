"""The notifier on a table in memory, with channels that the test reads and a clock that it sets."""

from __future__ import annotations

import pytest

from tests.consumers.alerts.bench import Bench


@pytest.fixture
def bench() -> Bench:
    """Return a notifier on a table in memory."""
    return Bench()
