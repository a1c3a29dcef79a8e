"""``stock-monitor tail``: follow ticks, anomalies or alerts, one line each."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumers.contracts.wording import without_aside
from producers.errors import did_you_mean
from stream_infra import names
from stream_infra.cli import options
from stream_infra.cli.text import console, one_line, price, print_line, time_of
from stream_infra.operations import tail as following
from stream_infra.operations.endpoints import Endpoints, resolve
from stream_infra.operations.errors import InputError, NotDeployedError
from stream_infra.operations.sign_in import TokenFile, token
from stream_infra.operations.tail import Cursor, Following, Item
from stream_infra.operations.times import moment

if TYPE_CHECKING:
    from rich.text import Text

app = typer.Typer(no_args_is_help=True)
HISTORY_MINUTES = {"ticks": 2, "anomalies": 24 * 60, "alerts": 24 * 60}
"""How far back the last lines are looked for where --since does not say."""
_COLOURS = {"low": "cyan", "medium": "yellow", "high": "bold red", "critical": "bold white on red"}
_Show = Callable[[Item], "Text"]

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
Severity = Annotated[
    list[str] | None,
    typer.Option(
        help="Only this severity: low, medium, high, critical; may be repeated.", metavar="SEVERITY"
    ),
]
Kind = Annotated[
    list[str] | None,
    typer.Option(help="Only this kind, such as price_spike; may be repeated.", metavar="KIND"),
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
    cursor = following.TickCursor(endpoints.client("kinesis"), names.STREAM, round(moment.timestamp() * 1000))
    symbol = _ticker(ticker)

    def is_wanted(item: Item) -> bool:
        return symbol is None or item.get("ticker") == symbol

    _print(cursor, _following(lines, since, no_follow), _tick, as_json=as_json, wanted=is_wanted)


@app.command()
def anomalies(
    *,
    ticker: Ticker = None,
    severity: Severity = None,
    kind: Kind = None,
    since: Since = None,
    lines: Lines = 10,
    no_follow: NoFollow = False,
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Follow anomalies as they are found; those of a replay, whose dates are old, with --since.

    Times are of today (UTC), unless a line with another date stands before them. Lines are cut to the terminal's width,
    or to 80 characters; --json has all.

    Example: stock-monitor tail anomalies --since 1h --severity high --severity critical
    """
    wanted = {
        "severity": _named("severity", severity, "SEVERITIES"),
        "kind": _named("kind", kind, "EVERY_KIND"),
    }
    moment = _since(since, "anomalies")
    endpoints, file = resolve(aws), TokenFile()
    cursor = following.AnomalyCursor(
        _api(endpoints),
        moment,
        _ticker(ticker),
        fixed=since is not None,
        token=lambda: token(endpoints.sign_in, file),
    )

    def is_wanted(item: Item) -> bool:
        return all(allowed is None or item[name] in allowed for name, allowed in wanted.items())

    _print(cursor, _following(lines, since, no_follow), _anomaly, as_json=as_json, wanted=is_wanted)


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
    cursor = following.alert_cursor(
        resolve(aws), _since(since, "alerts"), lambda: time.time_ns() // 1_000_000
    )
    _print(cursor, _following(lines, since, no_follow), _alert, as_json=as_json)


def _print(
    cursor: Cursor,
    how: Following,
    show: _Show,
    *,
    as_json: bool,
    wanted: Callable[[Item], bool] = lambda _: True,
) -> None:
    out, day = console(), f"{datetime.now(UTC):%F}"
    for item in following.items(cursor, how, time.sleep, wanted):
        if as_json:
            typer.echo(json.dumps(item, ensure_ascii=False))
        else:
            if (its := str(item.get("timestamp", item.get("sent_at", day)))[:10]) != day:
                typer.echo(f"-- {one_line(its)}")
                day = its
            print_line(out, show(item))


def _named(option: str, given: list[str] | None, known: str) -> list[str] | None:
    from consumers.contracts import anomaly  # noqa: PLC0415  --help must not pay for it

    allowed: tuple[str, ...] = getattr(anomaly, known)
    for name in given or ():
        if name not in allowed:
            what = f"there is no {option} {name!r}{did_you_mean(name, allowed)}"
            raise InputError(what, where=f"--{option}", allowed=f"one of {', '.join(allowed)}")
    return given or None


def _following(lines: int, since: str | None, no_follow: bool) -> Following:
    return Following(lines=None if since else lines, follow=not no_follow)


def _since(text: str | None, what: str) -> datetime:
    now = datetime.now(UTC)
    if text is None:
        return now - timedelta(minutes=HISTORY_MINUTES[what])
    return moment(text, now)


def _ticker(word: str | None) -> str | None:
    from stream_infra.operations.watching import ticker_of  # noqa: PLC0415  --help must not pay for it

    return None if word is None else ticker_of(word)


def _api(endpoints: Endpoints) -> str:
    if endpoints.api is None:
        raise NotDeployedError("the API is not deployed: run `make up`, or `stock-monitor deploy`")
    return endpoints.api


def _tick(item: Item) -> Text:
    from rich.text import Text  # noqa: PLC0415

    if "error" in item:
        return Text(f"unreadable     {one_line(item['error'])}", "red")
    parts = [f"{_clock(item['ts'])}  {one_line(item['ticker']):<9} {price(item['price']):>12}"]
    if item["bid"] is not None and item["ask"] is not None:
        parts.append(f"{price(item['bid'])} / {price(item['ask'])}")
    if item["day_volume"] is not None:
        parts.append(f"volume {item['day_volume']:,.0f}")
    return Text("  ".join(parts)).append(f"  {one_line(item['source'])}", "dim")


def _anomaly(item: Item) -> Text:
    from rich.text import Text  # noqa: PLC0415

    from consumers.contracts.kinds import name_of  # noqa: PLC0415  --help must not pay for it

    ticker = one_line(item["ticker"])
    line = Text(f"{time_of(str(item['timestamp']))[11:]}  ")
    line.append(f"{one_line(item['severity']):<8}", _COLOURS.get(item["severity"], ""))
    line.append(f"  {ticker:<9}  {one_line(name_of(item['kind'])):<16}  ")
    line.append(one_line(_without_columns(item["explanation"], item["ticker"])))
    return line.append(f"  {one_line(item['source'])}{', late' if item['late'] else ''}", "dim")


def _without_columns(explanation: str, ticker: str) -> str:
    """Return a sentence without what the columns beside it say."""
    return without_aside(explanation).removeprefix(f"{ticker} ").removeprefix(f"{ticker}'s ")


def _alert(item: dict[str, Any]) -> Text:
    from rich.text import Text  # noqa: PLC0415

    line = Text(f"{time_of(item['sent_at'])[11:]}  ")
    line.append(f"{item.get('protocol', item.get('kind', '')):<6}", "cyan")
    return line.append(f" {one_line(item['subject'] or item['body'])}")


def _clock(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%H:%M:%S}.{ms % 1000:03d}Z"
