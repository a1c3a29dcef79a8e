"""The settings of alerts in force: read from SSM, kept for half a minute, never worse than before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from consumers.alerts.settings import AlertSettings, AlertSettingsError, parse

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

PARAMETER = "/stock-tracker/alerts"
KEPT_MS = 30_000


class SettingsReader:
    """Returns the settings in force.

    A parameter that is missing means the defaults. A bad one is reported, and the last good value stays in force: the
    one read before, else the newest good one of the parameter's history, else the defaults. While the parameter cannot
    be read, what was read before stays in force; the first reading raises what botocore raises.

    Parameters
    ----------
    clock
        Returns the time now, epoch ms UTC.
    report
        Takes each bad value, once for each reading.
    """

    def __init__(
        self,
        ssm: SSMClient,
        clock: Callable[[], int],
        report: Callable[[AlertSettingsError], None],
        parameter: str = PARAMETER,
    ) -> None:
        self._ssm = ssm
        self._parameter = parameter
        self._clock = clock
        self._report = report
        self._settings: AlertSettings | None = None
        self._read_ms = 0

    def settings(self) -> AlertSettings:
        """Return the settings in force, at most `KEPT_MS` old."""
        now_ms = self._clock()
        if self._settings is None or not 0 <= now_ms - self._read_ms < KEPT_MS:
            self._settings = self._read()
            self._read_ms = now_ms
        return self._settings

    def _read(self) -> AlertSettings:
        try:
            answer = self._ssm.get_parameter(Name=self._parameter)
        except self._ssm.exceptions.ParameterNotFound:
            return AlertSettings()
        except (ClientError, BotoCoreError):
            if self._settings is None:
                raise
            return self._settings  # an outage of SSM delays no alert
        try:
            return parse(answer["Parameter"]["Value"])
        except AlertSettingsError as error:
            self._report(error)
        return self._settings or next(self._good_ones(), AlertSettings())

    def _good_ones(self) -> Iterator[AlertSettings]:
        pages = self._ssm.get_paginator("get_parameter_history").paginate(Name=self._parameter)
        values = [item["Value"] for page in pages for item in page["Parameters"]]
        for value in reversed(values):
            try:
                yield parse(value)
            except AlertSettingsError:
                continue  # reported when it was in force
