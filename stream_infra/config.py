"""What a deployment may choose, checked before anything is built."""

from __future__ import annotations

import json
import os
import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from producers import sources
from producers.errors import MonitorError, did_you_mean
from producers.extensions import entry_points
from producers.markets import ALWAYS_OPEN, Session
from producers.source import Mode, SourceError
from stream_infra.setting_types import (
    Account,
    Email,
    Markets,
    Number,
    Options,
    Packages,
    People,
    Prefix,
    Region,
    SourceName,
    Threshold,
    Tickers,
    Url,
    Whole,
    normal_name,
)

LOCAL, PROD = "local", "prod"
DEFAULT_TICKERS = "AAPL,MSFT,NVDA,AMZN,GOOGL,META,TSLA,JPM,XOM,KO"
DEFAULT_PAIRS = "BTC-USD,ETH-USD,SOL-USD,XRP-USD"
BUILT_HERE_CONTEXT = "stock-monitor:built-here"
"""Key of the CDK's context: functions are built for this machine, on which those of a local AWS run."""


EXTENSION_GROUPS = ("stock_monitor.detectors", "stock_monitor.sources", "stock_monitor.channels")
"""Groups of entry points by which a package adds detectors, sources and channels (docs/extending.md)."""


class ConfigError(MonitorError, ValueError):
    """A deployment's settings cannot work; every wrong one is named, with what is allowed."""


class Config(BaseModel):
    """One deployment. Every field is a key of `monitor.toml`, and can be set with ``cdk … -c <field>=<value>``."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    target: Literal["aws", "local"] = "aws"
    account: Account | None = None
    region: Region | None = None
    prefix: Prefix = ""
    """Stands before every name on AWS, with a hyphen: for another deployment in the account, whatever its region."""
    source: SourceName = "alpaca"
    source_options: Options = {}
    """Variables that change what the source does, as docs/sources.md lists them; never a key."""
    source_mode: Mode | None = None
    """Whether the source polls or streams; without it, as the source usually does."""
    markets: Markets = ""
    """Markets of tickers whose form does not say theirs, as in ``ABC=XLON,XYZ=XETR`` (docs/sources.md)."""
    packages: Packages = ()
    """Installed packages that add detectors, sources or channels, or that those need; deployed with the functions."""
    session: Session = "regular"
    """When quotes are polled; without it, always for a source whose market never closes."""
    access: Literal["private", "public"] = "private"
    """Who may read on AWS: those who signed in, or anybody. Changes always need a sign-in."""
    tickers: Tickers = DEFAULT_TICKERS
    """The watch list at first: tickers as a list or separated by commas, or ``s3://bucket/key``.

    Without it, ten US stocks, or four pairs for a source of crypto alone.
    """
    threshold: Threshold = "2.5"
    """A number, or a table as the parameter ``/stock-tracker/threshold`` holds it."""
    poll_interval_seconds: Annotated[Number, Field(ge=1, le=60)] = 5
    shards: Annotated[Whole, Field(ge=1, le=64)] = 1
    partitions: Annotated[Whole, Field(ge=1, le=256)] = 4
    parallelization_factor: Annotated[Whole, Field(ge=1, le=10)] = 1
    batching_window_seconds: Annotated[Whole, Field(ge=0, le=300)] = 0
    kept_days: Annotated[Whole, Field(ge=1, le=15)] | None = None
    """How long windows can be restored and failed batches brought back, at least; without it 15 days on AWS, 5 on this
    machine, and 1 where quotes come around the clock there."""
    concurrency_limit: Annotated[Whole, Field(ge=0)] = 5
    """Concurrent detectors allowed; 0 reserves nothing (a new account with a quota of 10 cannot, nor the local AWS)."""
    retain_data: bool = True
    dashboard_url: Url = ""
    """Where links in alerts lead; empty means the deployed distribution."""
    monthly_cost_limit: Annotated[Number, Field(gt=0, allow_inf_nan=False)] = 30
    """Charges of a month (USD) above which the operators are notified; the metric is that of the whole account."""
    operations_email: Email = ""
    """Who is notified of alarms, once they confirmed AWS's email; empty subscribes nobody."""
    people: People = ()
    """Email addresses of those who may sign in: each is invited by email, and whoever is taken out is signed out."""
    api_log_role: Literal["own", "account"] = "own"
    """The role with which API Gateway writes logs is one of the whole account and region: deploy our own, or let the
    one that is set there write ours too."""
    past_alarms: bool = False
    """Shift calls to new versions whatever their alarms say; for one deployment, by ``deploy --past-alarms``."""
    tracing: bool = False
    """Trace the functions and the API with X-Ray; off, for it costs and is needed only to look for slowness."""

    @model_validator(mode="before")
    @classmethod
    def _with_what_follows_from_the_source(cls, given: Any) -> Any:
        if not isinstance(given, dict) or not isinstance(given.get("source"), str):
            return given
        try:
            spec = sources.get_pollable(given["source"])
        except SourceError:
            return given  # the field's own validator says what is wrong with it
        implied: dict[str, object] = {"session": "always"} if spec.market == ALWAYS_OPEN else {}
        if "stocks" not in spec.assets and "crypto" in spec.assets:
            implied["tickers"] = DEFAULT_PAIRS
        return {**implied, **given}

    @model_validator(mode="before")
    @classmethod
    def _local_account_reserves_nothing(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("target") == LOCAL:
            return {"concurrency_limit": 0, **given}
        return given

    @model_validator(mode="after")
    def _nothing_is_reserved_locally(self) -> Self:
        if self.local and self.concurrency_limit:
            raise ValueError(
                f"concurrency_limit is {self.concurrency_limit}; must be 0 here: the local AWS is a new account, which "
                "runs 10 functions at once and can reserve none of them"
            )
        return self

    @model_validator(mode="after")
    def _source_has_the_mode(self) -> Self:
        modes = sources.get_pollable(self.source).modes
        if self.source_mode is not None and self.source_mode not in modes:
            raise ValueError(
                f"source_mode is {self.source_mode!r}; must be {' or '.join(modes)} for {self.source}"
            )
        return self

    @model_validator(mode="after")
    def _extensions_are_named(self) -> Self:
        """Every detector and channel that is installed counts, so its package is deployed; of sources the chosen."""
        named = {normal_name(name) for name in self.packages}
        detectors, _, channels = EXTENSION_GROUPS
        adding = {
            point.dist.name: f"{what} {point.name}"
            for group, what in ((detectors, "detector"), (channels, "channel"))
            for point in entry_points(group)
            if point.dist
        }
        if package := sources.package_of(self.source):
            adding[package] = f"source {self.source}"
        for package, what in adding.items():
            if normal_name(package) not in named:
                raise ValueError(
                    f"{what} is of the package {package}, which is installed here and not named in packages; "
                    f'must be named, as in packages = ["{package}"], or not be installed'
                )
        return self

    @model_validator(mode="after")
    def _lanes_fit_the_limit(self) -> Self:
        lanes = self.shards * self.parallelization_factor
        if self.concurrency_limit and lanes > self.concurrency_limit:
            raise ValueError(
                f"shards ({self.shards}) x parallelization_factor ({self.parallelization_factor}) = {lanes} "
                f"detectors at once; must be at most concurrency_limit ({self.concurrency_limit}): "
                "raise the limit, or set it to 0"
            )
        return self

    @model_validator(mode="after")
    def _options_are_the_sources(self) -> Self:
        known = {option.variable: option.allowed for option in sources.get_pollable(self.source).options}
        for name, value in self.source_options.items():
            if name not in known:
                allowed = f"one of {', '.join(known)}" if known else f"empty: {self.source} has no options"
                raise ValueError(
                    f"source_options: unknown {name!r}{did_you_mean(name, known)}; must be {allowed}"
                )
            if name.endswith("_URL") and not re.fullmatch(r"(https?|wss?)://[^\s/]+\S*", value):
                raise ValueError(
                    f"source_options: {name} is {value!r}; must be a URL, as in https://example.com"
                )
            if known[name] and value not in known[name]:
                raise ValueError(
                    f"source_options: {name} is {value!r}; must be one of {', '.join(known[name])}"
                )
        return self

    def context(self) -> dict[str, str]:
        """Return every setting as the text that `read_context` takes it as."""
        values = self.model_dump(mode="json", exclude_none=True)
        return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}

    @property
    def window_days(self) -> int:
        """Days for which blocks and snapshots are kept."""
        local = 1 if self.session == "always" else 5  # a long weekend
        return self.kept_days or (local if self.local else 15)

    @property
    def local(self) -> bool:
        """True on the local AWS."""
        return self.target == LOCAL


def enter(config: Config) -> None:
    """Let this process, and those that it starts, work for a deployment: its names, and its region if it names one.

    Before anything imports `stream_infra.names`, which holds the names of one deployment.

    Raises
    ------
    ConfigError
        The names are those of another deployment already.
    """
    os.environ["STOCK_MONITOR_PREFIX"] = config.prefix
    if config.region:
        os.environ["AWS_DEFAULT_REGION"] = os.environ["AWS_REGION"] = config.region
    from stream_infra import names  # noqa: PLC0415  the prefix is read when it is imported

    if config.prefix != names.PREFIX:
        raise ConfigError(
            f"the prefix is {config.prefix!r}, and this process works for the deployment with {names.PREFIX!r}",
            allowed="one deployment a process",
        )
