"""Contract 2: the anomaly, its identity and its form in DynamoDB and JSON. Free of numpy, for the API.

An anomaly is immutable once written. What becomes of it later (it grows worse, it ends) are events.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from msgspec import Meta, to_builtins

from consumers.contracts.detector import KIND_PATTERN
from consumers.contracts.kinds import EVERY_KIND, KINDS
from producers.errors import MonitorError
from producers.origin import origin_of, windows_of
from producers.quote_values import MAX_TS_MS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

__all__ = [
    "KINDS",
    "SEVERITIES",
    "Anomaly",
    "AnomalyIdError",
    "AnomalyKey",
    "anomaly_id",
    "from_item",
    "iso_ms",
    "ms_of_iso",
    "sort_key",
    "to_item",
    "to_json",
]

SEVERITIES: tuple[str, ...] = ("low", "medium", "high", "critical")

_EXAMPLE = "AAPL-1763994600123-price_spike"
_ID = re.compile(
    rf"(?P<ticker>.+)-(?P<ts>[0-9]{{1,15}})-(?P<kind>{KIND_PATTERN})(?:@(?P<source>[A-Za-z0-9._-]{{1,64}}))?"
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXTS = ("id", "source", "ticker", "timestamp", "date", "kind", "severity", "direction", "explanation")
_NUMBERS = ("score", "threshold", "value", "expected", "tolerance")
# DynamoDB holds numbers of 1E-130 to 9.99E+125: https://docs.aws.amazon.com/amazondynamodb/latest/
# developerguide/HowItWorks.NamingRulesDataTypes.html#HowItWorks.DataTypes.Number
_SMALLEST, _LARGEST = 1e-120, 1e120


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something that was not normal, and why.

    `timestamp` is the sort key `<ISO time with milliseconds, UTC>#<kind>` of the tick that raised it (and `@<source>`
    if it is not live),
    `date` its UTC day. `score` is on the scale of `threshold`. `value`, `expected` and
    `tolerance` are in the unit named in `window`, which says what the tick was compared with.
    `late` marks what a redrive found after the fact.
    """

    id: Annotated[
        str,
        Meta(
            description="`<ticker>-<epoch ms>-<kind>`, and `@<source>` if it is not live: the same however often "
            "the anomaly is found."
        ),
    ]
    source: Annotated[
        str,
        Meta(description="Where the quotes come from; `simulated` and `replay-…` are not real ones."),
    ]
    ticker: str
    timestamp: Annotated[
        str,
        Meta(
            description="`<time>#<kind>` of the tick that raised it, and `@<source>` if it is not live: the sort "
            "key of the table."
        ),
    ]
    date: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d$")]
    kind: Annotated[str, Meta(extra_json_schema={"enum": list(EVERY_KIND)})]
    severity: Annotated[str, Meta(extra_json_schema={"enum": list(SEVERITIES)})]
    score: Annotated[float, Meta(description="How unusual, on the scale of `threshold`.")]
    threshold: float
    value: Annotated[float, Meta(description="What was seen, in the unit that `window` names.")]
    expected: float
    tolerance: float
    direction: Annotated[str, Meta(extra_json_schema={"enum": ["up", "down", "none"]})]
    late: Annotated[bool, Meta(description="Found by a redrive, after the fact.")]
    explanation: Annotated[str, Meta(description="One sentence.")]
    window: Annotated[
        dict[str, Any],
        Meta(
            description="What it was compared with.",
            extra_json_schema={"required": ["unit"], "properties": {"unit": {"type": "string"}}},
        ),
    ]


def iso_ms(ts_ms: int) -> str:
    """Epoch milliseconds as ISO 8601 in UTC, e.g. 2026-11-24T14:30:00.123Z; sorts as the numbers do."""
    return (_EPOCH + timedelta(milliseconds=ts_ms)).isoformat(timespec="milliseconds")[:23] + "Z"


def ms_of_iso(text: str) -> int:
    """Epoch milliseconds of an ISO 8601 time, as `iso_ms` writes it."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)


class AnomalyKey(NamedTuple):
    """What an anomaly is identified by; `source` is empty for a live one."""

    ticker: str
    ts_ms: int
    kind: str
    source: str

    @classmethod
    def parse(cls, text: str) -> AnomalyKey:
        """Return the key that `anomaly_id` wrote as `text`.

        Raises
        ------
        AnomalyIdError
            If it wrote no such text.

        Examples
        --------
        >>> AnomalyKey.parse("BRK-B-1763994600123-price_spike@replay-monday").ticker
        'BRK-B'
        """
        found = _ID.fullmatch(text)
        if found is not None:
            ticker, ts_ms, kind, source = found["ticker"], int(found["ts"]), found["kind"], found["source"]
            if (
                kind in EVERY_KIND
                and ts_ms <= MAX_TS_MS
                and anomaly_id(ticker, ts_ms, kind, source or "") == text
            ):
                return cls(ticker, ts_ms, kind, source or "")
        raise AnomalyIdError(
            f"{text[:200]!r} is no id of an anomaly",
            allowed=f"<ticker>-<epoch ms>-<kind>, such as {_EXAMPLE}, or that and @<source> if it is not live",
        )

    @property
    def sort_key(self) -> str:
        """The `timestamp` of the anomaly, its sort key in the table."""
        return sort_key(self.ts_ms, self.kind, self.source)


class AnomalyIdError(MonitorError):
    """A text is no id of an anomaly."""


def sort_key(ts_ms: int, kind: str, source: str) -> str:
    """Return the `timestamp` of an anomaly: one tick can raise several kinds, and origins share no key.

    Examples
    --------
    >>> sort_key(1763994600123, "gap", "alpaca")
    '2025-11-24T14:30:00.123Z#gap'
    >>> sort_key(1763994600123, "gap", "replay-monday")
    '2025-11-24T14:30:00.123Z#gap@replay-monday'
    """
    return f"{iso_ms(ts_ms)}#{kind}{_of_source(source)}"


def anomaly_id(ticker: str, ts_ms: int, kind: str, source: str) -> str:
    """Return the identity of the anomaly of a kind that a tick raised: the same however often it is found.

    What is not live names its source: a replay or a simulation never stands for what really happened. A backfill
    does: an anomaly that it opens may end, or get worse, by a live tick.
    """
    return f"{ticker}-{ts_ms}-{kind}{_of_source(source)}"


def _of_source(source: str) -> str:
    own = windows_of(source)
    return "" if origin_of(own) == "live" else f"@{own}"


def to_item(anomaly: Anomaly) -> dict[str, AttributeValueTypeDef]:
    """Return the anomaly as an item of the table stock-anomalies, in the low-level form of the client."""
    item: dict[str, AttributeValueTypeDef] = {name: {"S": getattr(anomaly, name)} for name in _TEXTS}
    for name in _NUMBERS:
        item[name] = {"N": _number(getattr(anomaly, name))}
    item["late"] = {"BOOL": anomaly.late}
    item["window"] = {"S": json.dumps(anomaly.window, separators=(",", ":"), sort_keys=True)}
    return item


def from_item(item: Any) -> Anomaly:
    """Return the anomaly in an item of the table, as the low-level client returns it."""
    texts: dict[str, Any] = {name: item[name]["S"] for name in _TEXTS}
    numbers: dict[str, Any] = {name: float(item[name]["N"]) for name in _NUMBERS}
    window = json.loads(item["window"]["S"])
    return Anomaly(**texts, **numbers, late=item["late"]["BOOL"], window=window)


def to_json(anomaly: Anomaly) -> dict[str, Any]:
    """Return the anomaly as JSON-able values, as the API and the events show it."""
    values: dict[str, Any] = to_builtins(anomaly)
    return values


def _number(value: float) -> str:
    if not math.isfinite(value) or abs(value) > _LARGEST:
        return repr(math.copysign(_LARGEST, value))
    return "0.0" if abs(value) < _SMALLEST else repr(value)
