"""What a deployment may choose: `monitor.toml`, and what overrides it, checked before anything is built.

The file names every deployment and its settings. `make up` reads ``[local]``; the CDK app and the command
line read ``[prod]`` unless another is named (``cdk … -c deployment=staging``). A deployment
that the file does not name has the defaults below. Example::

    [local]
    source = "coinbase"
    tickers = ["BTC-USD", "ETH-USD"]

    [prod]
    region = "us-east-1"
    threshold = { default = 2.5, kinds = { gap = 3 } }
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from producers import sources
from producers.errors import ArgumentError, MonitorError, did_you_mean
from producers.markets import ALWAYS_OPEN, NEW_YORK, Session
from producers.markets.listings import Listings
from producers.settings import explain
from producers.source import Mode, SourceError
from producers.watch_list import WatchListError, is_reference, parse

FILE = "monitor.toml"
LOCAL, PROD = "local", "prod"
DEFAULT_TICKERS = "AAPL,MSFT,NVDA,AMZN,GOOGL,META,TSLA,JPM,XOM,KO"
DEFAULT_PAIRS = "BTC-USD,ETH-USD,SOL-USD,XRP-USD"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_SETTING = re.compile(r"[A-Za-z_]\w*")
"""What looks like a setting in the CDK's context, whose own keys hold ``@``, ``:``, ``/`` or ``-``."""
_PARAMETER_LIMIT = 4096
"""Characters in a value of an SSM parameter of the standard tier:
https://docs.aws.amazon.com/general/latest/gr/ssm.html."""
_NOT_IN_FILE = {"target": "must be left out: the deployment [local] is the one on the local AWS"}
_AWS_KEYS = (
    "account",
    "region",
    "access",
    "retain_data",
    "operations_email",
    "monthly_cost_limit",
    "tracing",
)
_ONLY_ON_AWS = "the local AWS has no use for it"


EXTENSION_GROUPS = ("stock_monitor.detectors", "stock_monitor.sources")
"""Groups of entry points by which a package adds detectors and sources (docs/extending.md)."""


class ConfigError(MonitorError, ValueError):
    """A deployment's settings cannot work; every wrong one is named, with what is allowed."""


def _is_no_truth_value(given: object) -> object:
    if isinstance(given, bool):
        raise ValueError(f"{str(given).lower()}; must be a number")
    return given


Whole = Annotated[int, BeforeValidator(_is_no_truth_value)]
Number = Annotated[float, BeforeValidator(_is_no_truth_value)]


class Given(NamedTuple):
    """A setting's value and where it was given, as a person would look for it: ``"-c shards"``."""

    value: object
    where: str


class Config(BaseModel):
    """One deployment. Every field is a key of `monitor.toml`, and can be set with ``cdk … -c <field>=<value>``."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    target: Literal["aws", "local"] = "aws"
    account: str | None = None
    region: str | None = None
    source: str = "alpaca"
    source_options: dict[str, str] = {}
    """Variables that change what the source does, as docs/sources.md lists them; never a key."""
    source_mode: Mode | None = None
    """Whether the source polls or streams; without it, as the source usually does."""
    markets: str = ""
    """Markets of tickers whose form does not say theirs, as in ``ABC=XLON,XYZ=XETR`` (docs/sources.md)."""
    packages: tuple[str, ...] = ()
    """Installed packages that add detectors or sources, or are needed by one that does; deployed with the functions."""
    session: Session = "regular"
    """When quotes are polled; without it, always for a source whose market never closes."""
    access: Literal["private", "public"] = "private"
    """Who may read on AWS: those who signed in, or anybody. Changes always need a sign-in."""
    tickers: str = DEFAULT_TICKERS
    """The watch list at first: tickers as a list or separated by commas, or ``s3://bucket/key``.

    Without it, ten US stocks, or four pairs for a source of crypto alone.
    """
    threshold: str = "2.5"
    """A number, or a table as the parameter ``/stock-tracker/threshold`` holds it."""
    poll_interval_seconds: Annotated[Number, Field(ge=1, le=60)] = 5
    shards: Annotated[Whole, Field(ge=1, le=64)] = 1
    partitions: Annotated[Whole, Field(ge=1, le=256)] = 4
    parallelization_factor: Annotated[Whole, Field(ge=1, le=10)] = 1
    batching_window_seconds: Annotated[Whole, Field(ge=0, le=300)] = 0
    concurrency_limit: Annotated[Whole, Field(ge=0)] = 5
    """Concurrent detectors allowed; 0 reserves nothing (a new account with a quota of 10 cannot)."""
    retain_data: bool = True
    dashboard_url: str = ""
    """Where links in alerts lead; empty means the deployed distribution."""
    monthly_cost_limit: Annotated[Number, Field(gt=0)] = 30
    """Charges of a month (USD) above which the operators are notified; the metric is that of the whole account."""
    operations_email: str = ""
    """Who is notified of alarms, once they confirmed AWS's email; empty subscribes nobody."""
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

    @field_validator("source", mode="before")
    @classmethod
    def _is_a_source(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        try:
            sources.get_pollable(given)
        except SourceError as error:
            suggestion = "" if given in sources.names() else did_you_mean(given, sources.names())
            what = f"{error.what}{suggestion}"
            raise ValueError(f"{what}; must be {error.allowed}" if error.allowed else what) from error
        return given

    @field_validator("markets")
    @classmethod
    def _are_markets_of_tickers(cls, given: str) -> str:
        try:
            Listings(given, NEW_YORK)
        except ArgumentError as error:
            raise ValueError(str(error)) from error
        return given

    @model_validator(mode="after")
    def _source_has_the_mode(self) -> Self:
        modes = sources.get_pollable(self.source).modes
        if self.source_mode is not None and self.source_mode not in modes:
            raise ValueError(
                f"source_mode is {self.source_mode!r}; must be {' or '.join(modes)} for {self.source}"
            )
        return self

    @field_validator("packages", mode="before")
    @classmethod
    def _is_a_list(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        return (
            json.loads(given)
            if given.startswith("[")
            else [name for name in re.split(r"[\s,]+", given) if name]
        )

    @field_validator("packages")
    @classmethod
    def _are_installed(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for name in given:
            try:
                distribution(name)
            except (PackageNotFoundError, ValueError) as error:
                allowed = "the name of an installed package, as `pip list` shows it"
                raise ValueError(f"package {name!r} is not installed; must be {allowed}") from error
        return given

    @model_validator(mode="after")
    def _source_is_deployed(self) -> Self:
        spec_of_package = {
            point.name: point.dist.name for point in entry_points(group=EXTENSION_GROUPS[1]) if point.dist
        }
        package = spec_of_package.get(self.source)
        if package is not None and package not in self.packages:
            raise ValueError(
                f"source {self.source} is of the package {package}, which must be named in packages"
            )
        return self

    @field_validator("source_options", mode="before")
    @classmethod
    def _is_an_object(cls, given: object) -> object:
        return json.loads(given) if isinstance(given, str) and given.startswith("{") else given

    @field_validator("tickers", mode="before")
    @classmethod
    def _is_a_watch_list(cls, given: object) -> object:
        if isinstance(given, list) and all(isinstance(item, str) for item in given):
            given = ",".join(given)
        if not isinstance(given, str) or is_reference(given):
            return given
        try:
            listed = parse(given, "the watch list")
        except WatchListError as error:
            raise ValueError(str(error)) from error
        if listed.rejected:
            raise ValueError("; ".join(listed.rejected))
        text = ",".join(listed.symbols)
        if len(text) > _PARAMETER_LIMIT:
            raise ValueError(
                f"{len(listed.symbols)} tickers have {len(text)} characters; must be {_PARAMETER_LIMIT} at most: "
                "put a longer list into the data bucket and name it, as in s3://bucket/watch-lists/all.csv"
            )
        return text

    @field_validator("threshold", mode="before")
    @classmethod
    def _is_a_threshold(cls, given: object) -> str:
        from consumers.stream.thresholds import Threshold, ThresholdError  # noqa: PLC0415  numpy: not for --help

        text = given if isinstance(given, str) else json.dumps(given)
        try:
            return Threshold.parse(text).text
        except ThresholdError as error:
            raise ValueError(str(error)) from error

    @field_validator("operations_email")
    @classmethod
    def _is_an_address(cls, given: str) -> str:
        if given and not re.fullmatch(r"[^@\s]+@[^@\s]+", given):
            raise ValueError(f"{given!r}; must be an email address, as in ops@example.com")
        return given

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
    def local(self) -> bool:
        """True on the local AWS."""
        return self.target == LOCAL


def find_file(start: Path) -> Path | None:
    """Return the `monitor.toml` in force in a folder: its own, or that of the nearest folder above."""
    return next((path for folder in (start, *start.parents) if (path := folder / FILE).is_file()), None)


def read_deployments(path: Path | None) -> dict[str, dict[str, object]]:
    """Return the settings of every deployment as the file holds them, unchecked but for their shape.

    Raises
    ------
    ConfigError
        If the file cannot be read, is no TOML, or holds something outside of a deployment.
    """
    if path is None:
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=FILE) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"is no TOML: {error}", where=str(path)) from error
    for name, settings in content.items():
        if not isinstance(settings, dict):
            raise ConfigError(
                f"{name} belongs to no deployment", where=FILE, allowed=f"below a line such as [{PROD}]"
            )
        if not _NAME.fullmatch(name):
            rule = "1 to 32 of a-z 0-9 -, beginning with a letter"
            raise ConfigError(f"{name!r} is no name of a deployment", where=FILE, allowed=rule)
    return content


def load(
    name: str,
    path: Path | None,
    overrides: Mapping[str, Given] = MappingProxyType({}),
    defaults: Mapping[str, object] = MappingProxyType({}),
) -> Config:
    """Return the settings of the deployment `name`: `overrides` before the file's, the file's before `defaults`.

    Raises
    ------
    ConfigError
        If a key is unknown or a value is not allowed; every one is named.
    """
    deployments = read_deployments(path)
    if name not in deployments and name not in {LOCAL, PROD}:
        known = sorted({*deployments, LOCAL, PROD})
        raise ConfigError(
            f"unknown deployment {name!r}{did_you_mean(name, known)}",
            where=FILE,
            allowed=f"one of {', '.join(known)}",
        )
    section = deployments.get(name, {})
    where = {key: f"{FILE} [{name}] {key}" for key in section} | {
        key: of.where for key, of in overrides.items()
    }
    problems = [
        f"{where[key]} {why}" for key, why in _NOT_IN_FILE.items() if key in section and key not in overrides
    ]
    if name == LOCAL:
        problems += [f"{where[key]} must be left out: {_ONLY_ON_AWS}" for key in _AWS_KEYS if key in section]
    given = {**defaults, **section, **{key: of.value for key, of in overrides.items()}}
    fields = [field for field in Config.model_fields if field not in _NOT_IN_FILE]
    try:
        config = Config.model_validate(given)
    except ValidationError as error:
        problems += explain(error.errors(), lambda _: fields, lambda key: where.get(key, f"{FILE} [{name}]"))
    if problems:
        raise ConfigError("\n".join(problems))
    return config


def read_context(context: Mapping[str, object], folder: Path) -> Config:
    """Return the settings of the deployment that the CDK app is run for.

    Parameters
    ----------
    context
        The CDK's context: ``deployment`` names the deployment, every other key overrides its setting.
    folder
        Where to look for `monitor.toml`.

    Raises
    ------
    ConfigError
        If a key is unknown or a value is not allowed; every one is named.
    """
    given = {key: value for key, value in context.items() if _SETTING.fullmatch(key) and value is not None}
    name = given.pop("deployment", LOCAL if given.get("target") == LOCAL else PROD)
    overrides = {key: Given(value, f"-c {key}") for key, value in given.items()}
    defaults = {
        "target": LOCAL if name == LOCAL else "aws",
        "account": os.environ.get("CDK_DEFAULT_ACCOUNT"),
        "region": os.environ.get("CDK_DEFAULT_REGION"),
    }
    return load(str(name), find_file(folder), overrides, defaults)
