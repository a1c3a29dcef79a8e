"""What a scan did, as its function returns it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

_NAMES_IN_REPORT = 100
_REASONS_IN_REPORT = 10
Status = Literal["ok", "closed", "already running"]


@dataclass(slots=True)
class ScanReport:
    """What a scan did: polls, and how many ticks went to which partition.

    `skipped` counts polls that were due and not made, as those before took too long; `late` says so in a sentence.
    `repeated` counts quotes that were none: old ones, and the last ones of a feed that has fallen silent.
    `backfilled` counts the ticks that warmed tickers up.
    `missing` are the tickers that the source did not answer at least once, with the last reason, `rejected`
    what on the watch list is no ticker, `waiting` the ticks that the stream did not take and the next scan
    sends first, `feed` how the feed and the circuit breaker of its vendor are.
    """

    status: Status = "ok"
    polls: int = 0
    failed_polls: int = 0
    skipped_polls: int = 0
    late: str = ""
    partitions: Counter[int] = field(default_factory=Counter)
    resent: int = 0
    waiting: int = 0
    repeated: int = 0
    backfilled: int = 0
    missing: dict[str, str] = field(default_factory=dict)
    rejected: tuple[str, ...] = ()
    problems: list[str] = field(default_factory=list)
    feed: dict[str, Any] = field(default_factory=dict)

    @property
    def ticks(self) -> int:
        """The number of ticks that the stream took."""
        return self.partitions.total()

    def as_dict(self) -> dict[str, Any]:
        """Return the report as the function returns it; of long lists of names the first hundred."""
        return {
            "status": self.status,
            "polls": self.polls,
            "failed_polls": self.failed_polls,
            "skipped_polls": self.skipped_polls,
            "ticks": self.ticks,
            "partitions": {
                str(partition): self.partitions[partition] for partition in sorted(self.partitions)
            },
            "resent": self.resent,
            "waiting": self.waiting,
            "repeated": self.repeated,
            "backfilled": self.backfilled,
            "missing": sorted(self.missing)[:_NAMES_IN_REPORT],
            "missing_count": len(self.missing),
            "missing_reasons": dict(
                islice(((t, why) for t, why in self.missing.items() if why), _REASONS_IN_REPORT)
            ),
            "rejected": list(self.rejected[:_NAMES_IN_REPORT]),
            "rejected_count": len(self.rejected),
            "problems": self.problems[:_NAMES_IN_REPORT],
            "feed": self.feed,
        }
