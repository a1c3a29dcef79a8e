"""What is known of a monitor when `status` or `doctor` judges it. Plain values: no AWS, no clock.

None says that a thing is not there. What could not be examined is in no mapping, and named in `MonitorFacts.unseen`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from consumers.contracts.counts import TickCounts

CLOCK_ERROR_SECONDS = 5.0
"""Ticks so far ahead are rejected: a time beyond it is a wrong clock."""


@dataclass(frozen=True)
class Function:
    """A Lambda function.

    Parameters
    ----------
    state
        "Active", "Pending", "Inactive" or "Failed".
    update
        "Successful", "InProgress" or "Failed".
    reason
        Why, where state or update are not as they should be.
    last_ran
        Time of the newest line in its log; None if there is none.
    reserved
        Reserved concurrency; None if none is reserved.
    deployed_reserved
        Reserved concurrency that its stack gave it; None if it gave none. Known of a function that is stopped.
    throttles
        Calls that Lambda throttled in the last minutes.
    wrong_handler
        What it calls in place of its own handler; empty if it calls that.
    """

    state: str = "Active"
    update: str = "Successful"
    reason: str = ""
    last_ran: datetime | None = None
    reserved: int | None = None
    deployed_reserved: int | None = None
    throttles: float = 0
    wrong_handler: str = ""

    @property
    def works(self) -> bool:
        """Whether it can run, or will as soon as it is made (Lambda API reference, FunctionConfiguration)."""
        return self.state != "Failed" and self.update != "Failed"


@dataclass(frozen=True)
class EventRule:
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
class TableFacts:
    """A DynamoDB table; `throttles` in the last minutes, `recoverable` if it can be restored to a point in time."""

    state: str = "ACTIVE"
    on_demand: bool = True
    throttles: float = 0
    recoverable: bool = True
    missing_indexes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bucket:
    """A bucket; `has_index` if it holds an index.html, `announces` if EventBridge gets its events."""

    versioned: bool = True
    has_index: bool = True
    announces: bool = True


@dataclass(frozen=True)
class Stream:
    """The stream of quotes.

    Parameters
    ----------
    shards
        How many are open.
    arrived
        When the newest record of each partition key arrived, as far as one did in the last minutes.
    throttles
        Records that were throttled in the last minutes.
    """

    state: str = "ACTIVE"
    shards: int = 1
    arrived: Mapping[str, datetime] = field(default_factory=dict)
    throttles: float = 0


@dataclass(frozen=True)
class Windows:
    """What the detector has committed.

    Parameters
    ----------
    committed
        By partition, when the newest record in its windows had arrived on the stream; None if there is none.
    counts
        What became of all ticks but those of `stock-monitor verify`, which are wrong on purpose.
    ticks
        Time of the newest tick of each ticker that the scanner's source sent.
    tickers
        Watched tickers of each partition of which quotes are expected now, as far as the watch list is known.
    """

    committed: Mapping[int, datetime | None]
    counts: TickCounts
    ticks: Mapping[str, datetime] = field(default_factory=dict)
    tickers: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class WebAddress:
    """A web address of the monitor; `problem` says why it does not work, empty if it does."""

    url: str
    problem: str = ""
    responds: bool = True


@dataclass(frozen=True)
class FeedFacts:
    """What the scanner recorded about its source of quotes (item `scan#feed` of stock-windows), and when."""

    source: str
    updated: datetime
    breaker: str = "closed"
    stale_since: str = ""
    last_error: str = ""
    failing: str = ""
    """Why the last poll failed; empty if it did not."""
    late: str = ""
    """Why the last scan skipped polls; empty if it did not."""


@dataclass(frozen=True)
class QuoteSource:
    """The scanner's source.

    Parameters
    ----------
    mode
        poll or stream.
    markets
        Those of the watched tickers, each with whether it is open.
    keys
        The variables that the secret holds.
    problem
        Why it cannot be used; empty if it can.
    broken
        Other sources that are installed and cannot be used, each with the reason.
    """

    name: str
    mode: str = ""
    markets: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    problem: str = ""
    broken: tuple[str, ...] = ()


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
class MonitorFacts:
    """All that is judged. Keys are physical names; `functions` and the like hold every name that must be there.

    The second half is gathered for the doctor only.

    Parameters
    ----------
    now
        When the examination began; ages are as of then.
    deployment
        Its name in `monitor.toml`.
    until
        When it ended: what came meanwhile is not of the future. None for at once.
    aws
        Address of the local AWS; empty on AWS itself.
    aws_problem
        Why AWS does not respond; nothing else but programs and pages is known then.
    programs
        Process ids of the local monitor's programs; None for one that does not run.
    halted
        Process ids of those that a signal halted (SIGSTOP): they are there and do nothing.
    save_problem
        Why the local AWS could not save its data; empty if it could, and on AWS.
    just_deployed
        Whether the functions, or the local AWS, were started so lately that there may be no news of them yet.
    queues
        Messages that wait.
    mappings
        By the name of the function that they feed.
    subscribers
        Confirmed subscriptions of each topic.
    topic_keys
        Why the key of a topic keeps messages from it; empty if it does not.
    queue_policies
        Why the policy of a queue that a rule sends to keeps its messages away; empty if it does not.
    silent_alarms
        Alarms that would notify nobody.
    unseen
        What could not be examined, and why.
    last_poll
        Time of the scanner's last poll by its own clock; None if there was none.
    """

    now: datetime
    local: bool
    deployment: str = "prod"
    until: datetime | None = None
    aws: str = ""
    aws_problem: str = ""
    log_directory: str = ""
    market_open: bool = True
    just_deployed: bool = False
    programs: Mapping[str, int | None] = field(default_factory=dict)
    halted: tuple[int, ...] = ()
    save_problem: str = ""
    functions: Mapping[str, Function | None] = field(default_factory=dict)
    rules: Mapping[str, EventRule | None] = field(default_factory=dict)
    queues: Mapping[str, int | None] = field(default_factory=dict)
    tables: Mapping[str, TableFacts | None] = field(default_factory=dict)
    stream: Stream | None = field(default_factory=Stream)
    windows: Windows | None = None
    source: QuoteSource | None = None
    api: WebAddress | None = None
    dashboard: WebAddress | None = None
    outbox: WebAddress | None = None
    unseen: Mapping[str, str] = field(default_factory=dict)

    stacks: Mapping[str, str | None] = field(default_factory=dict)
    mappings: Mapping[str, SourceMapping | None] = field(default_factory=dict)
    parameters: Mapping[str, str | None] = field(default_factory=dict)
    buckets: Mapping[str, Bucket | None] = field(default_factory=dict)
    feed: FeedFacts | None = None
    last_poll: datetime | None = None
    subscribers: Mapping[str, int | None] = field(default_factory=dict)
    topic_keys: Mapping[str, str | None] = field(default_factory=dict)
    queue_policies: Mapping[str, str | None] = field(default_factory=dict)
    silent_alarms: tuple[str, ...] = ()
    denied: tuple[Denied, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    quarantined: int = 0
    errors: Mapping[str, LogErrors] = field(default_factory=dict)

    @property
    def redo(self) -> str:
        """The command that deploys what is not there yet, or failed."""
        return "make up" if self.local else f"stock-monitor deploy {self.deployment}"

    @property
    def restore(self) -> str:
        """The command that puts back what was deleted or changed outside of the stacks.

        CloudFormation guide, "Using drift-aware change sets": any other one compares templates alone.
        """
        return "make clean up" if self.local else f"{self.redo} --revert-drift"

    def seconds_ahead(self, at: datetime) -> float:
        """Return by how many seconds a time is ahead of the end of the examination; 0 if it is not."""
        return max(0.0, (at - (self.until or self.now)).total_seconds())

    def newest(self, times: Iterable[datetime]) -> datetime | None:
        """Return the newest time that a clock which was ahead did not leave; the newest of all where all are ahead."""
        found = sorted(times)
        return max((at for at in found if not self.is_ahead(at)), default=max(found, default=None))

    def is_ahead(self, at: datetime) -> bool:
        """Return whether a time is so far in the future that a wrong clock gave it."""
        return self.seconds_ahead(at) > CLOCK_ERROR_SECONDS
