"""The watch list in force, as the scanner reads it."""

from __future__ import annotations

from producers.watch_list import WatchListError, WatchListReader


class WatchedTickers:
    """Return the tickers that the scanner polls, in their order; none where the list names none."""

    def __init__(self, reader: WatchListReader) -> None:
        self._reader = reader

    def __call__(self) -> list[str]:
        """Return the tickers; what is not written as a ticker is left out (the scan reports it)."""
        try:
            return list(self._reader().symbols)
        except WatchListError:
            return []
