"""Bring the whole monitor up on this machine: `make up`.

Every step looks first and does only what is missing, so it may be interrupted anywhere and repeated at will.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.status import Status
from rich.table import Table
from rich.text import Text

from localstack import deploy, emulator, site, source
from localstack.clients import client
from localstack.processes import Process
from localstack.settings import (
    HOST,
    LocalError,
    LocalSettings,
    aws_environment,
    port_is_free,
    read_settings,
    unusable,
)
from producers.errors import MonitorError
from producers.origin import origin_of
from producers.settings import SCHEDULED
from producers.source import SourceSpec
from stream_infra import names
from stream_infra.cli.streams import open_streams
from stream_infra.config import Config
from stream_infra.operations.proxy import unproxied

BACKFILL_MINUTES = 30
AT_ONCE = 4
"""As many things as the page asks for when it opens."""
_GATEWAY_SECONDS = 30
"""API Gateway itself waits 29 s for a function."""
_BACKFILLED = "backfilled"


def runner(settings: LocalSettings) -> Process:
    """Return the process that drives the detector's event source mapping."""
    return Process("event-source-mapping", settings)


def front_door(settings: LocalSettings) -> Process:
    """Return the process that serves the dashboard, the API and the outbox."""
    return Process("front-door", settings)


def up(settings: LocalSettings, console: Console) -> None:
    """Do all that is missing between nothing and a running monitor.

    Raises
    ------
    MonitorError
        If a setting cannot work or a step failed; the message says what to do.
    """
    config = source.configure(settings, os.environ)
    with _step(console, "Source") as say:
        spec = source.equip(config, os.environ, say)
        trial = source.try_out(config, os.environ)
        say("; ".join([trial.said, *source.closed_markets(config, spec)]))
        if not trial.is_good:
            say.sign = "[yellow]![/]"
    settings.directory.mkdir(parents=True, exist_ok=True)
    with alone(settings):
        aws, others = emulator.emulator(settings), (runner(settings), front_door(settings))
        for program in (aws, *others):
            program.resume()
        if front_door(settings).pid() is None and not port_is_free(settings.port):
            raise LocalError(
                f"port {settings.port} on {HOST} is taken by another program: end it, "
                "or choose another with STOCK_MONITOR_PORT=<port>"
            )
        with _step(console, "Local AWS") as say:
            is_older = not settings.endpoint and aws.is_of_older_code()
            for program in others:  # those of older code, and those that know an AWS that is no more
                if is_older or program.is_of_older_code() or not (settings.endpoint or aws.pid()):
                    program.stop()
            if is_older:
                say("its code was changed: saving its data, then it starts again")
                emulator.end(settings)
            say(emulator.start(settings))
        source.store_keys(settings, spec, os.environ)
        with _step(console, "Stacks") as say:
            say("deployed" if (is_new := deploy.deploy(settings, config, say)) else "unchanged")
        if is_new:
            emulator.save_soon(settings)  # while the rest starts
        with _step(console, "Dashboard") as say:
            say(f"{touched} files uploaded" if (touched := site.upload(settings)) else "unchanged")
        with _step(console, "Front door") as say:
            say("started" if start_front_door(settings) else "running")
        with _step(console, "Event source mapping") as say:
            say("started" if start_runner(settings) else "running")
        with _step(console, "History") as say:
            say(_backfill(settings, config))
        with _step(console, "First scan") as say:
            _enable_schedule(settings)
            # As the schedule would, which fires a minute from now: until then, and after a scan that was cut off.
            event = json.dumps({"source": SCHEDULED})
            client(settings, "lambda").invoke(
                FunctionName=names.SCANNER, InvocationType="Event", Payload=event
            )
            say("asked for")
        deploy.write_endpoints(settings)
        with _step(console, "API") as say:
            _open_api(settings)
            say("answers")
        emulator.save_soon(settings)
    console.print(_panel(settings, config, spec))


@contextmanager
def alone(settings: LocalSettings) -> Iterator[None]:
    """Hold the local monitor for one command at a time.

    Raises
    ------
    LocalError
        If another one holds it.
    """
    with (settings.directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LocalError("another `make up` or `make down` is at work: wait until it is done") from error
        yield


class _Say:
    """Shows what a step is doing, and keeps what it said last."""

    def __init__(self, title: str, status: Status) -> None:
        self._title, self._status = title, status
        self.last = ""
        self.sign = "[green]✓[/]"

    def __call__(self, text: str) -> None:
        self.last = text
        self._status.update(f"{self._title}: {text} …")


@contextmanager
def _step(console: Console, title: str) -> Iterator[_Say]:
    began = time.monotonic()
    with console.status(f"{title} …") as status:
        say = _Say(title, status)
        yield say
    took = f"[dim]({time.monotonic() - began:.1f} s)[/]"
    console.print(f"{say.sign} {title}: {escape(say.last)} {took}", soft_wrap=True)


def start_front_door(settings: LocalSettings) -> bool:
    """Start the program that serves the page unless it does; True if it was started."""
    process, url = front_door(settings), f"{settings.origin}/outbox.json"
    if process.pid() is not None and _answers(url, 30):
        return False
    process.stop()  # one that hangs
    process.start([sys.executable, "-m", "localstack.front_door"], aws_environment(settings))
    process.wait_until(lambda: _answers(url))
    return True


def _answers(url: str, seconds: float = 5) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=seconds):  # noqa: S310  our own loopback address
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _open_api(settings: LocalSettings) -> None:
    """Ask the API as a page does that opens, which would wait for the first start of its functions otherwise."""
    url = f"{settings.origin}/api/health"

    def answers(_: int) -> bool:
        # Whoever stops waiting sooner and calls again makes one more process start, and all of them late.
        return _answers(url, _GATEWAY_SECONDS)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            front_door(settings).wait_until(lambda: all(pool.map(answers, range(AT_ONCE))))
        except LocalError as error:
            raise LocalError(
                f"{url} does not answer: `stock-monitor doctor` names the cause\n{error}"
            ) from error


def start_runner(settings: LocalSettings) -> bool:
    """Start the program that drives the detector's mapping unless it runs; True if it was started."""
    process = runner(settings)
    if process.pid() is not None:
        return False
    ready = settings.directory / "event-source-mapping.ready"
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "localstack.event_source_mapping", "--endpoint-url", settings.aws]
    command += ["--include-disabled", "--state", str(settings.directory / "checkpoints.json")]
    process.start([*command, "--ready-file", str(ready)], aws_environment(settings))
    process.wait_until(ready.exists)
    return True


def _backfill(settings: LocalSettings, config: Config) -> str:
    if origin_of(config.source) != "simulated":
        return "from the vendor, if it has any, with the first quotes"
    mark = settings.directory / _BACKFILLED
    if mark.exists():
        return "there already"
    payload = json.dumps({"backfill_minutes": BACKFILL_MINUTES}).encode()
    answer = client(settings, "lambda", read_timeout=180).invoke(FunctionName=names.SCANNER, Payload=payload)
    body = answer["Payload"].read().decode()
    if "FunctionError" in answer:
        raise LocalError(f"the backfill failed: {body}")
    report = json.loads(body)
    if report.get("status") != "ok":
        return f"not now: {report.get('status')}"
    mark.touch()
    return f"{BACKFILL_MINUTES} minutes of simulated quotes ({report['ticks']} ticks)"


def _enable_schedule(settings: LocalSettings) -> None:
    """Let scans on schedule begin, only now: a tick of today would close the door to the history."""
    events, rule = client(settings, "events"), names.SCHEDULE_RULE
    if events.describe_rule(Name=rule)["State"] == "ENABLED":
        return
    events.enable_rule(Name=rule)
    # LocalStack 4.9 looks at a rule's state only when its targets are put.
    events.put_targets(Rule=rule, Targets=events.list_targets_by_rule(Rule=rule)["Targets"])


def _panel(settings: LocalSettings, config: Config, spec: SourceSpec) -> Panel:
    table = Table.grid(padding=(0, 2))
    table.add_row("[bold]Source[/]", source.describe(config, spec))
    table.add_row("[bold]Dashboard[/]", f"{settings.origin}/")
    table.add_row("API", f"{settings.origin}/api/anomalies")
    table.add_row("Outbox", f"{settings.origin}/outbox   emails and SMS that would have been sent")
    table.add_row("AWS endpoint", settings.aws)
    table.add_row("", "")
    table.add_row("Try next", "source .venv/bin/activate")
    table.add_row("", "stock-monitor tail anomalies")
    table.add_row("", "stock-monitor status")
    table.add_row("", "stock-monitor replay FILE.csv.gz")
    table.add_row("", "make down")
    title = f"Stock Market Anomaly Monitor · {origin_of(config.source)} quotes"
    return Panel(table, title=title, expand=False)


def failed(why: str) -> int:
    """Say why a command failed; return its exit code."""
    Console(stderr=True, soft_wrap=True).print(Text("✗ ", "red").append(why, ""), highlight=False)
    return 1


def main() -> int:
    """Command line of `make up`. Returns the exit code."""
    open_streams()
    argparse.ArgumentParser(
        prog="make up",
        description=__doc__,
        epilog="Examples: make up SOURCE=coinbase TICKERS=BTC-USD,ETH-USD; STOCK_MONITOR_PORT=8081 make up",
    ).parse_args()
    console = Console()
    os.environ.update(unproxied(os.environ))
    try:
        settings = read_settings()
        up(settings, console)
    except MonitorError as error:
        return failed(str(error))
    except OSError as error:
        return failed(unusable(error))
    except (BotoCoreError, ClientError) as error:
        log = "" if settings.endpoint else f" Its log: {settings.log('emulator')}."
        return failed(
            f"the local AWS failed: {error}.{log}\n"
            "`make up` goes on where it stopped; where it fails again, `make clean up` begins anew."
        )
    except KeyboardInterrupt:
        console.print("Interrupted. `make up` goes on where it stopped; `make down` ends what was started.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
