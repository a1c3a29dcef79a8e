"""What `stock-monitor rules test` does: it replays the last day's quotes against rules."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.alerts.event import AlertEvent
from consumers.alerts.model import Message
from consumers.alerts.settings import AlertSettings
from consumers.contracts.anomaly import Anomaly, anomaly_id, iso_ms, sort_key
from consumers.contracts.kinds import RULE
from consumers.contracts.sentences import explain
from consumers.detectors.engine.engine import Ticks, Transition, apply, new_states
from consumers.stream.rules import PriceRule
from consumers.stream.threshold_table import table
from consumers.stream.thresholds import DEFAULT, Threshold
from consumers.windows.rules import advance, misprints
from producers.archive import ALL, folder_of
from stream_infra.operations.errors import InputError
from stream_infra.operations.offline.dry_run import DryRun

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ARCHIVED = "archive"
"""The source of what was archived, whatever it was of."""


@dataclass(frozen=True)
class RuleTrial:
    """What rules would have done: over how many ticks of which tickers, and which messages were sent."""

    ticks: int
    tickers: tuple[str, ...]
    messages: list[Message]


def test(
    s3: S3Client, bucket: str, wanted: tuple[PriceRule, ...], settings: AlertSettings, now: datetime
) -> RuleTrial:
    """Replay the archived quotes of the last 24 hours against rules; nothing is sent.

    Raises
    ------
    InputError
        Nothing was archived of these tickers.
    """
    since_ms = round((now - timedelta(days=1)).timestamp() * 1000)
    named = {rule.ticker for rule in wanted}
    found = {
        ticker: rows
        for ticker, rows in _archived(s3, bucket, None if "" in named else named, now).items()
        if rows[-1]["ts"] >= since_ms and (ticker in named or "" in named)
    }
    if not found:
        of = ", ".join(sorted(named - {""})) or "any ticker"
        raise InputError(
            f"no quotes of {of} were archived in the last 24 hours", where=f"s3://{bucket}/raw-data/"
        )
    events: list[AlertEvent] = []
    count = 0
    for ticker, rows in found.items():
        recent = [row for row in rows if row["ts"] >= since_ms]
        count += len(recent)
        events += _events(ticker, recent, wanted)
    notifier = DryRun(settings)
    notifier.live_through(events, then_ms=2 * 86_400_000)
    return RuleTrial(count, tuple(sorted(found)), notifier.messages)


def _events(ticker: str, rows: list[dict[str, Any]], wanted: tuple[PriceRule, ...]) -> list[AlertEvent]:
    columns = {
        name: np.array([row.get(name, np.nan) for row in rows], np.float64)
        for name in ("price", "bid", "ask", "day_volume")
    }
    ts = np.array([row["ts"] for row in rows], np.int64)
    ticks = Ticks(np.zeros(len(rows), np.int64), ts, **columns)
    limits = table(Threshold.parse(DEFAULT), [ticker])
    scores = np.empty((len(limits), len(rows)))
    apply(new_states(1), ticks, limits, scores)
    is_wrong, is_past = misprints(scores, limits, ticks), np.zeros(len(rows), np.bool_)
    _, met = advance({}, [ticker], ticks, wanted, is_wrong=is_wrong, is_past=is_past)
    return [
        AlertEvent.of("detected" if one.change == "opened" else "ended", _anomaly(ticker, one), one.opened_ts)
        for one in met
    ]


def _anomaly(ticker: str, met: Transition) -> Anomaly:
    fields = met._asdict()
    ts_ms, row = fields.pop("opened_ts"), fields.pop("row")
    explanation = explain(ticker=ticker, **fields)
    del fields["change"], fields["note"], row
    return Anomaly(
        id=anomaly_id(ticker, ts_ms, RULE, ARCHIVED),
        source=ARCHIVED,
        ticker=ticker,
        timestamp=sort_key(ts_ms, RULE, ARCHIVED),
        date=iso_ms(ts_ms)[:10],
        late=False,
        explanation=explanation,
        **fields,
    )


def _archived(
    s3: S3Client, bucket: str, tickers: set[str] | None, now: datetime
) -> dict[str, list[dict[str, Any]]]:
    """Return the archived quotes of yesterday and today (UTC) by ticker, in order, each time once."""
    folders = _folders(s3, bucket) if tickers is None else [ALL, *map(folder_of, sorted(tickers))]
    found: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for folder in folders:
        for day in (now - timedelta(days=1), now):
            prefix = f"raw-data/{folder}/{day.astimezone(UTC):%Y/%m/%d}/"
            for key in _keys(s3, bucket, prefix):
                body = gzip.decompress(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
                for row in map(json.loads, body.splitlines()):
                    found[row["symbol"]][row["ts"]] = row
    return {ticker: [by_ts[ts] for ts in sorted(by_ts)] for ticker, by_ts in found.items()}


def _folders(s3: S3Client, bucket: str) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="raw-data/", Delimiter="/")
    prefixes = [found["Prefix"] for page in pages for found in page.get("CommonPrefixes", ())]
    return [prefix.removeprefix("raw-data/").rstrip("/") for prefix in prefixes]


def _keys(s3: S3Client, bucket: str, prefix: str) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [found["Key"] for page in pages for found in page.get("Contents", ())]
