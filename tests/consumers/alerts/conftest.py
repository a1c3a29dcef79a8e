"""The notifier on a table in memory, with channels that the test reads and a clock that it sets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.consumers.alerts.bench import Bench
from tests.consumers.alerts.vendor import Vendor


@pytest.fixture
def bench() -> Bench:
    """Return a notifier on a table in memory."""
    return Bench()


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    made = Vendor()
    yield made
    made.server.shutdown()
    made.server.server_close()
