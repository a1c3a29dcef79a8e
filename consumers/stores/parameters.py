"""The threshold parameter and the rules in SSM, with their histories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from consumers.stores.calls import code_of, io
from consumers.stream.rules import PARAMETER
from consumers.stream.thresholds import (
    DEFAULT,
    EFFECTIVE_AFTER_MS,
    Threshold,
    ThresholdError,
    ThresholdHistory,
    ThresholdVersion,
)
from consumers.stream.thresholds import PARAMETER as THRESHOLD
from producers.parameter import PARAMETER_CHARACTERS, TypedParameter
from producers.symbols import in_capitals

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_ssm.client import SSMClient
    from mypy_boto3_ssm.type_defs import ParameterHistoryTypeDef, ParameterTypeDef

# Older than this a response might miss a version that is in effect; the rest is for clocks that differ.
_FRESH_MS = EFFECTIVE_AFTER_MS - 5_000


class ThresholdEditor(TypedParameter[Threshold]):
    """Reads and changes the threshold, for the API and the command line."""

    def __init__(self, ssm: SSMClient, name: str = THRESHOLD) -> None:
        super().__init__(ssm, name, Threshold.parse, Threshold.parse(DEFAULT))

    def change(self, value: float | None, ticker: str, kind: str, by: str) -> tuple[Threshold, Threshold]:
        """Set one threshold, or leave it to the wider one, as `Threshold.changed` does; in force within a minute.

        Returns what was in force before, and what is now.

        Who changed what stands in the parameter's history.

        Raises
        ------
        ThresholdError
            It is not allowed.
        """
        before = self.read()
        after = before.changed(value, ticker, kind)
        if len(after.text) > PARAMETER_CHARACTERS:
            raise ThresholdError(
                "the thresholds are too many", allowed=f"at most {PARAMETER_CHARACTERS} characters"
            )
        of = " ".join(filter(None, (in_capitals(ticker.strip()), kind))) or "default"
        note = f"{by} set {of} to {'the default' if value is None else f'{value:g}'}"
        self.write(after.text, note)
        return before, after


class ThresholdParameter:
    """Reads the histories of the threshold and of the rules when a version changed; queries it at most every 25 s.

    A parameter that is deleted and created again starts at version 1 again: a version is known by its number and
    the time it was set. What was in force before it was created again stays in the history of this process.
    """

    def __init__(
        self,
        client: SSMClient,
        name: str,
        now_ms: Callable[[], int],
        on_rejected: Callable[[ThresholdVersion, str], None],
        rules: str = PARAMETER,
    ) -> None:
        self._threshold, self._rules = _Versions(client, name), _Versions(client, rules)
        self._now_ms = now_ms
        self._on_rejected = on_rejected
        self._read_ms: int | None = None
        self._history = ThresholdHistory([])

    def history(self) -> ThresholdHistory:
        """Return all versions, none missed that was set `EFFECTIVE_AFTER_MS` or more ago."""
        now_ms = self._now_ms()
        if self._read_ms is not None and now_ms - self._read_ms < _FRESH_MS:
            return self._history
        is_first = self._read_ms is None
        with io(f"read the threshold {self._threshold.name} and the rules {self._rules.name}"):
            changed = [of.refresh() for of in (self._threshold, self._rules)]
        if is_first or any(changed):
            self._report(ThresholdHistory(self._threshold.all, self._rules.all), is_first=is_first)
        if self._threshold.newest is None and (is_first or changed[0]):
            self._on_rejected(
                ThresholdVersion(0, now_ms, ""), "the parameter does not exist: 2.5 is in force"
            )
        self._read_ms = now_ms
        return self._history

    def _report(self, history: ThresholdHistory, *, is_first: bool) -> None:
        known = {rejected.version for rejected in self._history.rejected}
        newest = {self._threshold.newest, self._rules.newest}
        self._history = history
        for rejected in history.rejected:
            if rejected.version not in known and (not is_first or rejected.version in newest):
                self._on_rejected(*rejected)


class _Versions:
    """All versions of a parameter."""

    def __init__(self, client: SSMClient, name: str) -> None:
        self._client = client
        self.name = name
        self.newest: ThresholdVersion | None = None
        self.all: list[ThresholdVersion] = []

    def refresh(self) -> bool:
        """Read the history if the newest version is another than before; return whether it is."""
        newest = self._current()
        if newest == self.newest:
            return False
        read = [] if newest is None else self._history()
        since_ms = min((version.set_ms for version in read), default=0)
        self.all = [version for version in self.all if version.set_ms < since_ms] + read
        self.newest = newest
        return True

    def _current(self) -> ThresholdVersion | None:
        try:
            return _version(self._client.get_parameter(Name=self.name)["Parameter"])
        except ClientError as error:
            if code_of(error) != "ParameterNotFound":
                raise
            return None

    def _history(self) -> list[ThresholdVersion]:
        pages = self._client.get_paginator("get_parameter_history").paginate(Name=self.name)
        return [_version(of) for page in pages for of in page["Parameters"]]


def _version(of: ParameterTypeDef | ParameterHistoryTypeDef) -> ThresholdVersion:
    return ThresholdVersion(of["Version"], round(of["LastModifiedDate"].timestamp() * 1000), of["Value"])
