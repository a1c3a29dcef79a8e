"""What the environment of stock-detector says, read once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from producers.settings import read_environment

if TYPE_CHECKING:
    from collections.abc import Mapping


class DetectorSettings(msgspec.Struct, frozen=True, kw_only=True, rename=str.upper):
    """Names of what the detector reads and writes; the variables are called like the fields, in capitals."""

    anomalies_table: str
    windows_table: str
    charts_table: str
    data_bucket: str
    bus_name: str
    partitions: Annotated[int, Meta(ge=1, le=1024)] = 4
    threshold_parameter: str = "/stock-tracker/threshold"
    rules_parameter: str = "/stock-tracker/rules"
    kept_days: Annotated[int, Meta(ge=1, le=15)] = 15

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> DetectorSettings:
        """Return the settings in `environment`.

        Raises
        ------
        SettingsError
            If a variable is missing or holds what is not allowed.
        """
        return read_environment(environment, cls, "stock-detector")
