"""The threshold parameter in SSM, with its history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from consumers.stores.calls import code_of, io
from consumers.stream.thresholds import EFFECTIVE_AFTER_MS, ThresholdHistory, ThresholdVersion

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_ssm.client import SSMClient

# Older than this a response might miss a version that is in effect; the rest is for clocks that differ.
_FRESH_MS = EFFECTIVE_AFTER_MS - 5_000


class ThresholdParameter:
    """Reads the parameter's history when its version changed; queries the version at most every 25 s."""

    def __init__(
        self,
        client: SSMClient,
        name: str,
        now_ms: Callable[[], int],
        on_rejected: Callable[[ThresholdVersion, str], None],
    ) -> None:
        self._client = client
        self._name = name
        self._now_ms = now_ms
        self._on_rejected = on_rejected
        self._version = -1
        self._read_ms: int | None = None
        self._history = ThresholdHistory([])

    def history(self) -> ThresholdHistory:
        """Return all versions, none missed that was set `EFFECTIVE_AFTER_MS` or more ago."""
        now_ms = self._now_ms()
        if self._read_ms is not None and now_ms - self._read_ms < _FRESH_MS:
            return self._history
        with io(f"read the threshold {self._name}"):
            version = self._current()
            if version != self._version:
                self._read(version)
        self._read_ms = now_ms
        return self._history

    def _current(self) -> int:
        try:
            return self._client.get_parameter(Name=self._name)["Parameter"]["Version"]
        except ClientError as error:
            if code_of(error) != "ParameterNotFound":
                raise
            return 0

    def _read(self, version: int) -> None:
        versions = [] if version == 0 else self._versions()
        known = {rejected.version for rejected in self._history.rejected}
        first, self._history, self._version = self._version < 0, ThresholdHistory(versions), version
        for rejected in self._history.rejected:
            is_news = rejected.version not in known and (not first or rejected.version.number == version)
            if is_news:
                self._on_rejected(*rejected)
        if not versions:
            self._on_rejected(
                ThresholdVersion(0, self._now_ms(), ""), "the parameter does not exist: 2.5 is in force"
            )

    def _versions(self) -> list[ThresholdVersion]:
        pages = self._client.get_paginator("get_parameter_history").paginate(Name=self._name)
        return [
            ThresholdVersion(of["Version"], round(of["LastModifiedDate"].timestamp() * 1000), of["Value"])
            for page in pages
            for of in page["Parameters"]
        ]
