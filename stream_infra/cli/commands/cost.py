"""``stock-monitor cost``: what a month on AWS costs, by service, and what drives it."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_infra.cli import options
from stream_infra.operations.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stream_infra.operations.cost import Estimate, Session, Size

app = typer.Typer()
_DRIVERS_SHOWN = 5


@app.command()
def cost(
    *,
    tickers: Annotated[
        int | None,
        typer.Option(
            "--tickers", "-n", help="Tickers on the watch list (20).", min=1, max=50_000, metavar="N"
        ),
    ] = None,
    interval: Annotated[
        float | None,
        typer.Option(
            "--interval",
            "-i",
            help="Seconds between polls; without it the deployment's.",
            min=1,
            max=60,
            metavar="N",
        ),
    ] = None,
    session: Annotated[
        str | None,
        typer.Option(
            "--session",
            help="When quotes are polled: regular, extended or always; without it the deployment's.",
            metavar="SESSION",
        ),
    ] = None,
    deployment: Annotated[
        str, typer.Option("--deployment", help="Its name in monitor.toml.", metavar="NAME")
    ] = "prod",
    sizes: Annotated[
        bool,
        typer.Option("--sizes", help="Show settings and cost for 10, 500, 5,000 and 50,000 tickers."),
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Estimate the monthly cost on AWS, by service, and name the largest items. Makes no call to AWS.

    Prices are those of US East (N. Virginia); docs/cost.md has their date.

    Example: stock-monitor cost --tickers 500 --interval 5

    Example: stock-monitor cost --sizes
    """
    from stream_infra.monitor_toml import find_file, load  # noqa: PLC0415
    from stream_infra.operations import cost as model  # noqa: PLC0415  --help must not pay for it

    if sizes and (tickers or interval):
        raise InputError(
            "--sizes has tickers and intervals of its own", allowed="without --tickers and --interval"
        )
    tickers = tickers or 20
    config = load(deployment, find_file(Path.cwd()))
    interval = interval or config.poll_interval_seconds
    session = session or config.session
    if sizes:
        rows = [(size, size.estimate(_session(session), config)) for size in model.SIZES]
        _print_sizes(rows, session, as_json=as_json)
        return
    found = model.estimate(tickers, interval, _session(session), config)
    if as_json:
        typer.echo(json.dumps(_as_dict(found, tickers, interval, session)))
    else:
        typer.echo("\n".join(_lines(found, tickers, interval, session)))


def _print_sizes(rows: Sequence[tuple[Size, Estimate]], session: str, *, as_json: bool) -> None:
    from stream_infra.cli.text import print_table  # noqa: PLC0415

    if as_json:
        report = [
            {
                **size._asdict(),
                "session": session,
                "dollars_a_month": round(found.dollars, 2),
                "dollars_of_1000_checks": round(_of_checks(size), 4),
            }
            for size, found in rows
        ]
        typer.echo(json.dumps(report))
        return
    typer.echo(f"Polled every second, session {session}: what to set, and US dollars a month\n")
    print_table(
        (_size_row(size, found) for size, found in rows),
        header=("tickers", "shards", "partitions", "window", "list in", "to pay", "list price", "dearest"),
        right=(0, 1, 2, 3, 5, 6),
    )
    window = (
        "window: batching_window_seconds. A list in S3 is named by /stock-tracker/ticker: s3://bucket/key."
    )
    checks = ", ".join(f"{size.tickers:,}: {_of_checks(size):.4f}" for size, _ in rows)
    calls = f"1,000 calls of GET /safety/{{ticker}}, in US dollars by tickers: {checks}"
    typer.echo(f"\n{fill(window, 80)}\n{fill(calls, 80)}")


def _size_row(size: Size, found: Estimate) -> tuple[str, ...]:
    service, (_, listed) = next(iter(found.by_service().items()))
    return (
        f"{size.tickers:,}",
        str(size.shards),
        str(size.partitions),
        str(size.batching_window_seconds),
        size.list_place,
        f"{found.dollars:,.0f}",
        f"{found.list_dollars:,.0f}",
        f"{service} {listed:,.0f}",
    )


def _of_checks(size: Size) -> float:
    """Return the list price of 1,000 calls of GET /safety/{ticker}."""
    from stream_infra.operations import cost as model  # noqa: PLC0415

    return model.checks(1000, size.tickers, size.partitions).list_dollars


def _session(given: str) -> Session:
    from stream_infra.operations.cost import SESSION_HOURS  # noqa: PLC0415
    from stream_infra.operations.errors import InputError  # noqa: PLC0415

    for known in SESSION_HOURS:
        if known == given:
            return known
    raise InputError(f"{given!r}", where="--session", allowed=f"one of {', '.join(SESSION_HOURS)}")


def _as_dict(found: Estimate, tickers: int, interval: float, session: str) -> dict[str, Any]:
    from stream_infra.operations import cost as model  # noqa: PLC0415
    from stream_infra.operations import prices  # noqa: PLC0415

    return {
        "tickers": tickers,
        "interval_seconds": interval,
        "session": session,
        "region": prices.REGION,
        "prices_as_of": prices.AS_OF,
        "dollars_a_month": round(found.dollars, 2),
        "list_dollars_a_month": round(found.list_dollars, 2),
        "services": {
            service: {"dollars": round(due, 2), "list_dollars": round(listed, 2)}
            for service, (due, listed) in found.by_service().items()
        },
        "lines": [
            {
                "service": line.price.service,
                "unit": line.price.unit,
                "quantity": round(line.quantity, 3),
                "free": line.price.free,
                "dollars": round(line.dollars, 4),
                "list_dollars": round(line.list_dollars, 4),
                "driver": line.driver,
                "source": line.price.source,
            }
            for line in found.lines
        ],
        "assumed": list(model.ASSUMED),
    }


def _lines(found: Estimate, tickers: int, interval: float, session: str) -> list[str]:
    from consumers.contracts.wording import counted  # noqa: PLC0415
    from stream_infra.cli.text import table_text  # noqa: PLC0415
    from stream_infra.operations import cost as model  # noqa: PLC0415
    from stream_infra.operations import prices  # noqa: PLC0415

    rows = [
        f"{counted(tickers, 'ticker')} every {interval:g} s, session {session}",
        f"US dollars a month ({prices.REGION}, prices of {prices.AS_OF})",
        "",
        f"{'':<18}{'to pay':>10}{'list price':>12}",
    ]
    rows += [
        f"{service:<18}{due:>10.2f}{listed:>12.2f}" for service, (due, listed) in found.by_service().items()
    ]
    rows += [f"{'Total':<18}{found.dollars:>10.2f}{found.list_dollars:>12.2f}", "", "What drives it:"]
    dearest = sorted(found.lines, key=lambda line: -line.list_dollars)[:_DRIVERS_SHOWN]
    drivers = (
        (
            f"{line.list_dollars:.2f}",
            f"{line.price.service}, {line.quantity:,.0f} {line.price.unit}: {line.driver}",
        )
        for line in dearest
    )
    free = "To pay: less what AWS gives every account free of charge, if nothing else uses it up."
    assumed = f"Assumed: {'; '.join(model.ASSUMED)}."
    return [*rows, table_text(drivers, right=(0,)), "", fill(free, 80), fill(assumed, 80)]
