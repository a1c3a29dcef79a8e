"""Threads for calls that may take minutes and must not keep the process from ending."""

import queue
import threading
from collections.abc import Callable


class DaemonPool:
    """Runs tasks on daemon threads, more of them when all are busy.

    `concurrent.futures` joins its threads when the interpreter exits; an invocation may last 15 minutes and
    its record is delivered again anyway.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._started = 0

    def submit(self, task: Callable[[], None]) -> None:
        """Run a task soon."""
        with self._lock:
            if self._idle == 0:
                self._started += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
            else:
                self._idle -= 1
        self._tasks.put(task)

    def _work(self) -> None:
        while True:
            self._tasks.get()()
            with self._lock:
                self._idle += 1
