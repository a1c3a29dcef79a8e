"""The emails and SMS that SNS would have sent, kept in a file: the local monitor sends nothing to anyone.

A queue is subscribed to the topics (see `complement`). Each notification becomes the email and the SMS that a
subscriber of that protocol would have got, one JSON object a line in `.local/outbox.jsonl`.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localstack.files import append_lines, whole_lines

logger = logging.getLogger(__name__)

WAIT_SECONDS = 1
RETRY_SECONDS = 2.0


@dataclass(frozen=True)
class OutboxMessage:
    """One email or SMS. `n` counts from 1; `delivery` is the id of the queue message it came in."""

    n: int
    protocol: str
    to: str
    subject: str
    body: str
    sent_at: str
    delivery: str


class Outbox:
    """Messages in the order in which they were sent, on disk and in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._messages = list(_read(path))
        self._deliveries = {message.delivery for message in self._messages}

    def after(self, n: int) -> list[OutboxMessage]:
        """Messages with a greater number than `n`."""
        with self._lock:
            return self._messages[max(n, 0) :]

    def counts(self) -> dict[str, int]:
        """Return how many messages there are by protocol."""
        with self._lock:
            return dict(Counter(message.protocol for message in self._messages))

    def add(self, delivery: str, notification: dict[str, Any]) -> None:
        """Record one SNS notification; one that is recorded already (the queue repeats) changes nothing.

        Raises
        ------
        ValueError, TypeError, KeyError
            If it is none.
        """
        sent_at = notification["Timestamp"]
        datetime.fromisoformat(sent_at)
        with self._lock:
            if delivery in self._deliveries:
                return
            new = [
                _message(
                    {"n": len(self._messages) + offset, "delivery": delivery, "sent_at": sent_at, **text}
                )
                for offset, text in enumerate(_texts(notification), start=1)
            ]
            append_lines(self._path, "".join(json.dumps(asdict(message)) + "\n" for message in new))
            self._messages += new
            self._deliveries.add(delivery)


def _message(values: dict[str, Any]) -> OutboxMessage:
    """Return a message whose parts are texts that can be shown: halves of characters, which JSON allows, are not."""
    n = values.pop("n")
    texts = {name: str(value).encode("utf-8", "replace").decode() for name, value in values.items()}
    return OutboxMessage(n, **texts)


def _read(path: Path) -> Iterator[OutboxMessage]:
    """Return the messages in a file; what a crash cut off at its end, the queue brings again."""
    n = 0
    for number, line in enumerate(whole_lines(path), start=1):
        try:
            yield _message({**json.loads(line), "n": n + 1})
        except (ValueError, TypeError) as error:
            logger.warning("%s: line %d is damaged, and left out: %r", path, number, error)
        else:
            n += 1


def _texts(notification: dict[str, Any]) -> Iterator[dict[str, str]]:
    try:
        alert = json.loads(notification["Message"])
    except (ValueError, RecursionError):
        alert = None
    to = " of ".join(filter(None, ["subscribers", notification.get("TopicArn", "").rpartition(":")[2]]))
    if _has_texts(alert, "email", "sms", "subject"):
        yield {"protocol": "email", "to": to, "subject": alert["subject"], "body": alert["email"]}
        yield {"protocol": "sms", "to": to, "subject": "", "body": alert["sms"]}
    elif _has_texts(alert, "AlarmName", "NewStateValue", "NewStateReason"):
        # SNS sends alarms of CloudWatch as text, not as the JSON that programs get.
        subject = notification.get("Subject") or f"{alert['NewStateValue']}: {alert['AlarmName']}"
        yield {"protocol": "email", "to": to, "subject": subject, "body": _alarm_text(alert)}
    else:  # a message published by hand: every protocol gets the same text
        subject = (
            notification.get("Subject") or "AWS Notification Message"
        )  # what SNS writes where there is none
        yield {"protocol": "email", "to": to, "subject": subject, "body": notification["Message"]}


def _has_texts(message: Any, *names: str) -> bool:
    return isinstance(message, dict) and all(isinstance(message.get(name), str) for name in names)


def _alarm_text(alarm: dict[str, Any]) -> str:
    name, state, before = alarm["AlarmName"], alarm["NewStateValue"], alarm.get("OldStateValue", "unknown")
    facts = {
        "What it means": alarm.get("AlarmDescription"),
        "Reason": alarm["NewStateReason"],
        "When": alarm.get("StateChangeTime"),
        "Region": alarm.get("Region"),
        "Account": alarm.get("AWSAccountId"),
    }
    lines = [f"{label}: {value}" for label, value in facts.items() if value]
    return "\n".join([f"The alarm {name} went from {before} to {state}.", "", *lines])


def drain(
    sqs: Any, queue_name: str, add: Callable[[str, dict[str, Any]], None], stop: threading.Event
) -> None:
    """Give what comes by the queue to `add`, with the id of its delivery, until `stop` is set.

    A message that `add` cannot read is left out and said in the log: none behind it waits.
    """
    url = None
    while not stop.is_set():
        try:
            url = url or sqs.get_queue_url(QueueName=queue_name)["QueueUrl"]
            answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=WAIT_SECONDS)
            for message in answer.get("Messages", []):
                try:
                    add(message["MessageId"], json.loads(message["Body"]))
                except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                    logger.warning("message %s was left out: %r", message["MessageId"], error)
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        except (BotoCoreError, ClientError, OSError):
            # The local AWS is starting or ending, or the disk is full; nothing is lost, the queue keeps it.
            stop.wait(RETRY_SECONDS)
