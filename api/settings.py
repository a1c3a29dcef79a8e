"""What the environment of stock-api-handler says, read once."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from producers.markets import NEW_YORK, Session
from producers.settings import read_environment

SERVER_ERRORS = "ServerErrors"
"""Metric of the responses of 5xx, by version."""


class ApiSettings(msgspec.Struct, frozen=True, rename=str.upper):
    """Names of the stores, and where quotes come from unless a request says otherwise.

    The variables are called like the fields, in capitals.
    """

    anomalies_table: str
    charts_table: str
    alerts_table: str
    dead_letter_queue_url: str
    windows_table: str = "stock-windows"
    data_bucket: str = ""
    scanner: str = "stock-scanner"
    detector: str = "stock-detector"
    ticker_parameter: str = "/stock-tracker/ticker"
    threshold_parameter: str = "/stock-tracker/threshold"
    rules_parameter: str = "/stock-tracker/rules"
    alerts_parameter: str = "/stock-tracker/alerts"
    bus_name: str = "stock-market"
    source: str = "simulated"
    session: Session = "always"
    market: str = NEW_YORK
    """Of tickers whose form, or `markets` (``ABC=XLON,XYZ=XETR``), names no other."""
    markets: str = ""
    writes: str = "signed-in"

    @property
    def writes_open(self) -> bool:
        """Whether anybody may write; any other word than "open" leaves writes to those who signed in."""
        return self.writes == "open"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ApiSettings:
        """Return the settings in `environment`.

        Raises
        ------
        SettingsError
            If a variable is missing or holds what is not allowed.
        """
        return read_environment(environment, cls, "stock-api-handler")
