"""/tickers: the watch list with last quotes; /quotes/{ticker}: bars for charts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body

from api.access import allow_write
from api.audit import record
from api.models import BarList, TickerList, WatchListChange, WatchListRequest
from api.parameters import (
    LENGTHS_MS,
    MOST_ROWS,
    FirstQuery,
    LengthQuery,
    MinutesQuery,
    OffsetQuery,
    OrderQuery,
    RowsQuery,
    SinceQuery,
    SourceQuery,
    TickerPath,
    UntilQuery,
)
from api.problems import Problem, bad_request
from api.responses import respond
from api.routes.common import if_none_match, responses
from api.services import Services
from api.short_bars import short_bars
from api.tickers import Board
from api.times import epoch_ms
from consumers.contracts.anomaly import iso_ms
from consumers.contracts.charts import MINUTE_MS, Bar
from producers.origin import origin_of, windows_of
from producers.watch_list import change_note

_HOUR_MS = 3_600_000
DEFAULT_SPAN_MS = 7 * _HOUR_MS  # a regular session and its edges
MAX_SPAN_MS = 48 * _HOUR_MS
SHORT_SPAN_MS = _HOUR_MS
"""Of bars below a minute: an hour of them is read from as many objects as it has minutes."""


def register(app: APIGatewayRestResolver, services: Services) -> None:
    """Add the routes of quotes."""

    @app.get(
        "/tickers",
        summary="The watch list",
        responses=responses(TickerList, "The tickers, a page of them.", 400),
    )
    def list_tickers(
        source: SourceQuery | None = None,
        limit: RowsQuery = MOST_ROWS,
        offset: OffsetQuery = 0,
        order: OrderQuery = "list",
        first: FirstQuery | None = None,
    ) -> Response[str]:
        now_ms, name = services.now_ms(), source or services.source
        origin = origin_of(windows_of(name))
        quotes = services.charts.last_quotes(origin)
        # What was replayed need not be on the watch list: a replay shows what it brought.
        listed = sorted(quotes.ts) if origin == "replay" else services.watch_list()
        board = Board(listed, quotes, now_ms, services)
        ahead = first.split(",") if first else ()
        rows = board.rows(board.arranged(order, ahead)[offset : offset + limit])
        payload = {
            "source": name,
            "origin": origin,
            "as_of": iso_ms(now_ms),
            "feed": board.feed(lambda: services.feed_problem(name)),
            "tickers": rows,
            "count": len(rows),
            "offset": offset,
            "next": offset + len(rows) if rows and offset + len(rows) < len(listed) else None,
        }
        return respond(payload, if_none_match(app))

    @app.put(
        "/tickers",
        summary="Change the watch list",
        responses=responses(WatchListChange, "In force within a minute.", 400, 401, tagged=False),
    )
    def put_tickers(wanted: Annotated[WatchListRequest, Body()]) -> Response[str]:
        return respond(_changed(services, wanted, allow_write(app, services)), None)

    @app.get(
        "/quotes/<ticker>",
        summary="Bars of one ticker",
        responses=responses(BarList, "Bars, oldest first.", 400, 404),
    )
    def list_bars(
        ticker: TickerPath,
        *,
        since: SinceQuery | None = None,
        until: UntilQuery | None = None,
        minutes: MinutesQuery | None = None,
        source: SourceQuery | None = None,
        length: LengthQuery = "1m",
    ) -> Response[str]:
        length_ms = LENGTHS_MS[length]
        origin = origin_of(windows_of(source or services.source))
        closed = None if origin == "replay" else services.closed_hours(ticker)
        quotes = None
        if minutes is None:
            since_ms, until_ms = _span(since, until, services.now_ms(), length_ms)
        elif since or until:
            raise bad_request("minutes", minutes, "left out beside since or until")
        else:
            quotes = services.charts.last_quotes(origin)
            now_ms, newest_ms = services.now_ms(), quotes.ts.get(ticker)
            since_ms, until_ms = _last(minutes, length_ms, now_ms, newest_ms, closed is not None)
        if length_ms == MINUTE_MS:
            bars = services.charts.bars(origin, ticker, since_ms, until_ms, quotes)
        else:
            bars = _short(services, origin, ticker, (since_ms, until_ms), length_ms)
        payload = {
            "ticker": ticker,
            "origin": origin,
            "since": iso_ms(since_ms),
            "until": iso_ms(until_ms),
            "closed_since": closed and iso_ms(epoch_ms(closed[0])),
            "opens_at": closed and iso_ms(epoch_ms(closed[1])),
            "bars": [{"minute": iso_ms(bar.minute_ms), **bar.values()} for bar in bars],
            "count": len(bars),
        }
        return respond(payload, if_none_match(app))


def _changed(services: Services, wanted: WatchListRequest, by: str) -> dict[str, Any]:
    """Write the watch list, unless the source does not quote what is new on it."""
    before, after = services.watch_list(again=True), list(dict.fromkeys(wanted.tickers))
    watched = set(before)
    added = [ticker for ticker in after if ticker not in watched]
    if added and not wanted.unchecked and (rejected := services.editor.rejected(added)):
        reasons = "; ".join(f"{ticker}: {why}" for ticker, why in rejected.items())
        raise Problem.bad_request(
            f"source {services.source} does not quote {', '.join(rejected)} ({reasons})",
            where="tickers",
            allowed="tickers that it quotes, or unchecked true",
        )
    note = change_note(by, before, after)
    services.editor.write(after, note)
    services.watch_list(again=True)  # so that the next response has it
    removed = [ticker for ticker in before if ticker not in after]
    record(
        "watch list", by, {"count": len(before), "removed": removed}, {"count": len(after), "added": added}
    )
    return {
        "tickers": after,
        "added": added,
        "removed": removed,
        "by": by,
        "at": iso_ms(services.now_ms()),
    }


def _short(
    services: Services, origin: str, ticker: str, span_ms: tuple[int, int], length_ms: int
) -> list[Bar]:
    """Return bars of some seconds; scans archive what the configured source sent, and nothing else."""
    if origin != origin_of(services.source):
        return []
    since_ms, until_ms = span_ms
    # What the first bar's volume is the growth since is one of the ticks before it.
    ticks = services.archive.ticks(ticker, max(0, since_ms - MINUTE_MS), until_ms)
    return [bar for bar in short_bars(ticks, length_ms) if bar.minute_ms >= since_ms]


def _span(since: datetime | None, until: datetime | None, now_ms: int, length_ms: int) -> tuple[int, int]:
    """Return whole minutes by default, so that all polls within one minute are the same request."""
    usual_ms, most_ms = DEFAULT_SPAN_MS, MAX_SPAN_MS
    if length_ms < MINUTE_MS:
        usual_ms = most_ms = SHORT_SPAN_MS
    until_ms = epoch_ms(until) if until else _minute_after(now_ms)
    since_ms = epoch_ms(since) if since else max(0, until_ms - usual_ms)
    if not 0 <= until_ms - since_ms <= most_ms:
        hours = most_ms // _HOUR_MS
        span = "an hour" if hours == 1 else f"{hours} hours"
        raise bad_request(
            "since", iso_ms(since_ms), f"an instant up to {span} before until ({iso_ms(until_ms)})"
        )
    return since_ms, until_ms


def _last(
    minutes: int, length_ms: int, now_ms: int, newest_ms: int | None, is_closed: bool
) -> tuple[int, int]:
    """Return the last minutes up to now, or up to the newest quote where nothing is expected, or came, after it."""
    span_ms, most_ms = minutes * MINUTE_MS, SHORT_SPAN_MS if length_ms < MINUTE_MS else MAX_SPAN_MS
    if span_ms > most_ms:
        raise bad_request("minutes", minutes, f"at most {most_ms // MINUTE_MS} with bars below a minute")
    until_ms = _minute_after(now_ms)
    if newest_ms is not None and (is_closed or newest_ms < until_ms - span_ms):
        until_ms = min(until_ms, _minute_after(newest_ms))
    return max(0, until_ms - span_ms), until_ms


def _minute_after(ts_ms: int) -> int:
    return ts_ms // MINUTE_MS * MINUTE_MS + MINUTE_MS
