"""What the detector is told by its environment, read once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class SettingsError(ValueError):
    """A variable of the environment is missing or holds what is not allowed; the message says which."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Names of what the detector reads and writes."""

    partitions: int
    anomalies_table: str
    windows_table: str
    charts_table: str
    data_bucket: str
    bus_name: str
    threshold_parameter: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """The settings in `environment`.

        Raises
        ------
        SettingsError
            If a variable is missing, or PARTITIONS is not a whole number of 1 or more.
        """
        partitions = environment.get("PARTITIONS", "4")
        if not partitions.isascii() or not partitions.isdigit() or int(partitions) < 1:
            raise SettingsError(f"PARTITIONS is {partitions!r}: allowed is a whole number of 1 or more")
        return cls(
            partitions=int(partitions),
            anomalies_table=_required(environment, "ANOMALIES_TABLE"),
            windows_table=_required(environment, "WINDOWS_TABLE"),
            charts_table=_required(environment, "CHARTS_TABLE"),
            data_bucket=_required(environment, "DATA_BUCKET"),
            bus_name=_required(environment, "BUS_NAME"),
            threshold_parameter=environment.get("THRESHOLD_PARAMETER", "/stock-tracker/threshold"),
        )


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set: allowed is the name of what the detector should use")
    return value
