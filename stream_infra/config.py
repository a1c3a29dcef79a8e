"""What a deployment may choose, read once from the CDK context and checked before anything is built."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from producers.source import SourceError
from producers.sources import get_pollable

DEFAULT_TICKERS = "AAPL,MSFT,NVDA,AMZN,GOOGL,META,TSLA,JPM,XOM,KO"
KEYS = (
    "target",
    "account",
    "region",
    "source",
    "session",
    "access",
    "tickers",
    "threshold",
    "poll_interval_seconds",
    "shards",
    "partitions",
    "parallelization_factor",
    "batching_window_seconds",
    "concurrency_limit",
    "retain_data",
    "dashboard_url",
    "monthly_cost_limit",
    "operations_email",
    "tracing",
)


class ConfigError(ValueError):
    """A deployment setting that cannot work; the message names it, its value and what is allowed."""


class Config(BaseModel):
    """One deployment. Every field can be set with ``cdk … -c <field>=<value>``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: Literal["aws", "local"] = "aws"
    account: str | None = None
    region: str | None = None
    source: str = "alpaca"
    session: Literal["regular", "extended", "always"] = "regular"
    access: Literal["private", "public"] = "private"
    """Who may read on AWS: those who signed in, or anybody. Changes always need a sign-in."""
    tickers: str = DEFAULT_TICKERS
    threshold: Annotated[float, Field(gt=0, le=100)] = 2.5
    poll_interval_seconds: Annotated[float, Field(ge=1, le=60)] = 5
    shards: Annotated[int, Field(ge=1, le=64)] = 1
    partitions: Annotated[int, Field(ge=1, le=256)] = 4
    parallelization_factor: Annotated[int, Field(ge=1, le=10)] = 1
    batching_window_seconds: Annotated[int, Field(ge=0, le=300)] = 0
    concurrency_limit: Annotated[int, Field(ge=0)] = 5
    """Concurrent detectors allowed; 0 reserves nothing (a new account with a quota of 10 cannot)."""
    retain_data: bool = True
    dashboard_url: str = ""
    """Where links in alerts lead; empty means the deployed distribution."""
    monthly_cost_limit: Annotated[float, Field(gt=0)] = 30
    """Charges of a month (USD) above which the operators are told; the metric is that of the whole account."""
    operations_email: str = ""
    """Who is told of alarms, once they confirmed AWS's email; empty subscribes nobody."""
    tracing: bool = False
    """Trace the functions and the API with X-Ray; off, for it costs and is needed only to look for slowness."""

    @field_validator("source")
    @classmethod
    def _is_a_source_that_can_be_polled(cls, given: str) -> str:
        try:
            get_pollable(given)
        except SourceError as error:
            raise ValueError(str(error)) from error
        return given

    @field_validator("operations_email")
    @classmethod
    def _is_an_address(cls, given: str) -> str:
        if given and not re.fullmatch(r"[^@\s]+@[^@\s]+", given):
            raise ValueError("allowed is an email address, as in ops@example.com")
        return given

    @model_validator(mode="after")
    def _lanes_fit_the_limit(self) -> Self:
        lanes = self.shards * self.parallelization_factor
        if self.concurrency_limit and lanes > self.concurrency_limit:
            raise ValueError(
                f"shards ({self.shards}) x parallelization_factor ({self.parallelization_factor}) = {lanes} "
                f"detectors at once, above concurrency_limit ({self.concurrency_limit}): "
                "raise the limit, or set it to 0"
            )
        return self

    @property
    def local(self) -> bool:
        """True on the local AWS."""
        return self.target == "local"


def read_config(context: Callable[[str], object]) -> Config:
    """Build a `Config` from the CDK context (`node.try_get_context`).

    Raises:
        ConfigError: a value is not allowed; every wrong value is named.
    """
    given = {key: value for key in KEYS if (value := context(key)) is not None}
    given.setdefault("account", os.environ.get("CDK_DEFAULT_ACCOUNT"))
    given.setdefault("region", os.environ.get("CDK_DEFAULT_REGION"))
    try:
        return Config.model_validate(given)
    except ValidationError as error:
        raise ConfigError("\n".join(_describe(item) for item in error.errors())) from error


def _describe(item: object) -> str:
    assert isinstance(item, dict)  # noqa: S101  pydantic's ErrorDetails is a dict
    where = ".".join(str(part) for part in item["loc"]) or "configuration"
    return f"{where}: {item['msg']} (given: {item['input']!r})" if item["loc"] else str(item["msg"])
