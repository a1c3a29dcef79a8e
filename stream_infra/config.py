"""What a deployment may choose: `monitor.toml`, and what overrides it, checked before anything is built.

The file names every deployment and its settings. `make up` reads ``[local]``; the CDK app and the command
line read ``[prod]`` unless another is named (``cdk … -c deployment=staging``). What a section leaves out has the
defaults below. Example::

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
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from producers import sources
from producers.errors import MonitorError, did_you_mean
from producers.extensions import entry_points
from producers.markets import ALWAYS_OPEN, Session
from producers.settings import explain
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

FILE = "monitor.toml"
LOCAL, PROD = "local", "prod"
DEFAULT_TICKERS = "AAPL,MSFT,NVDA,AMZN,GOOGL,META,TSLA,JPM,XOM,KO"
POLL_SECONDS_SIMULATED = 2
DEFAULT_PAIRS = "BTC-USD,ETH-USD,SOL-USD,XRP-USD"
SETTINGS_CONTEXT = "stock-monitor:settings"
"""Key of the CDK's context: the path of the monitor.toml in force, empty for none; else it is looked for."""
BUILT_HERE_CONTEXT = "stock-monitor:built-here"
"""Key of the CDK's context: functions are built for this machine, on which those of a local AWS run."""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_SETTING = re.compile(r"[A-Za-z_]\w*")
"""What looks like a setting in the CDK's context, whose own keys hold ``@``, ``:``, ``/`` or ``-``."""
_NOT_IN_FILE = {"target": "must be left out: the deployment [local] is the one on the local AWS"}
_AWS_KEYS = (
    "account",
    "region",
    "prefix",
    "access",
    "retain_data",
    "operations_email",
    "people",
    "monthly_cost_limit",
    "tracing",
    "past_alarms",
    "api_log_role",
)
_ONLY_ON_AWS = "the local AWS has no use for it"


EXTENSION_GROUPS = ("stock_monitor.detectors", "stock_monitor.sources", "stock_monitor.channels")
"""Groups of entry points by which a package adds detectors, sources and channels (docs/extending.md)."""


class ConfigError(MonitorError, ValueError):
    """A deployment's settings cannot work; every wrong one is named, with what is allowed."""


class Given(NamedTuple):
    """A setting's value and where it was given, as a person would look for it: ``"-c shards"``."""

    value: object
    where: str


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
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=FILE) from error
    except (ValueError, RecursionError) as error:  # also of a number or a list that Python does not read
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


def _other_type(key: str, value: object) -> str:
    """Return what a value of the file must be where its type is another; only ``-c`` gives numbers as text."""
    usual = Config.model_fields[key].default if key in Config.model_fields else None
    if isinstance(usual, bool):
        return "" if isinstance(value, bool) else "true or false, without quotes"
    if isinstance(usual, int | float) and isinstance(value, str):
        return "a number, without quotes"
    return ""


def _are_one(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Return whether two deployments are in one account, which both name, and have the same names in it.

    Whose account is not named is deployed with the credentials of the moment, to any account.
    """
    account = one.get("account")
    return account is not None and all(
        one.get(key, usual) == other.get(key, usual)
        for key, usual in (("account", ""), ("region", ""), ("prefix", ""))
    )


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
    known = sorted(deployments) if did_you_mean(name, deployments) else sorted({*deployments, LOCAL, PROD})
    # [local] and [prod] may be left out; but a file with [locl] in it is more likely to mean one of them by it.
    if name not in deployments and not (name in {LOCAL, PROD} and name in known):
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
    other = {
        key: rule for key in section if key not in overrides and (rule := _other_type(key, section[key]))
    }
    problems += [f"{where[key]}: {section[key]!r}; must be {rule}" for key, rule in other.items()]
    given = {**defaults, **section, **{key: of.value for key, of in overrides.items()}}
    if name == LOCAL:
        given = {"target": LOCAL, "source": "simulated", **given}
        if str(given["source"]).startswith("simulated"):
            given = {"poll_interval_seconds": POLL_SECONDS_SIMULATED, **given}
    given = {key: value for key, value in given.items() if key not in other}
    fields = [field for field in Config.model_fields if field not in _NOT_IN_FILE]
    problems += [
        f"{FILE} [{another}] {key}: unknown setting {key!r}{did_you_mean(key, fields)}; "
        f"must be one of {', '.join(fields)}"
        for another, settings in deployments.items()
        if another != name
        for key in settings
        if key not in Config.model_fields
    ]
    if name != LOCAL and name in deployments:
        problems += [
            f"{FILE} [{name}]: has account, region and prefix of [{another}], so that both would be one deployment; "
            "must have a prefix of its own, or be in another account"
            for another, settings in deployments.items()
            if another not in {name, LOCAL} and _are_one(settings, section)
        ]
    try:
        config = Config.model_validate(given)
    except ValidationError as error:
        problems += explain(error.errors(), lambda _: fields, lambda key: where.get(key, f"{FILE} [{name}]"))
    if problems:
        raise ConfigError("\n".join(problems))
    return config


def check_all(path: Path | None) -> dict[str, dict[str, object]]:
    """Check every deployment of a file; return their settings as it holds them.

    Raises
    ------
    ConfigError
        If a key is unknown or a value is not allowed; every one is named.
    """
    problems = dict[str, None]()
    deployments = read_deployments(path)
    for name in deployments:
        try:
            load(name, path)
        except ConfigError as error:
            problems |= dict.fromkeys(str(error).splitlines())
    if problems:
        raise ConfigError("\n".join(problems))
    return deployments


def read_context(context: Mapping[str, object], folder: Path) -> Config:
    """Return the settings of the deployment that the CDK app is run for.

    Parameters
    ----------
    context
        The CDK's context: ``deployment`` names the deployment, every other key overrides its setting.
    folder
        Where to look for `monitor.toml`, unless the context names it.

    Raises
    ------
    ConfigError
        If a key is unknown or a value is not allowed; every one is named.
    """
    given = {key: value for key, value in context.items() if _SETTING.fullmatch(key) and value is not None}
    for key in context:
        if (meant := key.strip().replace("-", "_").replace(" ", "_")) != key and meant in Config.model_fields:
            raise ConfigError(f"unknown setting {key!r} (did you mean {meant!r}?)", where=f"-c {key}")
    name = given.pop("deployment", LOCAL if given.get("target") == LOCAL else PROD)
    overrides = {key: Given(value, f"-c {key}") for key, value in given.items()}
    defaults = {
        "target": LOCAL if name == LOCAL else "aws",
        "account": os.environ.get("CDK_DEFAULT_ACCOUNT"),
        "region": os.environ.get("CDK_DEFAULT_REGION"),
    }
    said = context.get(SETTINGS_CONTEXT)
    path = find_file(folder) if said is None else Path(str(said)) if said else None
    return load(str(name), path, overrides, defaults)
