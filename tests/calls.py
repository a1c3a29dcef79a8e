"""Somebody calls something again and again, while a test goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def called_every(seconds: float, call: Callable[[], object]) -> Iterator[None]:
    """Call it from a thread, with so long a pause before each call."""
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(seconds):
            call()

    caller = threading.Thread(target=go_on)
    caller.start()
    try:
        yield
    finally:
        ended.set()
        caller.join()
