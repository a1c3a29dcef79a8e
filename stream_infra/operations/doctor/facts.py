"""What is known of a monitor when it is judged. Plain values: no AWS, no clock.

Where a value may be None, None says that the thing is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Function:
    """A Lambda function.

    Attributes:
        state: "Active", "Pending", "Inactive" or "Failed".
        update: "Successful", "InProgress" or "Failed".
        reason: why, where state or update are not as they should be.
        reserved: reserved concurrency; None if none is reserved.
        throttles: times that Lambda refused to run it in the last minutes.
    """

    state: str = "Active"
    update: str = "Successful"
    reason: str = ""
    reserved: int | None = None
    throttles: float = 0


@dataclass(frozen=True)
class Rule:
    """A rule of EventBridge."""

    state: str = "ENABLED"
    targets: int = 1


@dataclass(frozen=True)
class SourceMapping:
    """An event source mapping; `state` as Lambda says it ("Enabled", "Disabled", …)."""

    id: str
    state: str = "Enabled"
    reason: str = ""


@dataclass(frozen=True)
class Table:
    """A DynamoDB table; `throttles` in the last minutes, `recoverable` if it can be restored to a point in time."""

    state: str = "ACTIVE"
    on_demand: bool = True
    throttles: float = 0
    recoverable: bool = True
    missing_indexes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bucket:
    """A bucket; `has_index` if it holds an index.html."""

    versioned: bool = True
    has_index: bool = True


@dataclass(frozen=True)
class Stream:
    """The stream of quotes; `throttles` in the last minutes."""

    state: str = "ACTIVE"
    throttles: float = 0


@dataclass(frozen=True)
class Feed:
    """What the scanner noted about its source of quotes (item `scan#feed` of stock-windows), and when."""

    source: str
    updated: datetime
    breaker: str = "closed"
    stale_since: str = ""
    last_error: str = ""


@dataclass(frozen=True)
class Denied:
    """Something that a function must be allowed to do and is not."""

    function: str
    action: str
    resource: str


@dataclass(frozen=True)
class Alarm:
    """A CloudWatch alarm in state ALARM."""

    name: str
    description: str
    reason: str = ""


@dataclass(frozen=True)
class LogErrors:
    """Errors in a function's log in the last minutes: how many, what the last one says, and when it was."""

    count: int
    last: str
    at: datetime


@dataclass(frozen=True)
class Facts:
    """All that is judged. Keys are physical names; `functions` and the like hold every name that must be there.

    Attributes:
        programs: those of the local monitor that do not run.
        mappings: by the name of the function that they feed.
        queues: messages that wait.
        subscribers: confirmed subscriptions of each topic.
        unseen: what could not be looked at, and why.
    """

    now: datetime
    local: bool
    market_open: bool = True
    programs: tuple[str, ...] = ()
    stacks: Mapping[str, str | None] = field(default_factory=dict)
    functions: Mapping[str, Function | None] = field(default_factory=dict)
    rules: Mapping[str, Rule | None] = field(default_factory=dict)
    mappings: Mapping[str, SourceMapping | None] = field(default_factory=dict)
    parameters: Mapping[str, str | None] = field(default_factory=dict)
    queues: Mapping[str, int | None] = field(default_factory=dict)
    tables: Mapping[str, Table | None] = field(default_factory=dict)
    buckets: Mapping[str, Bucket | None] = field(default_factory=dict)
    stream: Stream | None = field(default_factory=Stream)
    feed: Feed | None = None
    subscribers: Mapping[str, int | None] = field(default_factory=dict)
    denied: tuple[Denied, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    quarantined: int = 0
    errors: Mapping[str, LogErrors] = field(default_factory=dict)
    unseen: tuple[tuple[str, str], ...] = ()
