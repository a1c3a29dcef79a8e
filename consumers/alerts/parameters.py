"""The settings of alerts in force: read from SSM, kept for half a minute, never worse than before; and their editor."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from consumers.alerts.settings import AlertSettings, AlertSettingsError, parse
from producers.parameter import PARAMETER_CHARACTERS, TypedParameter, UnusableParameterError

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
        report: Callable[[UnusableParameterError], None],
        name: str = PARAMETER,
    ) -> None:
        self._ssm, self._name, self._clock, self._report = ssm, name, clock, report
        self._parameter = TypedParameter(ssm, name, parse, AlertSettings())
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
            return self._parameter.read()
        except (ClientError, BotoCoreError):
            if self._settings is None:
                raise
            return self._settings  # an outage of SSM delays no alert
        except UnusableParameterError as error:
            self._report(error)
        return self._settings or next(self._good_ones(), AlertSettings())

    def _good_ones(self) -> Iterator[AlertSettings]:
        pages = self._ssm.get_paginator("get_parameter_history").paginate(Name=self._name)
        values = [item["Value"] for page in pages for item in page["Parameters"]]
        for value in reversed(values):
            try:
                yield parse(value)
            except AlertSettingsError:
                continue  # reported when it was in force


class SettingsEditor(TypedParameter[AlertSettings]):
    """Reads and changes the settings, for the API and the command line."""

    def __init__(self, ssm: SSMClient, name: str = PARAMETER) -> None:
        super().__init__(ssm, name, parse, AlertSettings())

    def change(self, parts: Mapping[str, Any], by: str) -> tuple[AlertSettings, AlertSettings]:
        """Put other values in the place of some fields; the other fields stay. In force within a minute.

        Return the settings before and after. Who changed which fields stands in the parameter's history.

        Raises
        ------
        AlertSettingsError
            A value is not allowed, by itself or beside the others, or they are too long.
        UnusableParameterError
            The parameter holds what cannot be used.
        """
        before = self.read()
        kept = before.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return self._put(before, json.dumps({**kept, **parts}), f"{by} set {', '.join(parts)}")

    def replace(self, text: str, by: str) -> tuple[AlertSettings, AlertSettings]:
        """Put a whole text in the place of all settings, whatever the parameter holds; see `change`."""
        try:
            before = self.read()
        except UnusableParameterError:
            before = AlertSettings()
        return self._put(before, text, f"{by} set all")

    def _put(self, before: AlertSettings, text: str, note: str) -> tuple[AlertSettings, AlertSettings]:
        after = parse(text)
        # Parameter Store takes a value with {{ for a reference to a parameter, and rejects it (Systems Manager guide,
        # "Parameter Store reference"). In JSON it stands in texts only, where it can be written otherwise.
        text = text.replace("{{", r"{\u007b")
        if (size := len(text.encode())) > PARAMETER_CHARACTERS:
            raise AlertSettingsError(
                f"the settings are {size} bytes long", allowed=f"at most {PARAMETER_CHARACTERS}"
            )
        self.write(text, note)
        return before, after
