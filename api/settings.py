"""What the environment of stock-api-handler says, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class SettingsError(ValueError):
    """A setting is missing or cannot be used; the message names it and what is allowed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Names of the stores, and where quotes come from unless a request says otherwise."""

    anomalies_table: str
    charts_table: str
    ticker_parameter: str
    source: str
    partitions: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read the settings.

        Raises
        ------
        SettingsError
            If one is missing, or the number of partitions is not a positive whole number.
        """
        partitions = environment.get("PARTITIONS", "4")
        if not partitions.isdecimal() or int(partitions) < 1:
            raise SettingsError(f"PARTITIONS is {partitions!r}: allowed is a whole number from 1")
        return cls(
            anomalies_table=_required(environment, "ANOMALIES_TABLE"),
            charts_table=_required(environment, "CHARTS_TABLE"),
            ticker_parameter=environment.get("TICKER_PARAMETER", "/stock-tracker/ticker"),
            source=environment.get("SOURCE", "simulated"),
            partitions=int(partitions),
        )


def _required(environment: Mapping[str, str], name: str) -> str:
    if value := environment.get(name):
        return value
    raise SettingsError(f"{name} is not set: it must name a DynamoDB table")
