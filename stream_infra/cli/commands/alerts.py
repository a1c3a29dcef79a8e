"""``stock-monitor alerts``: incidents and messages, a test, silences, routes, settings, subscribers, a dry run."""

from __future__ import annotations

import getpass
import json
import re
import time
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from stream_infra.cli import alert_feedback, options
from stream_infra.cli.text import say_if_unwatched
from stream_infra.operations import times
from stream_infra.operations.endpoints import Endpoints, resolve
from stream_infra.operations.errors import InputError
from stream_infra.operations.files import read_text

if TYPE_CHECKING:
    from consumers.alerts.settings import AlertSettings
    from consumers.alerts.store import AlertStore
    from stream_infra.operations.alert_desk import Overview

app = typer.Typer(no_args_is_help=True)
routes = typer.Typer(no_args_is_help=True, help="Test where messages would go.")
app.add_typer(routes, name="routes")
app.add_typer(alert_feedback.app)

TickerOption = Annotated[str | None, typer.Option("--ticker", help="Only this ticker.", metavar="TICKER")]
KindOption = Annotated[
    str | None, typer.Option("--kind", help="Only this kind, such as price_spike.", metavar="KIND")
]
Everything = Annotated[bool, typer.Option("--all", help="All tickers and kinds.")]
Reason = Annotated[str, typer.Option("--reason", help="The reason, for others to read.", metavar="TEXT")]


SinceOption = Annotated[
    str,
    typer.Option(
        "--since",
        help="Start: an age such as 2h or 7d, or a time (UTC unless it names a zone).",
        metavar="WHEN",
    ),
]
UntilOption = Annotated[
    str,
    typer.Option(
        "--for",
        "--until",
        help="A duration such as 2h, or an end (UTC unless it names a zone).",
        metavar="WHEN",
    ),
]


class Protocol(StrEnum):
    """How SNS reaches a subscriber."""

    EMAIL = "email"
    SMS = "sms"
    HTTPS = "https"
    SQS = "sqs"


@app.callback()
def alerts() -> None:
    """List incidents and messages; silence, acknowledge, route and test alerts."""


@app.command("list")
def list_(since: SinceOption = "1d", as_json: options.AsJson = False, aws: options.Aws = False) -> None:
    """List incidents, messages and the silences in force.

    Example: stock-monitor alerts list --since 7d
    """
    from stream_infra.cli import alert_view  # noqa: PLC0415  --help must not pay for it

    overview = _overview(resolve(aws), since)
    _print(alert_view.overview_json(overview) if as_json else alert_view.overview_text(overview))


@app.command()
def deliveries(since: SinceOption = "1d", as_json: options.AsJson = False, aws: options.Aws = False) -> None:
    """List the delivery of each message in each channel; unfinished ones first.

    Example: stock-monitor alerts deliveries --since 2h
    """
    from api.alerts import message_row  # noqa: PLC0415
    from stream_infra.cli import alert_view  # noqa: PLC0415

    overview = _overview(resolve(aws), since)
    rows = [message_row(stored) for stored in overview.messages]
    _print(json.dumps({"messages": rows}) if as_json else alert_view.deliveries_text(overview))


@app.command()
def show(
    alert: Annotated[str, typer.Argument(help="Id of an anomaly, an incident or a message.", metavar="ID")],
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Show an anomaly's or incident's state, feedback, messages and deliveries, and the price since.

    Example: stock-monitor alerts show AAPL-1763996400123-price_spike
    """
    from consumers.stores.charts import ChartTable  # noqa: PLC0415
    from stream_infra import names  # noqa: PLC0415
    from stream_infra.cli import alert_view  # noqa: PLC0415
    from stream_infra.operations import alert_desk  # noqa: PLC0415

    endpoints = resolve(aws)
    settings = alert_desk.settings_in_force(endpoints.client("ssm"))
    charts = ChartTable(endpoints.client("dynamodb"), names.CHARTS_TABLE)
    found = alert_desk.trail_of(_store(endpoints), charts, settings, alert, datetime.now(UTC))
    _print(alert_view.found_json(found, endpoints) if as_json else alert_view.found_text(found, endpoints))


@app.command("test")
def send_test(
    timeout: Annotated[
        int,
        typer.Option(
            "--timeout", help="Seconds to wait for the deliveries.", min=1, max=600, metavar="SECONDS"
        ),
    ] = 60,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Send one real message to every channel, through the whole path: bus, queue, notifier, channel.

    Silences and mute timings do not apply to it.

    Example: stock-monitor alerts test
    """
    from stream_infra.cli import alert_view  # noqa: PLC0415
    from stream_infra.operations import alert_desk  # noqa: PLC0415

    endpoints = resolve(aws)
    sent = alert_desk.send_test(endpoints, _store(endpoints), datetime.now(UTC), timeout, time)
    _print(json.dumps(sent) if as_json else alert_view.test_text(sent, endpoints))


@app.command()
def silence(
    *,
    until: UntilOption,
    ticker: TickerOption = None,
    kind: KindOption = None,
    everything: Everything = False,
    reason: Reason = "",
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Silence a ticker, a kind, both, or all; afterwards a digest lists what was silenced.

    Example: stock-monitor alerts silence --ticker TSLA --kind price_spike --for 2h --reason "earnings"
    """
    from api.alerts import silence_row  # noqa: PLC0415
    from consumers.alerts.model import Silence  # noqa: PLC0415
    from stream_infra.cli import alert_view  # noqa: PLC0415

    ticker, kind = _covered(ticker, kind, everything)
    made = Silence(_ms(times.end(until, datetime.now(UTC))), ticker, kind, _reason(reason), getpass.getuser())
    endpoints = resolve(aws)
    _store(endpoints).put_silence(made)
    _print(json.dumps(silence_row(made)) if as_json else alert_view.silence_line(made))
    say_if_unwatched(endpoints, ticker)


@app.command()
def unsilence(
    ticker: TickerOption = None,
    kind: KindOption = None,
    everything: Everything = False,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """End a silence now; give the --ticker and --kind that it was made with.

    Example: stock-monitor alerts unsilence --ticker TSLA --kind price_spike
    """
    from consumers.alerts.model import Silence  # noqa: PLC0415

    made = Silence(0, *_covered(ticker, kind, everything))
    if not _store(resolve(aws)).delete_silence(made.scope):
        raise InputError(
            f"{made.words} is not silenced: stock-monitor alerts list shows the silences as they were made"
        )
    _print(json.dumps({"unsilenced": made.words}) if as_json else f"{made.words} is no longer silenced.")


@app.command()
def ack(
    alert: Annotated[str, typer.Argument(help="Id of an anomaly or an incident.", metavar="ID")],
    until: UntilOption = "4h",
    reason: Reason = "",
    *,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take the acknowledgement back.")] = False,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Acknowledge an incident: nothing more is sent about it for a while, unless it gets worse.

    Example: stock-monitor alerts ack AAPL-1763996400123-price_spike --for 1h
    """
    from api.alerts import incident_row  # noqa: PLC0415
    from stream_infra.cli import alert_view  # noqa: PLC0415
    from stream_infra.operations import alert_desk  # noqa: PLC0415

    now = datetime.now(UTC)
    until_ms = None if withdraw else _ms(times.end(until, now))
    store, by = _store(resolve(aws)), getpass.getuser()
    incident = alert_desk.acknowledge(store, alert, until_ms=until_ms, reason=_reason(reason), by=by, now=now)
    row = incident_row(incident, _ms(now))
    _print(json.dumps(row) if as_json else alert_view.incident_line(incident, _ms(now)))


@routes.command("test")
def preview(
    *,
    severity: Annotated[
        str, typer.Option("--severity", help="low, medium, high or critical.", metavar="SEVERITY")
    ],
    ticker: Annotated[str, typer.Option("--ticker", metavar="TICKER")] = "AAPL",
    kind: Annotated[str, typer.Option("--kind", metavar="KIND")] = "price_spike",
    origin: Annotated[str, typer.Option("--origin", metavar="ORIGIN")] = "live",
    settings_file: Annotated[
        Path | None,
        typer.Option("--settings", help="Use this file instead of the settings in force.", metavar="FILE"),
    ] = None,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Show to which channels such an anomaly would go now, and when.

    Example: stock-monitor alerts routes test --severity critical --ticker TSLA
    """
    from consumers.alerts.settings import News  # noqa: PLC0415
    from consumers.contracts.anomaly import SEVERITIES  # noqa: PLC0415
    from producers.origin import Origin  # noqa: PLC0415
    from stream_infra.cli import alert_view  # noqa: PLC0415
    from stream_infra.operations import alert_desk  # noqa: PLC0415

    if severity not in SEVERITIES:
        raise InputError(repr(severity), where="--severity", allowed=f"one of {', '.join(SEVERITIES)}")
    if origin not in get_args(Origin):
        raise InputError(repr(origin), where="--origin", allowed=f"one of {', '.join(get_args(Origin))}")
    symbol, known = _covered(ticker, kind, everything=False)
    if settings_file is None:
        settings = alert_desk.settings_in_force(resolve(aws).client("ssm"))
    else:
        settings = _settings(settings_file)
    news = News(severity=severity, ticker=symbol or "", kind=known or "", origin=origin)
    way = settings.route(news, _ms(datetime.now(UTC)))
    _print(way.model_dump_json() if as_json else alert_view.way_text(way))


@app.command()
def settings(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="JSON file to put in force; without it, show the settings in force.", metavar="FILE"
        ),
    ] = None,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Show the alert settings in force, or check a file and put it in force: what is shown can be put back.

    The parameter's history records who changed them, and the previous values.

    Example: stock-monitor alerts settings quiet.json
    """
    from stream_infra.operations import alert_desk  # noqa: PLC0415

    client = resolve(aws).client("ssm")
    change = {} if file is None else alert_desk.put_settings(client, read_text(file), getpass.getuser())
    report = {**alert_desk.settings_report(client), **change}
    if as_json:
        _print(json.dumps(report))
    elif file is None or "settings" not in report:
        _print(json.dumps(report.get("settings", report), indent=2))
    else:
        _print(f"Set by {report['by']}. In force within a minute.")


@app.command()
def secret(
    channel: Annotated[str, typer.Argument(help="Name of the channel.", metavar="CHANNEL")],
    aws: options.Aws = False,
) -> None:
    """Ask for a channel's secrets, such as a webhook's address, and store them in Secrets Manager.

    Example: stock-monitor alerts secret desk
    """
    from stream_infra.operations import alert_desk, channel_secrets  # noqa: PLC0415

    endpoints = resolve(aws)
    settings = alert_desk.settings_in_force(endpoints.client("ssm"))
    values = {
        name: typer.prompt(f"{name} ({what})", hide_input=True, default="", show_default=False)
        for name, what in channel_secrets.needed(settings, channel).items()
    }
    name = channel_secrets.put(endpoints.client("secretsmanager"), settings, channel, values)
    _print(f"Kept as {name}. Try it: stock-monitor alerts test{' --aws' if aws else ''}")


@app.command()
def subscribe(
    protocol: Annotated[Protocol, typer.Argument(help="email, sms, https or sqs.", metavar="PROTOCOL")],
    endpoint: Annotated[
        str,
        typer.Argument(
            help="Email address, +phone number, https:// address, or ARN of a queue.", metavar="ENDPOINT"
        ),
    ],
    *,
    severity: Annotated[
        list[str] | None, typer.Option("--severity", help="Only these; may be repeated.", metavar="SEVERITY")
    ] = None,
    ticker: Annotated[
        list[str] | None, typer.Option("--ticker", help="Only these; may be repeated.", metavar="TICKER")
    ] = None,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Add a subscriber to the alert topic; an email subscriber has to confirm the subscription.

    Example: stock-monitor alerts subscribe email desk@example.com --severity high --severity critical
    """
    from stream_infra.operations import alert_desk  # noqa: PLC0415

    arn = alert_desk.subscribe(
        resolve(aws).client("sns"), protocol.value, endpoint, severity or [], ticker or []
    )
    _print(json.dumps({"subscription": arn}) if as_json else f"Subscribed {endpoint}: {arn}")


@app.command("dry-run")
def dry_run(
    files: Annotated[
        list[Path], typer.Argument(help="Recorded ticks (.csv, .jsonl, also .gz; .parquet).", metavar="FILE")
    ],
    settings_file: Annotated[
        Path | None,
        typer.Option("--settings", help="Settings as JSON; without it the defaults.", metavar="FILE"),
    ] = None,
    threshold: Annotated[
        str, typer.Option("--threshold", help="As /stock-tracker/threshold holds it.", metavar="VALUE")
    ] = "2.5",
    as_json: options.AsJson = False,
) -> None:
    """Show which alerts a recording would have sent. Nothing is sent; no monitor is needed.

    Rows that cannot be used are left out and named; the exit code is 1 then.

    Example: stock-monitor alerts dry-run october.csv.gz --settings quiet.json
    """
    from stream_infra.cli import alert_view  # noqa: PLC0415
    from stream_infra.operations.offline import dry_run  # noqa: PLC0415

    report = dry_run.run(files, _settings(settings_file), threshold)
    _print(alert_view.dry_run_json(report) if as_json else alert_view.dry_run_text(report))
    options.exit_if_left_out(report.rejected)


def _store(endpoints: Endpoints) -> AlertStore:
    from consumers.alerts.store import AlertStore  # noqa: PLC0415
    from consumers.alerts.table import DynamoTable  # noqa: PLC0415
    from stream_infra import names  # noqa: PLC0415

    return AlertStore(DynamoTable(endpoints.client("dynamodb"), names.ALERTS_TABLE))


def _overview(endpoints: Endpoints, since: str) -> Overview:
    from stream_infra.operations import alert_desk  # noqa: PLC0415

    now = datetime.now(UTC)
    return alert_desk.overview(_store(endpoints), times.moment(since, now), now)


def _covered(ticker: str | None, kind: str | None, everything: bool) -> tuple[str | None, str | None]:
    from consumers.contracts.kinds import EVERY_KIND  # noqa: PLC0415
    from stream_infra.operations.watching import ticker_of  # noqa: PLC0415

    if everything == (ticker is not None or kind is not None):
        what = "--all is given with --ticker or --kind" if everything else "no ticker and no kind is given"
        raise InputError(what, allowed="--ticker, --kind or both, or --all alone")
    if kind is not None and kind not in EVERY_KIND:
        raise InputError(f"{kind!r} is no kind", where="--kind", allowed=f"one of {', '.join(EVERY_KIND)}")
    return None if ticker is None else ticker_of(ticker), kind


def _reason(text: str) -> str:
    from consumers.alerts.model import ONE_LINE, REASON_CHARACTERS  # noqa: PLC0415  --help must not pay for it

    if len(text) > REASON_CHARACTERS or not re.fullmatch(ONE_LINE, text):
        allowed = f"one line of at most {REASON_CHARACTERS} characters"
        raise InputError(f"a reason of {len(text)} characters", where="--reason", allowed=allowed)
    return text


def _settings(file: Path | None) -> AlertSettings:
    from consumers.alerts.settings import AlertSettings, AlertSettingsError, parse  # noqa: PLC0415

    if file is None:
        return AlertSettings()
    try:
        return parse(read_text(file))
    except AlertSettingsError as error:
        raise InputError(f"{file}: {error}") from error


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _print(text: str) -> None:
    typer.echo(text)
