"""The watch list as operators set it in SSM, kept for a few seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from producers.quote_batch import is_symbol

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

KEPT_MS = 15_000


class WatchList:
    """Answers the tickers of the parameter, in its order; asks SSM at most every `KEPT_MS`."""

    def __init__(self, client: SSMClient, parameter: str, now_ms: Callable[[], int]) -> None:
        self._client = client
        self._parameter = parameter
        self._now_ms = now_ms
        self._kept: list[str] = []
        self._kept_until_ms = 0

    def __call__(self) -> list[str]:
        """The tickers now; what is not written as a ticker is left out (the scan reports it)."""
        if self._now_ms() >= self._kept_until_ms:
            value = self._client.get_parameter(Name=self._parameter)["Parameter"]["Value"]
            self._kept = parse(value)
            self._kept_until_ms = self._now_ms() + KEPT_MS
        return self._kept


def parse(value: str) -> list[str]:
    """The tickers in a comma-separated list, upper case, each once, in order."""
    tickers = (part.strip().upper() for part in value.split(","))
    return list(dict.fromkeys(ticker for ticker in tickers if is_symbol(ticker)))
