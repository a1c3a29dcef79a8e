"""`monitor.toml`: the settings of every deployment, and what overrides them.

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

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from pydantic import ValidationError

from producers.errors import did_you_mean
from producers.settings import explain
from stream_infra.config import LOCAL, PROD, Config, ConfigError

FILE = "monitor.toml"
POLL_SECONDS_SIMULATED = 2
SETTINGS_CONTEXT = "stock-monitor:settings"
"""Key of the CDK's context: the path of the monitor.toml in force, empty for none; else it is looked for."""
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
_FIELDS = [field for field in Config.model_fields if field not in _NOT_IN_FILE]


class Given(NamedTuple):
    """A setting's value and where it was given, as a person would look for it: ``"-c shards"``."""

    value: object
    where: str


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
    _check_name(name, deployments)
    section = deployments.get(name, {})
    of_file = {key: value for key, value in section.items() if key not in overrides}
    other = {key: rule for key, value in of_file.items() if (rule := _other_type(key, value))}
    where = {key: f"{FILE} [{name}] {key}" for key in section}
    where |= {key: given.where for key, given in overrides.items()}
    problems = [f"{where[key]} {why}" for key, why in _NOT_IN_FILE.items() if key in of_file]
    if name == LOCAL:
        problems += [f"{where[key]} must be left out: {_ONLY_ON_AWS}" for key in _AWS_KEYS if key in section]
    problems += [f"{where[key]}: {section[key]!r}; must be {rule}" for key, rule in other.items()]
    problems += _unknown_elsewhere(name, deployments)
    problems += _of_the_same_names(name, deployments)
    given = {**defaults, **section, **{key: of.value for key, of in overrides.items()}}
    if name == LOCAL:
        given = _with_local_defaults(given)
    try:
        config = Config.model_validate({key: value for key, value in given.items() if key not in other})
    except ValidationError as error:
        at = f"{FILE} [{name}]"
        problems += explain(error.errors(), lambda _: _FIELDS, lambda key: where.get(key, at))
    if problems:
        raise ConfigError("\n".join(problems))
    return config


def _check_name(name: str, deployments: Mapping[str, object]) -> None:
    known = sorted(deployments) if did_you_mean(name, deployments) else sorted({*deployments, LOCAL, PROD})
    # [local] and [prod] may be left out; but a file with [locl] in it is more likely to mean one of them by it.
    if name not in deployments and not (name in {LOCAL, PROD} and name in known):
        raise ConfigError(
            f"unknown deployment {name!r}{did_you_mean(name, known)}",
            where=FILE,
            allowed=f"one of {', '.join(known)}",
        )


def _with_local_defaults(given: Mapping[str, object]) -> dict[str, object]:
    found = {"target": LOCAL, "source": "simulated", **given}
    if str(found["source"]).startswith("simulated"):
        return {"poll_interval_seconds": POLL_SECONDS_SIMULATED, **found}
    return found


def _other_type(key: str, value: object) -> str:
    """Return what a value of the file must be where its type is another; only ``-c`` gives numbers as text."""
    usual = Config.model_fields[key].default if key in Config.model_fields else None
    if isinstance(usual, bool):
        return "" if isinstance(value, bool) else "true or false, without quotes"
    if isinstance(usual, int | float) and isinstance(value, str):
        return "a number, without quotes"
    return ""


def _unknown_elsewhere(name: str, deployments: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Return what is unknown in the other deployments' sections: `explain` names that of its own."""
    return [
        f"{FILE} [{another}] {key}: unknown setting {key!r}{did_you_mean(key, _FIELDS)}; "
        f"must be one of {', '.join(_FIELDS)}"
        for another, settings in deployments.items()
        if another != name
        for key in settings
        if key not in Config.model_fields
    ]


def _of_the_same_names(name: str, deployments: Mapping[str, Mapping[str, object]]) -> list[str]:
    if name == LOCAL or name not in deployments:
        return []
    return [
        f"{FILE} [{name}]: has account, region and prefix of [{another}], so that both would be one deployment; "
        "must have a prefix of its own, or be in another account"
        for another, settings in deployments.items()
        if another not in {name, LOCAL} and _are_one(settings, deployments[name])
    ]


def _are_one(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Return whether two deployments are in one account, which both name, and have the same names in it.

    Whose account is not named is deployed with the credentials of the moment, to any account.
    """
    account = one.get("account")
    return account is not None and all(
        one.get(key, usual) == other.get(key, usual)
        for key, usual in (("account", ""), ("region", ""), ("prefix", ""))
    )


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
