"""``stock-monitor quote``: request quotes from a source, as the scanner does, without a monitor."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_infra.cli import options
from stream_infra.cli.text import price, print_table, time_of
from stream_infra.operations.errors import FailedError

if TYPE_CHECKING:
    from producers.quote_batch import QuoteBatch

app = typer.Typer()


@app.command()
def quote(
    tickers: Annotated[list[str], typer.Argument(help="One ticker or several.", metavar="TICKER")],
    *,
    source: Annotated[
        str,
        typer.Option(
            help="The source to query; docs/sources.md lists them.",
            metavar="NAME",
            envvar="SOURCE",
        ),
    ] = "alpaca",
    as_json: options.AsJson = False,
) -> None:
    """Query a source for the quotes of some tickers now, or show why there are none.

    Keys come from the environment (docs/sources.md), such as APCA_API_KEY_ID and APCA_API_SECRET_KEY for alpaca.

    Example: stock-monitor quote AAPL MSFT --source alpaca
    """
    from stream_infra.operations.watching import tickers_of  # noqa: PLC0415  --help must not pay for it

    now_ms = time.time_ns() // 1_000_000
    batch = _polled(tickers_of(tickers), source, now_ms)
    rows = _rows(batch, now_ms)
    if as_json:
        typer.echo(json.dumps({"source": batch.source, "quotes": rows, "missing": batch.missing}))
    elif rows:
        _show(rows, batch.source)
    if batch.missing:
        reasons = "; ".join(sorted({f"{ticker}: {why}" for ticker, why in batch.reasons.items()}))
        why = reasons or "is it a ticker there, and covered by the plan?"
        raise FailedError(f"{source} has no quote of {', '.join(batch.missing)}: {why}")


def _polled(tickers: list[str], source: str, now_ms: int) -> QuoteBatch:
    from consumers.contracts.kinds import distortions  # noqa: PLC0415  --help must not pay for it
    from producers.polling import poll  # noqa: PLC0415
    from producers.quote_batch import usable  # noqa: PLC0415
    from producers.simulation.distortion import VARIABLE, to_text  # noqa: PLC0415
    from producers.sources import create  # noqa: PLC0415

    # Nobody polls again: take time to retry.
    environment = {"POLL_INTERVAL_SECONDS": "20", VARIABLE: to_text(distortions()), **os.environ}
    batch, rejected = usable(poll(source, create(source, environment), tickers, now_ms))
    return replace(
        batch,
        missing=[*batch.missing, *(row.symbol for row in rejected)],
        reasons={**batch.reasons, **{row.symbol: row.reason for row in rejected}},
    )


def _rows(batch: QuoteBatch, now_ms: int) -> list[dict[str, Any]]:
    columns = (batch.symbol, batch.price, batch.bid, batch.ask, batch.day_volume, batch.quote_ts)
    return [
        {
            "ticker": symbol,
            "price": price,
            "bid": bid,
            "ask": ask,
            "day_volume": volume,
            "quote_time": None if at is None else _iso(at),
            "age_seconds": None if at is None else round((now_ms - at) / 1000, 3),
        }
        for symbol, price, bid, ask, volume, at in zip(*columns, strict=True)
    ]


def _show(rows: list[dict[str, Any]], source: str) -> None:
    typer.echo(f"Quotes of {source}")
    print_table(
        (
            (
                row["ticker"],
                *(price(row[name]) for name in ("price", "bid", "ask")),
                "-" if row["day_volume"] is None else f"{row['day_volume']:,.0f}",
                "-" if row["quote_time"] is None else time_of(row["quote_time"]),
            )
            for row in rows
        ),
        header=("ticker", "price", "bid", "ask", "volume", "quoted"),
        right=(1, 2, 3, 4),
    )


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
