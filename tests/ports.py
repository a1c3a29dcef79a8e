"""Ports for the servers of tests."""

from __future__ import annotations

import random

from localstack.settings import port_is_free


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens, below those that systems give to outgoing connections.

    One of those could be taken by a connection before the program that it is for listens on it.
    """
    return next(port for port in random.sample(range(20_000, 32_000), 100) if port_is_free(port))
