"""What the environment of stock-api-handler says, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from producers.markets import SESSIONS, Session


class SettingsError(ValueError):
    """A setting is missing or wrong; the message names it and what it must be."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Names of the stores, and where quotes come from unless a request says otherwise."""

    anomalies_table: str
    charts_table: str
    alerts_table: str
    dead_letter_queue_url: str
    ticker_parameter: str
    source: str
    session: Session
    writes_open: bool

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read the settings.

        Raises
        ------
        SettingsError
            If one is missing, or SESSION is none.
        """
        return cls(
            anomalies_table=_required(environment, "ANOMALIES_TABLE"),
            charts_table=_required(environment, "CHARTS_TABLE"),
            alerts_table=_required(environment, "ALERTS_TABLE"),
            dead_letter_queue_url=_required(environment, "DEAD_LETTER_QUEUE_URL"),
            ticker_parameter=environment.get("TICKER_PARAMETER", "/stock-tracker/ticker"),
            source=environment.get("SOURCE", "simulated"),
            session=_session(environment.get("SESSION", "always")),
            # Whatever it is but this word leaves writes closed.
            writes_open=environment.get("WRITES", "signed-in") == "open",
        )


def _session(value: str) -> Session:
    for session in SESSIONS:
        if value == session:
            return session
    raise SettingsError(f"SESSION is {value!r}: allowed are {', '.join(SESSIONS)}")


def _required(environment: Mapping[str, str], name: str) -> str:
    if value := environment.get(name):
        return value
    raise SettingsError(f"{name} is not set: it must name what the API should use")
