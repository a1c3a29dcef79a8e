"""The threshold parameter in SSM, with its history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from consumers.stores.calls import code_of, io
from consumers.stream.thresholds import EFFECTIVE_AFTER_MS, ThresholdHistory, ThresholdVersion

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_ssm.client import SSMClient
    from mypy_boto3_ssm.type_defs import ParameterHistoryTypeDef, ParameterTypeDef

# Older than this a response might miss a version that is in effect; the rest is for clocks that differ.
_FRESH_MS = EFFECTIVE_AFTER_MS - 5_000


class ThresholdParameter:
    """Reads the parameter's history when its version changed; queries the version at most every 25 s.

    A parameter that is deleted and created again starts at version 1 again: a version is known by its number and
    the time it was set. What was in force before it was created again stays in the history of this process.
    """

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
        self._newest: ThresholdVersion | None = None
        self._versions: list[ThresholdVersion] = []
        self._read_ms: int | None = None
        self._history = ThresholdHistory([])

    def history(self) -> ThresholdHistory:
        """Return all versions, none missed that was set `EFFECTIVE_AFTER_MS` or more ago."""
        now_ms = self._now_ms()
        if self._read_ms is not None and 0 <= now_ms - self._read_ms < _FRESH_MS:
            return self._history
        with io(f"read the threshold {self._name}"):
            newest = self._current()
            if self._read_ms is None or newest != self._newest:
                self._read(newest)
        self._read_ms = now_ms
        return self._history

    def _current(self) -> ThresholdVersion | None:
        try:
            return _version(self._client.get_parameter(Name=self._name)["Parameter"])
        except ClientError as error:
            if code_of(error) != "ParameterNotFound":
                raise
            return None

    def _read(self, newest: ThresholdVersion | None) -> None:
        read = [] if newest is None else self._all()
        since_ms = min((version.set_ms for version in read), default=0)
        self._versions = [version for version in self._versions if version.set_ms < since_ms] + read
        known = {rejected.version for rejected in self._history.rejected}
        self._newest, self._history = newest, ThresholdHistory(self._versions)
        for rejected in self._history.rejected:
            is_newest = newest is not None and rejected.version.number == newest.number
            if rejected.version not in known and (self._read_ms is not None or is_newest):
                self._on_rejected(*rejected)
        if newest is None:
            self._on_rejected(
                ThresholdVersion(0, self._now_ms(), ""), "the parameter does not exist: 2.5 is in force"
            )

    def _all(self) -> list[ThresholdVersion]:
        pages = self._client.get_paginator("get_parameter_history").paginate(Name=self._name)
        return [_version(of) for page in pages for of in page["Parameters"]]


def _version(of: ParameterTypeDef | ParameterHistoryTypeDef) -> ThresholdVersion:
    return ThresholdVersion(of["Version"], round(of["LastModifiedDate"].timestamp() * 1000), of["Value"])
