"""``stock-monitor alerts``: what was sent and what waits, a test, mutes, settings, subscribers, a rehearsal."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_infra.cli import options
from stream_infra.operations import times
from stream_infra.operations.endpoints import Endpoints, resolve
from stream_infra.operations.errors import InputError

if TYPE_CHECKING:
    from consumers.alerts.model import Mute
    from consumers.alerts.settings import AlertSettings

app = typer.Typer(no_args_is_help=True)
HISTORY = timedelta(days=1)

TickerOption = Annotated[str | None, typer.Option("--ticker", help="Only this ticker.", metavar="TICKER")]
KindOption = Annotated[
    str | None, typer.Option("--kind", help="Only this kind, such as price_spike.", metavar="KIND")
]
Everything = Annotated[bool, typer.Option("--all", help="All tickers and kinds.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for those who look later.", metavar="TEXT")]


class Protocol(StrEnum):
    """How SNS reaches a subscriber."""

    EMAIL = "email"
    SMS = "sms"
    HTTPS = "https"
    SQS = "sqs"


@app.callback()
def alerts() -> None:
    """See, test, mute and rehearse the emails and SMS that tell of anomalies."""


@app.command("list")
def list_(
    since: Annotated[
        str, typer.Option("--since", help="From then on: 2h, 7d, or a time.", metavar="WHEN")
    ] = "1d",
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """List the messages that were made, what waits for a digest, and the mutes in force.

    Example: stock-monitor alerts list --since 7d
    """
    from stream_infra.cli import alert_view  # noqa: PLC0415  --help must not pay for it
    from stream_infra.operations import alert_desk  # noqa: PLC0415  --help must not pay for it

    now = datetime.now(UTC)
    overview = alert_desk.overview(_store(resolve(aws)), times.moment(since, now), now)
    _print(alert_view.overview_json(overview) if as_json else alert_view.overview_text(overview))


@app.command()
def show(
    alert: Annotated[str, typer.Argument(help="Id of an anomaly, or of a message as `list` shows it.")],
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Show what became of an anomaly: its messages with their texts, or why there is none.

    Example: stock-monitor alerts show AAPL-1763996400123-price_spike
    """
    from stream_infra.cli import alert_view  # noqa: PLC0415
    from stream_infra.operations import alert_desk  # noqa: PLC0415

    endpoints = resolve(aws)
    found = alert_desk.look_up(_store(endpoints), alert, endpoints.dashboard or "")
    _print(alert_view.found_json(found) if as_json else alert_view.found_text(found))


@app.command("test")
def send_test(
    timeout: Annotated[
        int, typer.Option("--timeout", help="Seconds to wait for it.", min=1, max=600, metavar="SECONDS")
    ] = 60,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Send one real message to every subscriber, through the whole path: bus, queue, notifier, topic.

    Neither mutes, nor quiet hours, nor the most messages an hour hold it back.

    Example: stock-monitor alerts test
    """
    from stream_infra.cli import alert_view  # noqa: PLC0415
    from stream_infra.operations import alert_desk  # noqa: PLC0415

    endpoints = resolve(aws)
    sent = alert_desk.send_test(endpoints, _store(endpoints), datetime.now(UTC), timeout, time)
    _print(json.dumps(sent) if as_json else alert_view.test_text(sent, endpoints))


@app.command()
def mute(
    *,
    until: Annotated[
        str, typer.Option("--for", "--until", help="How long (2h) or until when.", metavar="WHEN")
    ],
    ticker: TickerOption = None,
    kind: KindOption = None,
    everything: Everything = False,
    reason: Reason = "",
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Hold back a ticker, a kind, or all, until then; what was held is told in a digest afterwards.

    Example: stock-monitor alerts mute --ticker TSLA --kind price_spike --for 2h --reason "earnings"
    """
    from consumers.alerts.model import Mute  # noqa: PLC0415

    ticker, kind = _covered(ticker, kind, everything)
    order = Mute(_ms(times.end(until, datetime.now(UTC))), ticker, kind, reason=reason)
    _store(resolve(aws)).put_mute(order)
    _confirm(order, as_json)


@app.command()
def unmute(
    ticker: TickerOption = None,
    kind: KindOption = None,
    everything: Everything = False,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """End a mute now; it is named as it was made.

    Example: stock-monitor alerts unmute --ticker TSLA --kind price_spike
    """
    from consumers.alerts.model import Mute  # noqa: PLC0415

    order = Mute(0, *_covered(ticker, kind, everything))
    if not _store(resolve(aws)).delete_mute(order.scope):
        raise InputError(
            f"{order.words} is not muted: stock-monitor alerts list shows the mutes as they were made"
        )
    _print(json.dumps({"unmuted": order.words}) if as_json else f"{order.words} is no longer muted.")


@app.command()
def ack(
    anomaly: Annotated[
        str, typer.Argument(help="Id of the anomaly, as the email's link and `list` have it.")
    ],
    until: Annotated[
        str, typer.Option("--for", "--until", help="How long (4h) or until when at most.", metavar="WHEN")
    ] = "4h",
    reason: Reason = "",
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Say that an anomaly is known: hold back its ticker and kind until it is back to normal.

    Example: stock-monitor alerts ack AAPL-1763996400123-price_spike --for 1h
    """
    from stream_infra.operations import alert_desk  # noqa: PLC0415

    order = alert_desk.acknowledgement(anomaly, _ms(times.end(until, datetime.now(UTC))), reason)
    _store(resolve(aws)).put_mute(order)
    _confirm(order, as_json)


@app.command()
def settings(
    file: Annotated[
        Path | None, typer.Argument(help="JSON file to put in force; without it, show what is.")
    ] = None,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Show the settings of alerts in force, or put those of a file in force after checking them.

    Example: stock-monitor alerts settings quiet.json
    """
    from stream_infra.operations import alert_desk  # noqa: PLC0415

    client = resolve(aws).client("ssm")
    if file is not None:
        alert_desk.put_settings(client, _text(file))
    report = alert_desk.settings_report(client)
    _print(json.dumps(report) if as_json else json.dumps(report, indent=2))


@app.command()
def subscribe(
    protocol: Annotated[Protocol, typer.Argument(help="How to reach the subscriber.")],
    endpoint: Annotated[
        str, typer.Argument(help="Email address, +phone number, https:// address, or ARN of a queue.")
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
    """Add a subscriber to the topic of alerts; an email address has to confirm it.

    Example: stock-monitor alerts subscribe email desk@example.com --severity high --severity critical
    """
    from stream_infra.operations import alert_desk  # noqa: PLC0415

    arn = alert_desk.subscribe(
        resolve(aws).client("sns"), protocol.value, endpoint, severity or [], ticker or []
    )
    _print(json.dumps({"subscription": arn}) if as_json else f"Subscribed {endpoint}: {arn}")


@app.command("dry-run")
def dry_run(
    files: Annotated[list[Path], typer.Argument(help="Recorded ticks: .csv, .jsonl (also .gz), .parquet.")],
    settings_file: Annotated[
        Path | None,
        typer.Option("--settings", help="Settings as JSON; without it the defaults.", metavar="FILE"),
    ] = None,
    threshold: Annotated[
        str, typer.Option("--threshold", help="As /stock-tracker/threshold holds it.", metavar="VALUE")
    ] = "2.5",
    as_json: options.AsJson = False,
) -> None:
    """Replay history and show which alerts would have gone out. Nothing is sent; no monitor is needed.

    Example: stock-monitor alerts dry-run october.csv.gz --settings quiet.json
    """
    from stream_infra.cli import alert_view  # noqa: PLC0415
    from stream_infra.operations.offline import dry_run  # noqa: PLC0415

    report = dry_run.run(files, _settings(settings_file), threshold)
    _print(alert_view.dry_run_json(report) if as_json else alert_view.dry_run_text(report))


def _store(endpoints: Endpoints) -> Any:
    from consumers.alerts.store import AlertStore  # noqa: PLC0415
    from stream_infra import names  # noqa: PLC0415

    return AlertStore(endpoints.client("dynamodb"), names.ALERTS_TABLE)


def _covered(ticker: str | None, kind: str | None, everything: bool) -> tuple[str | None, str | None]:
    from consumers.contracts.anomaly import KINDS  # noqa: PLC0415
    from producers.quote_batch import SYMBOL_RULE, is_symbol  # noqa: PLC0415

    if everything == (ticker is not None or kind is not None):
        raise InputError("what is meant? Allowed are --ticker, --kind or both, or else --all")
    if ticker is not None and not is_symbol(ticker.upper()):
        raise InputError(f"--ticker {ticker}: no ticker; allowed are {SYMBOL_RULE}")
    if kind is not None and kind not in KINDS:
        raise InputError(f"--kind {kind}: allowed are {', '.join(KINDS)}")
    return ticker.upper() if ticker else None, kind


def _settings(file: Path | None) -> AlertSettings:
    from consumers.alerts.settings import AlertSettings, AlertSettingsError, parse  # noqa: PLC0415

    if file is None:
        return AlertSettings()
    try:
        return parse(_text(file))
    except AlertSettingsError as error:
        raise InputError(f"{file}: {error}") from error


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _confirm(order: Mute, as_json: bool) -> None:
    from stream_infra.cli import alert_view  # noqa: PLC0415

    _print(json.dumps(alert_view.mute_dict(order)) if as_json else alert_view.mute_line(order))


def _print(text: str) -> None:
    typer.echo(text)
