"""``stock-monitor rules``: a person's own rules; add, list, remove and try them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec.structs import asdict

from stream_infra import names
from stream_infra.cli import options
from stream_infra.cli.text import author, say_if_unwatched
from stream_infra.operations.endpoints import resolve
from stream_infra.operations.errors import InputError

if TYPE_CHECKING:
    from consumers.stream.rules import PriceRule
    from stream_infra.operations.rule_trial import RuleTrial

app = typer.Typer(no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="The name of the rule, such as aapl-200.", metavar="ID")]
Ticker = Annotated[
    str,
    typer.Option("--ticker", help="Only this ticker; required with --above and --below.", metavar="TICKER"),
]
Above = Annotated[
    float | None, typer.Option("--above", help="The price rises above this level.", metavar="PRICE")
]
Below = Annotated[
    float | None, typer.Option("--below", help="The price falls below this level.", metavar="PRICE")
]
Moves = Annotated[
    float | None, typer.Option("--moves", help="The price moves by this much, up or down.", metavar="%")
]
Minutes = Annotated[
    float,
    typer.Option(
        "--minutes",
        help="With --moves: within this many minutes (1 to 240).",
        metavar="N",
        show_default=False,
    ),
]
Spread = Annotated[
    float | None, typer.Option("--spread", help="The spread reaches this many basis points.", metavar="BP")
]
Volume = Annotated[
    float | None,
    typer.Option("--volume", help="A tick trades this many times the usual volume.", metavar="TIMES"),
]
Repeat = Annotated[str, typer.Option("--repeat", help="once, daily or always.", metavar="HOW")]
Hysteresis = Annotated[
    float,
    typer.Option(
        "--hysteresis",
        help="Percent by which the value must go back before the rule can be met again.",
        metavar="%",
    ),
]
Severity = Annotated[str, typer.Option("--severity", help="Severity of its alerts.", metavar="SEVERITY")]


@app.callback()
def rules() -> None:
    """Your own rules: be notified of a price, a move, a spread or a volume."""


@app.command()
def add(
    id_: Id,
    *,
    ticker: Ticker = "",
    above: Above = None,
    below: Below = None,
    moves: Moves = None,
    minutes: Minutes = 0.0,
    spread: Spread = None,
    volume: Volume = None,
    repeat: Repeat = "always",
    hysteresis: Hysteresis = 0.1,
    severity: Severity = "high",
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Add a rule; it is in force within a minute.

    Example: stock-monitor rules add aapl-200 --ticker AAPL --above 200 --repeat daily
    """
    from consumers.stores.rules import RuleParameter  # noqa: PLC0415
    from consumers.stream.rules import of_object  # noqa: PLC0415  --help must not pay for it
    from stream_infra.operations.watching import note_on_level  # noqa: PLC0415

    given = {"above": above, "below": below, "moves": moves, "spread": spread, "volume": volume}
    limits = [(when, value) for when, value in given.items() if value is not None]
    if len(limits) != 1:
        named = " and ".join(f"--{when}" for when, _ in limits)
        what = f"{named} are given" if limits else "no limit is given"
        raise InputError(what, where=f"rule {id_!r}", allowed=f"one of --{', --'.join(given)}")
    ((when, value),) = limits
    wanted: dict[str, Any] = {"id": id_, "when": when, "value": value, "ticker": ticker, "minutes": minutes}
    rule = of_object(
        {**wanted, "repeat": repeat, "hysteresis": hysteresis, "severity": severity}, f"rule {id_!r}"
    )
    endpoints = resolve(aws)
    rule = RuleParameter(endpoints.client("ssm"), names.RULES_PARAMETER).add(rule, author("rules"))
    typer.echo(json.dumps(asdict(rule)) if as_json else f"{rule.id}: {rule.words}. In force within a minute.")
    say_if_unwatched(endpoints, rule.ticker)
    if note := note_on_level(endpoints, rule):
        typer.echo(note, err=True)


@app.command("list")
def list_(as_json: options.AsJson = False, aws: options.Aws = False) -> None:
    """List the rules.

    Example: stock-monitor rules list
    """
    from consumers.stores.rules import RuleParameter  # noqa: PLC0415

    found = RuleParameter(resolve(aws).client("ssm"), names.RULES_PARAMETER).read()
    lines = [f"{rule.id}: {rule.words}" for rule in found] or ["No rules."]
    typer.echo(json.dumps({"rules": [asdict(rule) for rule in found]}) if as_json else "\n".join(lines))


@app.command()
def remove(id_: Id, as_json: options.AsJson = False, aws: options.Aws = False) -> None:
    """Remove a rule.

    Example: stock-monitor rules remove aapl-200
    """
    from consumers.stores.rules import RuleParameter  # noqa: PLC0415

    removed = RuleParameter(resolve(aws).client("ssm"), names.RULES_PARAMETER).remove(id_, author("rules"))
    typer.echo(
        json.dumps({"removed": removed.id}) if as_json else f"{removed.id} is removed: {removed.words}"
    )


@app.command("test")
def try_(
    id_: Annotated[str, typer.Argument(help="The rule; all without it.", metavar="ID")] = "",
    as_json: options.AsJson = False,
    aws: options.Aws = False,
) -> None:
    """Replay the archived quotes of the last 24 hours; show which messages the rule would have sent.

    Example: stock-monitor rules test aapl-200
    """
    from consumers.stores.rules import RuleParameter  # noqa: PLC0415
    from stream_infra.operations import alert_desk, rule_trial  # noqa: PLC0415

    endpoints = resolve(aws)
    ssm = endpoints.client("ssm")
    rules_ = RuleParameter(ssm, names.RULES_PARAMETER).read()
    if not rules_:
        raise InputError("there are no rules: add one with `stock-monitor rules add`")
    wanted: tuple[PriceRule, ...] = tuple(rule for rule in rules_ if id_ in {"", rule.id})
    if not wanted:
        raise InputError(
            f"there is no rule {id_!r}", allowed=f"one of {', '.join(rule.id for rule in rules_)}"
        )
    bucket = names.data_bucket(endpoints.account())
    settings = alert_desk.settings_in_force(ssm)
    trial = rule_trial.test(endpoints.client("s3"), bucket, wanted, settings, datetime.now(UTC))
    typer.echo(_json(trial) if as_json else _text(trial))


def _json(trial: RuleTrial) -> str:
    from consumers.alerts.rendering.texts import content  # noqa: PLC0415
    from consumers.contracts.anomaly import iso_ms  # noqa: PLC0415

    messages = [
        {"at": iso_ms(message.made_ms), "kind": message.kind, "title": content(message, "", "UTC").title}
        for message in trial.messages
    ]
    return json.dumps({"ticks": trial.ticks, "tickers": trial.tickers, "messages": messages})


def _text(trial: RuleTrial) -> str:
    found = json.loads(_json(trial))["messages"]
    lines = [f"{one['at'][:19].replace('T', ' ')} UTC  {one['kind']:<8}  {one['title']}" for one in found]
    count = (
        f"{len(found):,} messages over {trial.ticks:,} ticks of {', '.join(trial.tickers)}. None was sent."
    )
    return "\n".join([*lines, count])
