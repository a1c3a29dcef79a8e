"""The source of quotes of the local monitor: chosen, equipped and tried before anything starts.

`[local]` in `monitor.toml` chooses it, or ``make up SOURCE=… TICKERS=… SOURCE_MODE=stream``; its keys and options
come from the environment, its keys go on into the local Secrets Manager.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from localstack.clients import client
from localstack.settings import ACCOUNT, REGION, ROOT, LocalError, LocalSettings
from producers.errors import MonitorError
from producers.markets import is_open
from producers.markets.listings import Listings
from producers.origin import origin_of
from producers.polling import poll
from producers.source import HasConnection, SourceError, SourceSpec
from producers.sources import create, get_pollable
from producers.streaming import StreamRejectedError
from producers.vendor_state import VendorError
from stream_infra import names
from stream_infra.cdk.bundling import LOCK
from stream_infra.config import LOCAL, Config
from stream_infra.monitor_toml import Given, find_file, load

_TRIED_TICKERS = 10
"""Enough to see whether the source answers, few enough for any rate limit."""
_TRIAL_SECONDS = 8.0
_MAKING_SECONDS = 30.0
"""For the import of the source's package, on a machine that does much else."""
_STREAM_SECONDS = 4.0
_REJECTED_KEY = {401, 403}
Environment = Mapping[str, str]
Say = Callable[[str], None]


@dataclass(frozen=True)
class SourceTrial:
    """What the source answered before the start: a sentence, and whether it is good news."""

    said: str
    is_good: bool = True


def configure(settings: LocalSettings, environment: Environment) -> Config:
    """Return the local deployment's settings: SOURCE, SOURCE_MODE and TICKERS of the environment before `monitor.toml`.

    Raises
    ------
    ConfigError
        If a setting cannot work.
    """
    path, overrides = find_file(ROOT), {}
    for variable in ("SOURCE", "SOURCE_MODE", "TICKERS"):
        if value := environment.get(variable, "").strip():
            overrides[variable.lower()] = Given(value, variable)
    defaults: dict[str, object] = {
        "account": ACCOUNT,
        "region": REGION,
        "dashboard_url": f"{settings.origin}/",
    }
    chosen = load(LOCAL, path, overrides, defaults)
    options = {
        option.variable: value
        for option in get_pollable(chosen.source).options
        if (value := environment.get(option.variable, ""))
    }
    if options:
        overrides["source_options"] = Given({**chosen.source_options, **options}, "the environment's options")
    return load(LOCAL, path, overrides, defaults)


def equip(config: Config, environment: Environment, say: Say) -> SourceSpec:
    """Install what the source needs, and check its keys; return what it declares.

    Raises
    ------
    LocalError
        If its packages cannot be installed.
    SourceError
        If a key is missing; says which, and where to get it.
    """
    spec = get_pollable(config.source)
    if missing := spec.missing_packages():
        say(f"installing {', '.join(missing)}")
        _install(missing)
    spec.check({**environment, **config.source_options})
    return spec


def _install(packages: list[str]) -> None:
    """Install them, in the versions of the lock as far as it has them."""
    uv = Path(sysconfig.get_path("scripts")) / "uv"
    command = [str(uv), "pip", "install", "--quiet", "--no-config", "--python", sys.executable]
    command += ["--constraint", str(LOCK), *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError(f"{', '.join(packages)} could not be installed:\n{done.stderr.strip()}")
    importlib.invalidate_caches()


def try_out(config: Config, environment: Environment) -> SourceTrial:
    """Poll a live source once; a simulation needs no trial.

    Raises
    ------
    LocalError
        If the vendor rejects the key, or knows none of the tickers.
    """
    if origin_of(config.source) != "live":
        return SourceTrial(f"{config.source}, nothing in it is real")
    tickers = config.tickers.split(",")[:_TRIED_TICKERS] if not config.tickers.startswith("s3:") else []
    environment = {**environment, **config.source_options}
    if (
        config.source_mode == "stream"
        and tickers
        and (problem := _stream_problem(config, environment, tickers))
    ):
        return SourceTrial(f"{problem}: scans go on trying", is_good=False)
    outcome = _polled(config, environment, tickers)
    if isinstance(outcome, str):
        return SourceTrial(f"{outcome}: scans go on trying", is_good=False)
    answered, missing = outcome
    reasons = "; ".join(f"{ticker}: {why or 'no quote'}" for ticker, why in missing.items())
    if tickers and not answered:
        raise LocalError(
            f"{config.source} has no quote of any ticker ({reasons}): name others, as in "
            f"`make up SOURCE={config.source} TICKERS=…`"
        )
    if reasons:
        return SourceTrial(f"{config.source} answers, but not for {reasons}", is_good=False)
    return SourceTrial(f"{config.source} answers")


def _stream_problem(config: Config, environment: Environment, tickers: list[str]) -> str:
    """Return why the stream cannot be sampled, if it cannot; a ticker that is not traded now is no problem.

    Raises
    ------
    LocalError
        If the vendor rejects the key or the plan.
    """
    source = create(config.source, {**environment, "POLL_INTERVAL_SECONDS": f"{_STREAM_SECONDS:g}"}, "stream")
    try:
        poll(config.source, source, tickers, time.time_ns() // 1_000_000)
    except StreamRejectedError as error:
        raise LocalError(str(error)) from error
    except SourceError as error:
        return str(error)
    finally:
        if isinstance(source, HasConnection):
            source.close()
    return ""


def _polled(config: Config, environment: Environment, tickers: list[str]) -> tuple[int, dict[str, str]] | str:
    """How many tickers were answered and which were not, with reasons; or why nothing was answered."""
    outcomes: list[tuple[int, dict[str, str]] | str | MonitorError] = []
    is_made = threading.Event()

    def run() -> None:
        try:
            source = create(config.source, {**environment, "POLL_INTERVAL_SECONDS": f"{_TRIAL_SECONDS:g}"})
            is_made.set()
            batch = poll(config.source, source, tickers, time.time_ns() // 1_000_000)
            outcomes.append(
                (len(batch.symbol), {name: batch.reasons.get(name, "") for name in batch.missing})
            )
        except VendorError as error:
            outcomes.append(_rejected(config.source, error) if error.status in _REJECTED_KEY else str(error))
        except SourceError as error:
            outcomes.append(str(error))
        finally:
            is_made.set()

    # A thread that nobody waits for: a source that hangs must not hang `make up`.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    is_made.wait(_MAKING_SECONDS)
    thread.join(_TRIAL_SECONDS + 1)
    outcome = outcomes[0] if outcomes else f"{config.source} did not answer within {_TRIAL_SECONDS:g} s"
    if isinstance(outcome, MonitorError):
        raise outcome
    return outcome


def _rejected(source: str, error: VendorError) -> LocalError:
    spec = get_pollable(source)
    if not spec.keys:  # rejected for another reason, such as the country
        return LocalError(str(error))
    keys = "; ".join(f"{key.variable}: {key.where}" for key in spec.keys)
    return LocalError(f"{error}. {keys}")


def store_keys(settings: LocalSettings, spec: SourceSpec, environment: Environment) -> None:
    """Put the source's keys into the local Secrets Manager, where the scanner reads them."""
    if not spec.keys:
        return
    secrets = client(settings, "secretsmanager")
    text = json.dumps({key.variable: environment[key.variable].strip() for key in spec.keys})
    try:
        secrets.put_secret_value(SecretId=names.SOURCE_SECRET, SecretString=text)
    except secrets.exceptions.ResourceNotFoundException:
        secrets.create_secret(Name=names.SOURCE_SECRET, SecretString=text)


def describe(config: Config, spec: SourceSpec, now: datetime | None = None) -> str:
    """Return what is polled, how often, and whether its market is open, for a person."""
    origin = origin_of(config.source)
    what = config.source if origin == config.source else f"{config.source}, {origin}"
    how = "streamed, sampled" if config.source_mode == "stream" else "polled"
    parts = [f"{what}, {how} every {config.poll_interval_seconds:g} s"]
    if spec.keys:
        parts.append(f"keys present: {', '.join(key.variable for key in spec.keys)}")
    return "; ".join([*parts, *closed_markets(config, spec, now)])


def closed_markets(config: Config, spec: SourceSpec, now: datetime | None = None) -> list[str]:
    """Return a sentence of the markets of the tickers if all of them are closed, else nothing."""
    now = now or datetime.now(UTC)
    listed = [] if config.tickers.startswith("s3:") else config.tickers.split(",")
    market_of = Listings(config.markets, spec.market)
    markets = sorted({market_of(ticker) for ticker in listed} or {spec.market})
    if any(is_open(config.session, now, market) for market in markets):
        return []
    if len(markets) == 1:
        return [f"market {markets[0]} is closed now: quotes come when it opens"]
    return [f"markets {', '.join(markets)} are closed now: quotes come when one opens"]
