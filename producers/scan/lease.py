"""One scan at a time: a lease in DynamoDB, and with it the time of the last poll.

Times far ahead of the clock are not believed: the clock of an earlier scan was ahead, and has been set right.

A poll reserves its time on the lease before it asks the source: the reservation fails when another scan has
taken over, and times grow over all scans. A poll that takes long prolongs the lease meanwhile. So ticks of a symbol
grow strictly even when scans overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from producers.errors import MonitorError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_AHEAD_MS = 4_000  # the detector rejects ticks that are more than 5 s ahead of their arrival


class LeaseLostError(MonitorError):
    """Another scan holds the lease now."""


class Lease:
    """The right to scan, held by `owner` until it is released or runs out.

    The item has pk `scan#lease`, sk `lease`, and the attributes `owner`, `until_ms` and `last_ts`
    (epoch ms of the last poll by any scan).
    """

    def __init__(self, client: DynamoDBClient, table: str, owner: str, duration_ms: int) -> None:
        self._client = client
        self._table = table
        self._owner = owner
        self._duration_ms = duration_ms
        self._until_ms = 0
        self.last_ts = 0
        self.correction: str | None = None
        """What was corrected of the times that a clock left which was ahead."""

    def acquire(self, now_ms: int) -> bool:
        """Take the lease, unless another scan holds it."""
        answer = self._update(
            "SET #owner = :owner, until_ms = :until",
            "attribute_not_exists(until_ms) OR until_ms < :now OR until_ms > :latest",
            {
                ":until": now_ms + self._duration_ms,
                ":now": now_ms,
                ":latest": now_ms + self._duration_ms + MAX_AHEAD_MS,
            },
        )
        if answer is None:
            return False
        self.last_ts = int(answer["Attributes"].get("last_ts", {"N": "0"})["N"])
        self._correct(now_ms)
        return True

    def reserve(self, now_ms: int, ts_ms: int | None = None) -> int:
        """Return the time of the next poll: now, or just after the last poll; prolongs the lease.

        With `ts_ms` the times up to it are reserved instead.

        Raises
        ------
        LeaseLostError
            If another scan holds the lease.
        """
        self._correct(now_ms)
        ts = max(now_ms, self.last_ts + 1) if ts_ms is None else ts_ms
        answer = self._update(
            "SET until_ms = :until, last_ts = :ts",
            "#owner = :owner",
            {":until": now_ms + self._duration_ms, ":ts": ts},
        )
        if answer is None:
            raise LeaseLostError("another scan holds the lease")
        self.last_ts, self._until_ms = ts, now_ms + self._duration_ms
        return ts

    @contextmanager
    def kept(self, clock_ms: Callable[[], int]) -> Iterator[None]:
        """Prolong the lease for as long as the block takes: it runs out only when the scan has died.

        Raises
        ------
        LeaseLostError
            If another scan holds it at the end of the block all the same, as the clock says that it ran out.
        """
        is_over = Event()
        beats = Thread(target=self._prolong_until, args=(is_over, clock_ms), daemon=True)
        beats.start()
        try:
            yield
        finally:
            is_over.set()
            beats.join()
        if clock_ms() >= self._until_ms:
            self.reserve(clock_ms(), self.last_ts)

    def _prolong_until(self, is_over: Event, clock_ms: Callable[[], int]) -> None:
        while not is_over.wait(self._duration_ms / 3000):
            try:
                self.reserve(clock_ms(), self.last_ts)
            except (LeaseLostError, ClientError, BotoCoreError):
                return  # the end of the block finds it out, and raises

    def release(self) -> None:
        """Release the lease, if it is still held."""
        self._update("SET until_ms = :zero", "#owner = :owner", {":zero": 0})

    def _correct(self, now_ms: int) -> None:
        """Go on from `now_ms` if the last poll lies too far ahead of it for the detector to take what follows."""
        if self.last_ts + 1 - now_ms > MAX_AHEAD_MS:
            self.correction = (
                f"the last poll was at {self.last_ts}, {self.last_ts - now_ms} ms ahead of this clock; must be at most"
                f" {MAX_AHEAD_MS}: its clock was wrong, polls go on from {now_ms}"
            )
            self.last_ts = now_ms - 1

    def _update(self, update: str, condition: str, numbers: dict[str, int]) -> Any:
        try:
            return self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": "scan#lease"}, "sk": {"S": "lease"}},
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues={
                    ":owner": {"S": self._owner},
                    **{name: {"N": str(number)} for name, number in numbers.items()},
                },
                ReturnValues="ALL_NEW",
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return None
