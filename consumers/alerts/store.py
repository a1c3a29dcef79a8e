"""Reads and writes the table `stock-alerts`, whose items are described in `items`.

An event changes its alert, its series and the budget, and makes its message, in one transaction guarded by
their versions: whatever is delivered twice or concurrently has one effect. A message is then claimed for a
while, published, and marked. A crash between publishing and marking lets the claim run out, and the message
is published again: the one window in which it can go out twice (besides SNS, which may repeat one itself).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from consumers.alerts.event import AlertEvent
from consumers.alerts.items import (
    BUDGET_KEY,
    MESSAGE_DAYS,
    OPEN_DIGEST_KEY,
    Due,
    Item,
    Message,
    Sent,
    alert_key,
    due_changes,
    expiry,
    make_message,
    put_state,
    series_key,
    series_of,
    state_of,
    text_of,
)
from consumers.alerts.life import Alert, Budget, Decision, Held, Series, State
from consumers.alerts.texts import Part

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class ConflictError(Exception):
    """Someone else changed the same alert, series or budget in between: load again and decide anew."""


class AlertStore:
    """Reads and writes the table. Every method raises botocore's `ClientError` as it comes."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def load(self, event: AlertEvent) -> State:
        """What is remembered that matters for an event, strongly consistent."""
        keys = [alert_key(event), series_key(*series_of(event)), BUDGET_KEY]
        found = {(item["pk"]["S"], item["sk"]["S"]): item for item in self._batch_get(keys)}
        alert, series, budget = (found.get((key["pk"]["S"], key["sk"]["S"])) for key in keys)
        return State(state_of(alert, Alert), state_of(series, Series), state_of(budget, Budget))

    def commit(self, event: AlertEvent, before: State, decision: Decision, now_ms: int) -> Message | None:
        """Write what was decided, all or nothing.

        Raises:
            ConflictError: `before` is no longer what the table holds.
        """
        after = decision.state
        writes = [put_state(alert_key(event), before.alert, after.alert, now_ms)]
        if after.series != before.series:
            writes.append(put_state(series_key(*series_of(event)), before.series, after.series, now_ms))
            writes.extend(due_changes(event, before.series, after.series, now_ms))
        if after.budget != before.budget:
            writes.append(put_state(BUDGET_KEY, before.budget, after.budget, now_ms))
        message = None
        if decision.message is not None:
            message = Message.of(decision.message, event, now_ms)
            writes.extend(make_message(message, now_ms))
        self._transact(writes)
        return message

    def claim(self, message: Message, now_ms: int, lease_ms: int) -> bool:
        """Reserve the right to publish a message until the lease ends; False if it is sent or reserved."""
        return self._update(
            message,
            "SET #status = :publishing, lease_until = :until ADD attempts :one",
            "#status = :pending OR (#status = :publishing AND lease_until < :now)",
            {
                ":publishing": {"S": "publishing"},
                ":pending": {"S": "pending"},
                ":until": {"N": str(now_ms + lease_ms)},
                ":now": {"N": str(now_ms)},
                ":one": {"N": "1"},
            },
        )

    def give_back(self, message: Message) -> None:
        """A claimed message was not published: let the next one try at once."""
        self._update(
            message,
            "SET #status = :pending REMOVE lease_until",
            "#status = :publishing",
            {":publishing": {"S": "publishing"}, ":pending": {"S": "pending"}},
        )

    def mark_sent(self, message: Message, subject: str, sns_id: str, now_ms: int) -> None:
        """A message is published."""
        self._update(
            message,
            "SET #status = :sent, sent_ms = :now, subject = :subject, sns_id = :id REMOVE lease_until",
            "attribute_exists(pk)",
            {
                ":sent": {"S": "sent"},
                ":now": {"N": str(now_ms)},
                ":subject": {"S": subject},
                ":id": {"S": sns_id},
            },
        )
        self.forget_pending(message)

    def forget_pending(self, message: Message) -> None:
        """Take a message that is sent off the list of pending ones."""
        self._client.delete_item(TableName=self._table, Key=message.pending_key)

    def is_sent(self, message: Message) -> bool:
        """Whether a message was marked as sent."""
        item = self._get(message.key)
        return item is not None and item["status"]["S"] == "sent"

    def pending(self) -> list[Message]:
        """Messages that are not known to be sent, the oldest first."""
        return [msgspec.json.decode(item["message"]["S"], type=Message) for item in self._query("pending")]

    def sent(self, day: str, after_ms: int = -1) -> Iterator[Sent]:
        """The messages made on a UTC day after a moment (epoch ms) that are sent, the oldest first."""
        for item in self._query(f"messages#{day}", after=f"{after_ms + 1:013d}"):
            if item["status"]["S"] == "sent":
                message = msgspec.json.decode(item["message"]["S"], type=Message)
                yield Sent(message.id, message.kind, int(item["sent_ms"]["N"]), item["subject"]["S"])

    def due(self, now_ms: int) -> Iterator[Due]:
        """Series whose held anomalies are due, the longest waiting first."""
        for item in self._query("due", until=f"{now_ms:013d}#~"):
            yield Due(item["sk"]["S"], item["source_class"]["S"], item["ticker"]["S"], item["kind"]["S"])

    def series(self, due: Due) -> Series:
        """What is remembered of a series, strongly consistent."""
        return state_of(self._get(series_key(due.source_class, due.ticker, due.kind)), Series)

    def budget(self) -> Budget:
        """When the messages of the last hour were made, strongly consistent."""
        return state_of(self._get(BUDGET_KEY), Budget)

    def open_digest(self) -> str | None:
        """The id of the digest that is being put together, if there is one."""
        item = self._get(OPEN_DIGEST_KEY)
        return None if item is None else str(item["id"]["S"])

    def start_digest(self, now_ms: int) -> str:
        """Begin a digest.

        Raises:
            ConflictError: someone else did.
        """
        digest_id = f"digest-{now_ms}"
        item = {**OPEN_DIGEST_KEY, "id": {"S": digest_id}, "parts": {"N": "0"}}
        self._transact([{"Put": {"Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}])
        return digest_id

    def move_to_digest(self, digest_id: str, due: Due, before: Series, after: Series, now_ms: int) -> None:
        """Move what a series holds into the open digest.

        Raises:
            ConflictError: the series changed, or the digest is no longer open.
        """
        part = {
            "pk": {"S": f"digest#{digest_id}"},
            "sk": {"S": f"{due.source_class}#{due.ticker}#{due.kind}#{before.version}"},
            "held": {"S": text_of(Part(due.source_class, due.ticker, due.kind, before.held or Held()))},
            "expires_at": expiry(now_ms, MESSAGE_DAYS),
        }
        self._transact(
            [
                put_state(series_key(due.source_class, due.ticker, due.kind), before, after, now_ms),
                {"Delete": {"Key": {"pk": {"S": "due"}, "sk": {"S": due.sk}}}},
                {"Put": {"Item": part}},
                {
                    "Update": {
                        "Key": OPEN_DIGEST_KEY,
                        "UpdateExpression": "ADD parts :one",
                        "ConditionExpression": "id = :id",
                        "ExpressionAttributeValues": {":one": {"N": "1"}, ":id": {"S": digest_id}},
                    }
                },
            ]
        )

    def finish_digest(self, digest_id: str, before: Budget, after: Budget, now_ms: int) -> None:
        """Make the message of the open digest.

        Raises:
            ConflictError: someone else did, or the budget changed.
        """
        message = Message(digest_id, "digest", now_ms)
        closing = {
            "Key": OPEN_DIGEST_KEY,
            "ConditionExpression": "id = :id",
            "ExpressionAttributeValues": {":id": {"S": digest_id}},
        }
        budget = put_state(BUDGET_KEY, before, after, now_ms)
        self._transact([{"Delete": closing}, budget, *make_message(message, now_ms)])

    def parts(self, digest_id: str) -> Iterator[Part]:
        """The parts of a digest."""
        for item in self._query(f"digest#{digest_id}"):
            yield msgspec.json.decode(item["held"]["S"], type=Part)

    def forget_due(self, due: Due) -> None:
        """Drop an entry whose series holds nothing."""
        self._client.delete_item(TableName=self._table, Key={"pk": {"S": "due"}, "sk": {"S": due.sk}})

    def _get(self, key: Item) -> Item | None:
        return self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")

    def _batch_get(self, keys: list[Item]) -> Iterable[Item]:
        wanted: Any = {self._table: {"Keys": keys, "ConsistentRead": True}}
        while wanted:
            answer = self._client.batch_get_item(RequestItems=wanted)
            yield from answer["Responses"].get(self._table, [])
            wanted = answer.get("UnprocessedKeys")

    def _query(self, pk: str, *, after: str = "0", until: str = "~") -> Iterator[Item]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :after AND :until",
            ExpressionAttributeValues={":pk": {"S": pk}, ":after": {"S": after}, ":until": {"S": until}},
            ConsistentRead=True,
        )
        for page in pages:
            yield from page["Items"]

    def _update(self, message: Message, update: str, condition: str, values: Item) -> bool:
        try:
            self._client.update_item(
                TableName=self._table,
                Key=message.key,
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues=values,
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _transact(self, writes: list[Item]) -> None:
        for write in writes:
            next(iter(write.values()))["TableName"] = self._table
        try:
            self._client.transact_write_items(TransactItems=writes)  # type: ignore[arg-type]
        except self._client.exceptions.TransactionCanceledException as error:
            codes = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
            if codes & {"ConditionalCheckFailed", "TransactionConflict"}:
                raise ConflictError(str(error)) from error
            raise
