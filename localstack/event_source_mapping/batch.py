"""The life of one batch, as pure functions: what an invocation's outcome means for its records.

Sources: the Lambda guide's "Configuring partial batch response with Kinesis Data Streams and Lambda" and
"Retain discarded batch records for a Kinesis Data Streams event source in Lambda", and recordings of AWS.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from localstack.event_source_mapping.partial_response import first_failure, is_malformed
from localstack.event_source_mapping.records import ShardRecord
from localstack.event_source_mapping.settings import MappingSettings

Condition = Literal["RetryAttemptsExhausted", "RecordAgeExceeded"]

_FIRST_DELAY_SECONDS = 0.25
_LONGEST_DELAY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class InvocationOutcome:
    """How one invocation went.

    `kind` is "answered" (the function returned), "failed" (it was invoked and failed) or "not_invoked"
    (throttled, not found, endpoint away): AWS counts only the first two as invocations and retries.
    """

    kind: Literal["answered", "failed", "not_invoked"]
    payload: bytes = b""
    function_error: str | None = None
    status_code: int = 200
    executed_version: str = "$LATEST"
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that are invoked together, what became of them so far, and when to try them next.

    `retries` counts against MaximumRetryAttempts; `invokes` is the `approximateInvokeCount` of a failure
    message; `rejections` are the attempts since the last invocation that did not reach the function.
    """

    records: tuple[ShardRecord, ...]
    retries: int = 0
    invokes: int = 0
    rejections: int = 0
    not_before: float = 0.0
    last: InvocationOutcome | None = None


class Discarded(NamedTuple):
    """Discarded records: they go to the on-failure destination. `batch` says how often they were tried."""

    records: tuple[ShardRecord, ...]
    condition: Condition
    batch: Batch


class Settled(NamedTuple):
    """What follows from one outcome: records finished, discarded records, batches to try next in order."""

    done: tuple[ShardRecord, ...] = ()
    discarded: Discarded | None = None
    next_batches: tuple[Batch, ...] = ()


def retry_delay(attempt: int) -> float:
    """Seconds from the start of attempt number `attempt` (0, 1, ...) to the start of the next one.

    It doubles from 0.25 s up to 30 s. AWS publishes no figures; a recording shows 8 invocations of a record
    that expires after 60 s, and this schedule starts its eighth after 32 s and its ninth after 62 s.
    """
    return float(min(_FIRST_DELAY_SECONDS * 2 ** min(attempt, 16), _LONGEST_DELAY_SECONDS))


def settle(batch: Batch, outcome: InvocationOutcome, settings: MappingSettings, started: float) -> Settled:
    """Decide about a batch after an invocation that started at `started` (seconds, any clock)."""
    if outcome.kind == "not_invoked":
        wait = started + retry_delay(batch.rejections)
        return Settled(next_batches=(replace(batch, rejections=batch.rejections + 1, not_before=wait),))
    tried = replace(batch, invokes=batch.invokes + 1, rejections=0, last=outcome)
    if outcome.kind == "failed":
        return _after_failure(tried, settings, started, may_bisect=True)
    failed_at = first_failure(outcome.payload, batch.records) if settings.report_batch_item_failures else None
    if failed_at is None:
        return Settled(done=batch.records)
    if failed_at > 0:
        # The checkpoint moves up to the failed record: what remains is a new batch with a full quota.
        rest = Batch(batch.records[failed_at:], not_before=started)
        return Settled(done=batch.records[:failed_at], next_batches=(rest,))
    malformed = is_malformed(outcome.payload, batch.records)
    return _after_failure(tried, settings, started, may_bisect=malformed)


def _after_failure(tried: Batch, settings: MappingSettings, started: float, *, may_bisect: bool) -> Settled:
    if settings.bisect_on_error and may_bisect and len(tried.records) > 1:
        middle = len(tried.records) // 2
        halves = (tried.records[:middle], tried.records[middle:])
        return Settled(next_batches=tuple(Batch(half, not_before=started) for half in halves))
    if 0 <= settings.maximum_retry_attempts <= tried.retries:
        return Settled(discarded=Discarded(tried.records, "RetryAttemptsExhausted", tried))
    retry = replace(tried, retries=tried.retries + 1, not_before=started + retry_delay(tried.retries))
    return Settled(next_batches=(retry,))


def split_expired(
    batch: Batch, settings: MappingSettings, now: float
) -> tuple[Discarded | None, Batch | None]:
    """Take the records out that are older than MaximumRecordAgeInSeconds.

    Records of a shard age in order, so the expired ones are the first ones. `now` is epoch seconds.
    """
    if settings.maximum_record_age < 0:
        return None, batch
    oldest = now - settings.maximum_record_age
    count = next((i for i, r in enumerate(batch.records) if r.arrival > oldest), len(batch.records))
    if not count:
        return None, batch
    rest = batch.records[count:]
    expired = Discarded(batch.records[:count], "RecordAgeExceeded", batch)
    return expired, replace(batch, records=rest) if rest else None
