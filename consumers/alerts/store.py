"""Reads and writes the table `stock-alerts`, whose items are described in `items`.

A batch of events changes alerts, series and the budget, and makes messages, in one transaction guarded by
their versions: whatever is delivered twice or concurrently has one effect. A message is then claimed for a
while, published, and marked. A crash between publishing and marking lets the claim run out, and the message
is published again: the one window in which it can go out twice (besides SNS, which may repeat one itself).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from consumers.alerts.cache import Book
from consumers.alerts.event import AlertEvent
from consumers.alerts.items import (
    MESSAGE_DAYS,
    Due,
    Item,
    Message,
    Stored,
    alert_key,
    budget_key,
    due_changes,
    expiry,
    make_message,
    market_key,
    message_key,
    moves_item,
    mute_item,
    mute_key,
    open_digest_key,
    put_state,
    series_key,
    series_of,
    state_of,
    text_of,
)
from consumers.alerts.model import Alert, Budget, Held, Market, Move, Mute, Series, scopes
from consumers.alerts.rendering.texts import Part

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


BATCHES = 100
"""Batches whose moves a market-wide alert looks at, the newest first."""
READS = WRITES = 100
"""Items that one BatchGetItem and one TransactWriteItems take."""
_K = TypeVar("_K")
_T = TypeVar("_T")


class ConflictError(Exception):
    """Someone else changed the same alert, series or budget in between: load again and decide anew."""


class TooManyWritesError(Exception):
    """What was decided at once does not fit into one transaction."""


class AlertStore:
    """Reads and writes the table. Every method raises botocore's `ClientError` as it comes."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def load(self, events: Sequence[AlertEvent]) -> Book:
        """What is remembered that matters for events, but for the moves around them; strongly consistent."""
        alerts = {event.anomaly.id: alert_key(event.anomaly.id) for event in events}
        series = {of: series_key(*of) for of in map(series_of, events)}
        classes = {of[0] for of in series}
        budgets = {class_: budget_key(class_) for class_ in classes}
        markets = {class_: market_key(class_) for class_ in classes}
        mutes = {scope: mute_key(scope) for of in series for scope in scopes(of[1], of[2])}
        groups: tuple[dict[Any, Item], ...] = (alerts, series, budgets, markets, mutes)
        found = self._find(key for group in groups for key in group.values())
        return Book(
            _states(alerts, found, Alert),
            _states(series, found, Series),
            _states(budgets, found, Budget),
            _states(markets, found, Market),
            {scope: _mute(found[_place(key)]) for scope, key in mutes.items() if _place(key) in found},
        )

    def load_alerts(self, anomaly_ids: Iterable[str]) -> dict[str, Alert]:
        """What is remembered of anomalies, each of them; strongly consistent."""
        keys = {id_: alert_key(id_) for id_ in anomaly_ids}
        return _states(keys, self._find(keys.values()), Alert)

    def load_moves(self, origin: str, since_ms: int, until_ms: int, now_ms: int) -> list[Move]:
        """Live anomalies of batches whose newest is of that time, the worst first; not those muted."""
        found = self._client.query(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :after AND :until",
            ExpressionAttributeValues={
                ":pk": {"S": f"moves#{origin}"},
                ":after": {"S": f"{since_ms:013d}"},
                ":until": {"S": f"{until_ms:013d}~"},
            },
            ScanIndexForward=False,
            Limit=BATCHES,
            ConsistentRead=True,
        )["Items"]
        moves = [move for item in found for move in msgspec.json.decode(item["moves"]["S"], type=list[Move])]
        mutes = [mute for mute in self.mutes() if mute.until_ms > now_ms] if moves else []
        heard = [move for move in moves if not any(mute.covers(move.ticker, move.kind) for mute in mutes)]
        return sorted(heard, key=lambda move: -move.rank)

    def note_moves(self, moves: dict[str, list[Move]], now_ms: int) -> None:
        """Remember the live anomalies of a batch, by their origin, for market-wide alerts."""
        items = [moves_item(class_, of, now_ms) for class_, of in moves.items()]
        wanted: Any = {self._table: [{"PutRequest": {"Item": item}} for item in items]}
        while wanted:
            wanted = self._client.batch_write_item(RequestItems=wanted).get("UnprocessedItems")

    def mutes(self) -> list[Mute]:
        """All mutes and acknowledgements, ended ones for a day too."""
        return [_mute(item) for item in self._query("mute", after="!")]

    def put_mute(self, mute: Mute) -> None:
        """Mute, in place of a mute of the same scope."""
        self._client.put_item(TableName=self._table, Item=mute_item(mute))

    def delete_mute(self, scope: str) -> bool:
        """Forget a mute; False if there was none."""
        answer = self._client.delete_item(TableName=self._table, Key=mute_key(scope), ReturnValues="ALL_OLD")
        return "Attributes" in answer

    def commit(self, before: Book, after: Book, messages: Iterable[Message], now_ms: int) -> None:
        """Write what was decided, all or nothing.

        Raises:
            ConflictError: `before` is no longer what the table holds.
            TooManyWritesError: these are more than one transaction takes; decide about fewer events at once.
        """
        writes: list[Item] = []
        for id_, alert in _changed(before.alerts, after.alerts, Alert()):
            writes.append(put_state(alert_key(id_), *alert, now_ms))
        for of, series in _changed(before.series, after.series, Series()):
            writes.append(put_state(series_key(*of), *series, now_ms))
            writes.extend(due_changes(of, *series, now_ms))
        for class_, budget in _changed(before.budgets, after.budgets, Budget()):
            writes.append(put_state(budget_key(class_), *budget, now_ms))
        for class_, market in _changed(before.markets, after.markets, Market()):
            writes.append(put_state(market_key(class_), *market, now_ms))
        writes.extend(_ended(mute) for scope, mute in before.mutes.items() if scope not in after.mutes)
        for message in messages:
            writes.extend(make_message(message, now_ms))
        if len(writes) > WRITES:
            raise TooManyWritesError(f"{len(writes)} writes: one transaction takes {WRITES}")
        if writes:
            self._transact(writes)

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
        stored = self.message(message.id, message.made_ms)
        return stored is not None and stored.status == "sent"

    def message(self, id_: str, made_ms: int) -> Stored | None:
        """A message by its id and when it was made; None once it has expired."""
        item = self._get(message_key(id_, made_ms))
        return None if item is None else Stored.of(item)

    def pending(self) -> list[Message]:
        """Messages that are not known to be sent, the oldest first."""
        return [msgspec.json.decode(item["message"]["S"], type=Message) for item in self._query("pending")]

    def messages(self, day: str, after_ms: int = -1) -> Iterator[Stored]:
        """The messages made on a UTC day after a moment (epoch ms), the oldest first."""
        for item in self._query(f"messages#{day}", after=f"{after_ms + 1:013d}"):
            yield Stored.of(item)

    def alert(self, anomaly_id: str) -> Alert | None:
        """What is remembered of an anomaly; None for nothing."""
        item = self._get(alert_key(anomaly_id))
        return None if item is None else state_of(item, Alert)

    def held(self, origin: str) -> Iterator[Due]:
        """Series that hold something for a digest, those that are due first at the head."""
        for item in self._query(f"due#{origin}"):
            yield Due(item["sk"]["S"], item["origin"]["S"], item["ticker"]["S"], item["kind"]["S"])

    def series(self, due: Due) -> Series:
        """What is remembered of a series, strongly consistent."""
        return state_of(self._get(series_key(due.origin, due.ticker, due.kind)), Series)

    def budget(self, origin: str) -> Budget:
        """When the messages of the last hour were made, strongly consistent."""
        return state_of(self._get(budget_key(origin)), Budget)

    def open_digest(self, origin: str) -> str | None:
        """The id of the digest that is being put together, if there is one."""
        item = self._get(open_digest_key(origin))
        return None if item is None else str(item["id"]["S"])

    def start_digest(self, origin: str, now_ms: int) -> str:
        """Begin a digest.

        Raises:
            ConflictError: someone else did.
        """
        digest_id = f"digest-{origin}-{now_ms}"
        item = {**open_digest_key(origin), "id": {"S": digest_id}, "parts": {"N": "0"}}
        self._transact([{"Put": {"Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}])
        return digest_id

    def move_to_digest(self, digest_id: str, due: Due, before: Series, after: Series, now_ms: int) -> None:
        """Move what a series holds into the open digest.

        Raises:
            ConflictError: the series changed, or the digest is no longer open.
        """
        part = {
            "pk": {"S": f"digest#{digest_id}"},
            "sk": {"S": f"{due.origin}#{due.ticker}#{due.kind}#{before.version}"},
            "held": {"S": text_of(Part(due.origin, due.ticker, due.kind, before.held or Held()))},
            "expires_at": expiry(now_ms, MESSAGE_DAYS),
        }
        self._transact(
            [
                put_state(series_key(due.origin, due.ticker, due.kind), before, after, now_ms),
                {"Delete": {"Key": due.key}},
                {"Put": {"Item": part}},
                {
                    "Update": {
                        "Key": open_digest_key(due.origin),
                        "UpdateExpression": "ADD parts :one",
                        "ConditionExpression": "id = :id",
                        "ExpressionAttributeValues": {":one": {"N": "1"}, ":id": {"S": digest_id}},
                    }
                },
            ]
        )

    def finish_digest(self, origin: str, digest_id: str, before: Budget, after: Budget, now_ms: int) -> None:
        """Make the message of the open digest; where another sweep took all its parts, only close it.

        Raises:
            ConflictError: someone else did, or the budget changed.
        """
        closing = {
            "Key": open_digest_key(origin),
            "ConditionExpression": "id = :id",
            "ExpressionAttributeValues": {":id": {"S": digest_id}},
        }
        writes: list[Item] = [{"Delete": closing}]
        if next(self.parts(digest_id), None) is not None:
            writes.append(put_state(budget_key(origin), before, after, now_ms))
            writes.extend(make_message(Message(digest_id, "digest", now_ms), now_ms))
        self._transact(writes)

    def parts(self, digest_id: str) -> Iterator[Part]:
        """The parts of a digest."""
        for item in self._query(f"digest#{digest_id}"):
            yield msgspec.json.decode(item["held"]["S"], type=Part)

    def forget_due(self, due: Due) -> None:
        """Drop an entry whose series holds nothing."""
        self._client.delete_item(TableName=self._table, Key=due.key)

    def _get(self, key: Item) -> Item | None:
        return self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")

    def _find(self, keys: Iterable[Item]) -> dict[tuple[str, str], Item]:
        found: dict[tuple[str, str], Item] = {}
        rest = list(keys)
        while rest:
            wanted: Any = {self._table: {"Keys": rest[:READS], "ConsistentRead": True}}
            answer = self._client.batch_get_item(RequestItems=wanted)
            found |= {_place(item): item for item in answer["Responses"].get(self._table, [])}
            unread: Any = answer.get("UnprocessedKeys") or {}
            rest = [*unread.get(self._table, {}).get("Keys", []), *rest[READS:]]
        return found

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


def _place(item: Item) -> tuple[str, str]:
    return item["pk"]["S"], item["sk"]["S"]


def _mute(item: Item) -> Mute:
    return msgspec.json.decode(item["mute"]["S"], type=Mute)


def _states(keys: dict[_K, Item], found: dict[tuple[str, str], Item], type_: type[_T]) -> dict[_K, _T]:
    return {name: state_of(found.get(_place(key)), type_) for name, key in keys.items()}


def _changed(before: dict[_K, _T], after: dict[_K, _T], new: _T) -> Iterator[tuple[_K, tuple[_T, _T]]]:
    for name, state in after.items():
        if state != (earlier := before.get(name, new)):
            yield name, (earlier, state)


def _ended(mute: Mute) -> Item:
    return {  # another one that took its place meanwhile stays
        "Delete": {
            "Key": mute_key(mute.scope),
            "ConditionExpression": "attribute_not_exists(pk) OR mute = :mute",
            "ExpressionAttributeValues": {":mute": {"S": text_of(mute)}},
        }
    }
