"""``stock-monitor tail``: follow ticks, anomalies or alerts, one line each."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from stream_infra import names
from stream_infra.cli import options
from stream_infra.operations import tail as following
from stream_infra.operations.endpoints import Endpoints, resolve
from stream_infra.operations.errors import NotDeployedError
from stream_infra.operations.tail import Feed, Following, Item
from stream_infra.operations.times import moment

app = typer.Typer(no_args_is_help=True)
HISTORY_MINUTES = {"ticks": 2, "anomalies": 24 * 60, "alerts": 24 * 60}
"""How far back the last lines are looked for where --since does not say."""
_COLOURS = {"low": "cyan", "medium": "yellow", "high": "bold red", "critical": "bold white on red"}
_Show = Callable[[Item], Text]

Ticker = Annotated[str | None, typer.Option(help="Only this ticker.", metavar="TICKER")]
Since = Annotated[
    str | None,
    typer.Option(
        help="Show all since then: 30s, 15m, 2h, 1d, or a time such as 2026-11-24T14:30Z.", metavar="WHEN"
    ),
]
Lines = Annotated[
    int,
    typer.Option(
        "-n", "--lines", min=0, help="Show the last N of what is there (without --since).", metavar="N"
    ),
]
NoFollow = Annotated[bool, typer.Option("--no-follow", help="Stop after what is there now.")]


@app.callback()
def tail() -> None:
    """Follow ticks, anomalies or alerts as they come, until Ctrl-C."""


@app.command()
def ticks(
    *,
    ticker: Ticker = None,
    since: Since = None,
    lines: Lines = 10,
    no_follow: NoFollow = False,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Follow the quotes on the stream.

    Example: stock-monitor tail ticks --ticker AAPL --json | jq .price
    """
    endpoints = resolve(aws)
    moment = _since(since, "ticks")
    feed = following.TickFeed(endpoints.client("kinesis"), names.STREAM, round(moment.timestamp() * 1000))
    _print(feed, _following(lines, since, no_follow), _tick, as_json=as_json, ticker=ticker)


@app.command()
def anomalies(
    *,
    ticker: Ticker = None,
    since: Since = None,
    lines: Lines = 10,
    no_follow: NoFollow = False,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Follow anomalies as they are found; those of a replay, whose dates are old, with --since.

    Example: stock-monitor tail anomalies --since 1h
    """
    moment = _since(since, "anomalies")
    feed = following.AnomalyFeed(
        _api(resolve(aws)), moment, ticker.upper() if ticker else None, fixed=since is not None
    )
    _print(feed, _following(lines, since, no_follow), _anomaly, as_json=as_json)


@app.command()
def alerts(
    *,
    since: Since = None,
    lines: Lines = 10,
    no_follow: NoFollow = False,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Follow the emails and SMS that go out (locally: that would have gone out).

    Example: stock-monitor tail alerts -n 3
    """
    feed = following.alert_feed(resolve(aws), _since(since, "alerts"), lambda: time.time_ns() // 1_000_000)
    _print(feed, _following(lines, since, no_follow), _alert, as_json=as_json)


def _print(feed: Feed, how: Following, show: _Show, *, as_json: bool, ticker: str | None = None) -> None:
    wanted_ticker = ticker.upper() if ticker else None
    console = Console(highlight=False, soft_wrap=True)
    for item in following.items(
        feed, how, time.sleep, lambda item: wanted_ticker is None or item.get("ticker") == wanted_ticker
    ):
        if as_json:
            typer.echo(json.dumps(item, ensure_ascii=False))
        else:
            console.print(show(item))


def _following(lines: int, since: str | None, no_follow: bool) -> Following:
    return Following(lines=None if since else lines, follow=not no_follow)


def _since(text: str | None, what: str) -> datetime:
    now = datetime.now(UTC)
    if text is None:
        return now - timedelta(minutes=HISTORY_MINUTES[what])
    return moment(text, now)


def _api(endpoints: Endpoints) -> str:
    if endpoints.api is None:
        raise NotDeployedError("the API is not deployed: run `cdk deploy ApiStack`")
    return endpoints.api


def _tick(item: Item) -> Text:
    if "error" in item:
        return Text(f"unreadable    {item['error']}", "red")
    parts = [f"{_clock(item['ts'])}  {item['ticker']:<8} {item['price']:>12,.4f}"]
    if item["bid"] is not None and item["ask"] is not None:
        parts.append(f"{item['bid']:,.4f} / {item['ask']:,.4f}")
    if item["day_volume"] is not None:
        parts.append(f"volume {item['day_volume']:,.0f}")
    return Text("  ".join(parts)).append(f"  {item['source']}", "dim")


def _anomaly(item: Item) -> Text:
    at = str(item["timestamp"]).partition("#")[0].replace("T", " ").removesuffix("Z")
    line = Text(f"{at}  ").append(f"{item['severity']:<8}", _COLOURS.get(item["severity"], ""))
    line.append(f"  {item['ticker']:<8} {item['kind'].replace('_', ' '):<14}  {item['explanation']}")
    return line.append(f"  {item['source']}{', late' if item['late'] else ''}", "dim")


def _alert(item: dict[str, Any]) -> Text:
    line = Text(f"{item['sent_at'][:19].replace('T', ' ')}  ")
    line.append(f"{item.get('protocol', item.get('kind', '')):<6}", "cyan")
    return line.append(f" {item['subject'] or item['body']}")


def _clock(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%H:%M:%S}.{ms % 1000:03d}"
