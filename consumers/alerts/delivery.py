"""Gets a message into its channels: each (message, channel) is claimed, sent and marked on its own.

One function at a time sends to a channel outside AWS; whoever has that turn sends what others made for it meanwhile, so
that a channel that hangs holds one function (docs/decisions/0023-a-channel-s-turn.md). When a channel can get a
message twice stands in docs/alerts.md.
"""

from __future__ import annotations

import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from consumers.alerts.channels import ChannelError
from consumers.alerts.model import HOUR_MS, MINUTE_MS, Delivery, Message, Pending
from consumers.alerts.places import pending_place
from consumers.alerts.policy import Policy
from consumers.alerts.settings import AlertSettings
from consumers.alerts.store import AlertStore
from consumers.alerts.table import ConflictError
from consumers.contracts.wording import one_line

LEASE_MS = 120_000
"""How long a claim lasts: twice the function's timeout, so that its owner is surely gone."""
WRITE_ATTEMPTS = 3
"""Tries to write a claim, and to mark what was sent."""
RETRY_MS = 30_000
CRITICAL_RETRY_MS = 10_000
"""How long a channel that failed a critical message is left alone by the next: one that hangs takes seconds to fail."""
LONGEST_RETRY_MS = 15 * 60_000
LONGEST_WISH_MS = HOUR_MS
"""A channel that wants to be left alone for longer is tried all the same: what it says may be wrong."""
GIVE_UP_MS = 24 * HOUR_MS
"""A message that a channel does not take for this long is a dead letter."""
LONGEST_TURN_MS = 5_000
"""After so long whoever has a channel's turn leaves what others made for it to them, and to the sweep."""

Send = Callable[[str, Message, AlertSettings], str]
"""Sends a message through the channel of a name; returns a receipt.

Raises `ChannelError`, or botocore's errors.
"""
DeadLetter = Callable[[Message, Delivery], None]
Run = Callable[[Callable[[Any], int], Iterable[Any]], Iterable[int]]
"""`map`, or one that runs the calls side by side."""


@dataclass
class Deliverer:
    """Delivers messages, at once or again.

    Attributes
    ----------
    clock
        Returns the time now, epoch ms UTC.
    dead_letter
        Takes what a channel will never take.
    pause
        Waits before the next try of a write.
    owner
        Distinguishes the claims of this process from those of all others.
    """

    store: AlertStore
    send: Send
    dead_letter: DeadLetter
    clock: Callable[[], int]
    run: Run
    pause: Callable[[int], None]
    owner: str
    _failed_ms: dict[tuple[str, bool], int] = field(default_factory=dict)

    def deliver(self, messages: Iterable[Message], policy: Policy) -> int:
        """Send messages that were just made; return how many sends were taken.

        What fails stays pending. A channel that failed lately is left to the sweep, so that it delays no other; a
        critical message is tried all the same, unless another one just failed there.
        """
        now_ms = self.clock()
        by_channel: dict[str, list[Message]] = defaultdict(list)
        for message in messages:
            for channel in message.channels:
                if not self._is_left_alone(channel, message, now_ms):
                    by_channel[channel].append(message)

        def send_to(channel: str) -> int:
            of_it = by_channel[channel]
            send = partial(self._first, channel=channel, settings=policy.settings)
            with suppress(ClientError, BotoCoreError):  # of the table: they are pending
                return self._in_turn(channel, lambda: sum(self.run(send, of_it)), policy)
            return 0

        return sum(self.run(send_to, by_channel))

    def again(self, pending: Pending, policy: Policy) -> bool:
        """Try a pending delivery if it is its time, and nothing silences it; return whether it was taken now.

        Raises
        ------
        ClientError, BotoCoreError
            Of the table.
        """
        due = self._due(pending, policy)
        return due is not None and bool(self._in_turn(pending.channel, due, policy))

    def _due(self, pending: Pending, policy: Policy) -> Callable[[], bool] | None:
        """Return what tries a pending delivery; None where there is nothing to try, or not yet."""
        now_ms, message = self.clock(), self.store.message(pending.message_id, pending.made_ms)
        if message is not None and (
            policy.suppresses(message) or self._is_left_alone(pending.channel, message, now_ms)
        ):
            return None
        found = self.store.delivery(pending)
        if found is None or message is None or found[0].status in {"sent", "failed"}:
            self.store.forget(pending_place(pending))
            return None
        is_due = found[0].next_ms <= now_ms
        return partial(self._attempt, message, pending, *found, policy.settings) if is_due else None

    def _in_turn(self, channel: str, send: Callable[[], int], policy: Policy) -> int:
        """Send in a channel's turn, and then what others made for it meanwhile; nothing where another has the turn."""
        if not policy.settings.is_outside(channel):
            return send()
        turn = self.store.take_turn(channel, self.owner, self.clock())
        if not turn:
            return 0
        until_ms, sent = self.clock() + LONGEST_TURN_MS, 0
        try:
            sent = send()
        finally:
            with suppress(ClientError, BotoCoreError):  # of the table: the turn runs out, the sweep goes on
                while turn := self.store.end_turn(channel, self.owner, turn, self.clock()):
                    if self.clock() < until_ms:
                        self._send_rest(channel, policy)
        return sent

    def _is_left_alone(self, channel: str, message: Message, now_ms: int) -> bool:
        """Return whether a channel failed lately; for a critical message, whether it failed another one."""
        is_critical = _is_critical(message)
        failed = [self._failed_ms.get((channel, by_critical), 0) for by_critical in {is_critical, True}]
        rest_ms = CRITICAL_RETRY_MS if is_critical else RETRY_MS
        return any(0 <= now_ms - at_ms < rest_ms for at_ms in failed)

    def _send_rest(self, channel: str, policy: Policy) -> None:
        """Send what was made for a channel lately and is not sent; what is older is the sweep's."""
        lately = self.store.pending(self.clock() - MINUTE_MS)
        rest = [one for one in lately if one.channel == channel]

        def send(pending: Pending) -> bool:
            due = self._due(pending, policy)
            return due is not None and due()

        list(self.run(send, rest))

    def _first(self, message: Message, channel: str, settings: AlertSettings) -> bool:
        pending = Pending(message.id, message.made_ms, channel)
        try:
            return self._attempt(message, pending, Delivery(channel), 1, settings)
        except (ClientError, BotoCoreError):
            return False  # of the table: the message is written, a sweep finds it pending

    def _attempt(
        self, message: Message, pending: Pending, delivery: Delivery, version: int, settings: AlertSettings
    ) -> bool:
        until_ms = self.clock() + LEASE_MS
        attempts = delivery.attempts + 1
        claimed = replace(
            delivery, status="sending", attempts=attempts, next_ms=until_ms, claimed_by=self.owner
        )
        if not self._written(pending, claimed, version):
            return False  # another function has it
        after = self._outcome(message, claimed, settings)
        if after.status == "failed":
            self.dead_letter(message, after)
        self._written(pending, after, version + 1)
        return after.status == "sent"

    def _written(self, pending: Pending, delivery: Delivery, version: int) -> bool:
        """Write a delivery over a version of it; return whether it holds now, though an answer may have been lost."""
        for attempt in range(1, WRITE_ATTEMPTS + 1):
            try:
                self.store.put_delivery(pending, delivery, version, self.clock())
            except ConflictError:
                found = self.store.delivery(pending)
                return found is not None and found[0] == delivery
            except (ClientError, BotoCoreError):
                if attempt == WRITE_ATTEMPTS:
                    raise
                self.pause(attempt)
            else:
                return True
        return False

    def _outcome(self, message: Message, claimed: Delivery, settings: AlertSettings) -> Delivery:
        try:
            receipt = self.send(claimed.channel, message, settings)
        except ChannelError as error:
            return self._failed(message, claimed, error)
        except (ClientError, BotoCoreError) as error:
            return self._failed(message, claimed, ChannelError(f"{type(error).__name__}: {error}"))
        except Exception as error:  # noqa: BLE001  a channel may be anybody's code: its failure is its own
            return self._failed(message, claimed, ChannelError(_place_of(error)))
        for by_critical in (True, False):
            self._failed_ms.pop((claimed.channel, by_critical), None)
        sent_ms, receipt = self.clock(), one_line(str(receipt or ""))[:300]
        return replace(claimed, status="sent", sent_ms=sent_ms, next_ms=0, receipt=receipt, error="")

    def _failed(self, message: Message, claimed: Delivery, error: ChannelError) -> Delivery:
        now_ms, reason = self.clock(), one_line(str(error))[:300]
        if error.final or now_ms - message.made_ms >= GIVE_UP_MS:
            return replace(claimed, status="failed", error=reason)
        wish_ms = min(error.retry_after_ms, LONGEST_WISH_MS)
        wait_ms = max(wish_ms, min(RETRY_MS * 2 ** min(claimed.attempts - 1, 10), LONGEST_RETRY_MS))
        self._failed_ms[claimed.channel, _is_critical(message)] = now_ms
        return replace(claimed, status="pending", next_ms=now_ms + wait_ms, error=reason)


def _place_of(error: Exception) -> str:
    """Return what was raised and where; its text may hold a secret."""
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__}, raised in {Path(last.filename).name}, line {last.lineno}"


def _is_critical(message: Message) -> bool:
    return message.incident is not None and message.incident.severity == "critical"
