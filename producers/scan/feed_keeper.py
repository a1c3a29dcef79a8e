"""Keeps what is known of the feed in DynamoDB, and puts its events on the bus `stock-market`.

The item has pk `scan#feed` and sk `feed`. `state` is for the scanner; the other attributes are for `status`
and `doctor`: source, breaker, failing (why the last poll failed), late (why the last scan skipped polls), stale_since,
stale_tickers, last_error, updated. A state of tens of thousands of tickers is more than an item takes: its further
parts are items of their own, sk `feed/1` and so on, and `parts` and `checksum` say what belongs together.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from producers.feed_problem import KEY
from producers.origin import origin_of
from producers.quote_batch import QuoteBatch
from producers.scan.lease import MAX_AHEAD_MS
from producers.scan.staleness import FeedEvent, FeedMemory, FeedWatch
from producers.scan.warm_up import WarmUpMemory
from producers.source import Source
from producers.vendor_state import VendorState

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

EVENT_SOURCE = "stock-monitor"
_EVENTS_PER_CALL = 10
_PART_BYTES = 350_000
_ERROR_CHARACTERS = 1_000
_CHANGES_AT_ONCE = 2  # of a scan: the state of a long watch list is large, and a source may flap


@runtime_checkable
class HasVendorState(Protocol):
    """A source whose vendor has limits that outlast a process."""

    vendor_state: VendorState


class _Kept(msgspec.Struct):
    memory: FeedMemory
    vendor_state: VendorState | None = None
    pending: list[FeedEvent] = []
    warm_up: WarmUpMemory | None = None


class FeedKeeper:
    """Watches one feed during a scan: its memory and its events.

    An event that cannot be sent waits in the memory and is sent with the next poll or scan.
    """

    def __init__(self, dynamodb: DynamoDBClient, table: str, events: EventBridgeClient, bus: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._events = events
        self._bus = bus
        self._source: Source | None = None
        self._watch = FeedWatch("", FeedMemory())
        self._pending: list[FeedEvent] = []
        self.problem: str | None = None
        """Why events wait, if some do."""
        self._failing = ""
        self._changes = 0
        self.late = ""
        """Why polls were skipped by the last scan, if some were."""
        self.warm_up = WarmUpMemory()
        """What is known of the past of live tickers, whatever their source."""

    def begin(self, name: str, source: Source, now_ms: int) -> None:
        """Restore what is known of the feed of the source `name`, and give the source its vendor's state.

        What was last observed in the future, by a clock that has been set right, is forgotten.
        """
        answer = self._dynamodb.get_item(TableName=self._table, Key=KEY, ConsistentRead=True)
        kept = self._decoded(answer.get("Item"))
        said = {name: answer.get("Item", {}).get(name, {}).get("S", "") for name in ("failing", "late")}
        self._failing, self.late, self._changes = said["failing"], said["late"], 0
        if kept.memory.observed_ms > now_ms + MAX_AHEAD_MS:
            kept = _Kept(FeedMemory(), pending=kept.pending)
        self._source = source
        self._watch = FeedWatch(name, kept.memory)
        self._pending = kept.pending
        self.warm_up = kept.warm_up or _warm_up_before(kept.memory)
        if isinstance(source, HasVendorState) and kept.vendor_state and kept.memory.source == name:
            source.vendor_state = kept.vendor_state

    def observe(
        self,
        watched: Sequence[str],
        batch: QuoteBatch | None,
        now_ms: int,
        *,
        expected: Collection[str] | None = None,
        staleness_factor: float = 1.0,
        why: str = "",
    ) -> list[int]:
        """Record a poll and send its events; return the rows that are observations.

        The parameters are those of `FeedWatch.observe`.
        """
        seen = self._watch.observe(
            watched, batch, now_ms, expected=expected, staleness_factor=staleness_factor, why=why
        )
        self._pending += seen.events
        self.problem = self._send()
        if seen.events:
            self.save(now_ms)  # at once, so that a scan that is killed does not say it again
        return seen.rows

    def record_poll(self, why: str, now_ms: int) -> None:
        """Record why a poll failed, or "" for one that did not; `status` and `doctor` are to know a change at once."""
        has_changed = bool(why) != bool(self._failing)
        self._failing = why
        if has_changed and self._changes < _CHANGES_AT_ONCE:
            self._changes += 1
            self.save(now_ms)

    def save(self, now_ms: int) -> None:
        """Store what is known."""
        memory, vendor = self._watch.memory, self._vendor_state
        kept = _Kept(memory, vendor, self._pending, self.warm_up)
        state = zlib.compress(msgspec.msgpack.encode(kept), 6)
        parts = [state[at : at + _PART_BYTES] for at in range(0, len(state), _PART_BYTES)]
        for number, part in enumerate(parts[1:], 1):
            self._dynamodb.put_item(TableName=self._table, Item={**_part_key(number), "state": {"B": part}})
        item: dict[str, Any] = {
            **KEY,
            "state": {"B": parts[0]},
            "parts": {"N": str(len(parts))},
            "checksum": {"N": str(zlib.crc32(state))},
            "source": {"S": memory.source},
            "stale_tickers": {"N": str(len(memory.stale_tickers))},
            "breaker": {"S": vendor.breaker(now_ms) if vendor else "closed"},
            "last_error": {"S": vendor.last_error[:_ERROR_CHARACTERS] if vendor else ""},
            "updated": {"S": _iso(now_ms)},
        }
        if self._failing:
            item["failing"] = {"S": self._failing[:_ERROR_CHARACTERS]}
        if self.late:
            item["late"] = {"S": self.late}
        if memory.stale_since_ms:
            item["stale_since"] = {"S": _iso(memory.stale_since_ms)}
        self._dynamodb.put_item(TableName=self._table, Item=item)

    def record_unusable(self, name: str, why: str, now_ms: int) -> None:
        """Record for `status` and `doctor` that the source `name` cannot be used, and why; keep the rest."""
        self._dynamodb.update_item(
            TableName=self._table,
            Key=KEY,
            UpdateExpression="SET #source = :source, last_error = :why, failing = :why, updated = :now",
            ExpressionAttributeNames={"#source": "source"},
            ExpressionAttributeValues={
                ":source": {"S": name},
                ":why": {"S": why[:_ERROR_CHARACTERS]},
                ":now": {"S": _iso(now_ms)},
            },
        )

    def report(self, now_ms: int) -> dict[str, Any]:
        """Return the feed's state for the report of a scan."""
        memory, vendor = self._watch.memory, self._vendor_state
        stale = memory.stale_tickers
        return {
            "source": memory.source,
            "breaker": vendor.breaker(now_ms) if vendor else "closed",
            "last_error": vendor.last_error if vendor else "",
            "stale_since": _iso(memory.stale_since_ms) if memory.stale_since_ms else None,
            "stale_tickers": stale[:100],
            "stale_ticker_count": len(stale),
        }

    @property
    def _vendor_state(self) -> VendorState | None:
        return self._source.vendor_state if isinstance(self._source, HasVendorState) else None

    def _decoded(self, item: Any) -> _Kept:
        if item is None or "state" not in item:
            return _Kept(FeedMemory())
        state = b"".join(
            [item["state"]["B"], *map(self._part, range(1, int(item.get("parts", {"N": "1"})["N"])))]
        )
        if "checksum" in item and zlib.crc32(state) != int(item["checksum"]["N"]):
            return _Kept(FeedMemory())  # a scan was killed between two parts: begin anew
        try:
            return msgspec.msgpack.decode(zlib.decompress(state), type=_Kept)
        except (msgspec.MsgspecError, zlib.error):  # written by another version: begin anew
            return _Kept(FeedMemory())

    def _part(self, number: int) -> bytes:
        answer = self._dynamodb.get_item(TableName=self._table, Key=_part_key(number), ConsistentRead=True)
        return bytes(answer.get("Item", {"state": {"B": b""}})["state"]["B"])

    def _send(self) -> str | None:
        while self._pending:
            now = self._pending[:_EVENTS_PER_CALL]
            try:
                answer = self._events.put_events(Entries=[self._entry(event) for event in now])
            except (ClientError, BotoCoreError) as error:
                return f"events of the feed wait, bus {self._bus} does not take them: {error}"
            results = answer["Entries"]
            failed = [event for event, result in zip(now, results, strict=True) if "ErrorCode" in result]
            self._pending[: len(now)] = failed
            if failed:
                why = next(result["ErrorMessage"] for result in results if "ErrorCode" in result)
                return f"events of the feed wait, bus {self._bus} does not take them: {why}"
        return None

    def _entry(self, event: FeedEvent) -> PutEventsRequestEntryTypeDef:
        return {
            "EventBusName": self._bus,
            "Source": EVENT_SOURCE,
            "DetailType": event.detail_type,
            "Detail": json.dumps(event.detail(), separators=(",", ":"), sort_keys=True),
            "Time": datetime.fromtimestamp(event.at_ms / 1000, UTC),
        }


def _part_key(number: int) -> dict[str, Any]:
    return {"pk": KEY["pk"], "sk": {"S": f"{KEY['sk']['S']}/{number}"}}


def _warm_up_before(memory: FeedMemory) -> WarmUpMemory:
    """Return what is known of tickers that were watched before warm-ups were remembered."""
    if origin_of(memory.source) != "live":
        return WarmUpMemory()
    return WarmUpMemory(dict.fromkeys(memory.tickers, memory.observed_ms))


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
