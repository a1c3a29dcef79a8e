"""Waits for the local AWS to say that records came; where it cannot say so, shards are polled often."""

import json
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Callable

from localstack.arrivals import PATH, WAIT_SECONDS

logger = logging.getLogger(__name__)

_AGAIN_SECONDS = 1.0


class ArrivalWatch:
    """A thread that calls `on_arrival` each time records came to any stream."""

    def __init__(self, endpoint: str, on_arrival: Callable[[], None]) -> None:
        self._url = f"{endpoint.rstrip('/')}{PATH}?after="
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is on this machine
        self._on_arrival = on_arrival
        self._stop = threading.Event()
        self.is_announced = False
        """Whether the local AWS says when records come."""
        self._thread = threading.Thread(target=self._run, name="arrivals", daemon=True)

    def start(self) -> None:
        """Begin to wait."""
        self._thread.start()

    def stop(self) -> None:
        """Wait no more; a call that is open is left behind."""
        self._stop.set()

    def _run(self) -> None:
        count = -1
        while not self._stop.is_set():
            try:
                with self._opener.open(f"{self._url}{count}", timeout=WAIT_SECONDS + 10) as answer:
                    newest = int(json.load(answer))
            except (OSError, ValueError, TypeError) as error:  # HTTPError is an OSError
                self.is_announced = False
                if isinstance(error, urllib.error.HTTPError):
                    logger.info("arrivals_unknown status=%s: shards are polled", error.code)
                    return
                count = -1
                self._stop.wait(_AGAIN_SECONDS)
                continue
            self.is_announced = True
            if newest != count:
                count = newest
                self._on_arrival()
