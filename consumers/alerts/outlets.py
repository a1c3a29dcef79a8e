"""The channels as they are set up: by name, with their secrets, and where what they never take goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from consumers.alerts import channels, links
from consumers.alerts.channels import Channel, ChannelError, Setup
from consumers.alerts.delivery import DeadLetter
from consumers.alerts.event import DELIVERY_EVENT
from consumers.alerts.model import Delivery, Message, Pending
from consumers.alerts.rendering.texts import Content, content
from consumers.alerts.settings import DEFAULT_CHANNEL, AlertSettings
from consumers.contracts.events import VERSION

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger
    from mypy_boto3_sqs import SQSClient

AT_A_TIME = 32
"""Sends that run side by side: more than one channel that hangs is sent of a batch."""


class Outlets:
    """Sends messages through the channels of the settings.

    Parameters
    ----------
    client
        Makes a client of an AWS service, as `boto3.client` does.
    secret_prefix
        The secret of a channel is called so, with its name behind.
    link_key
        Returns the key that signs the links in messages.
    """

    def __init__(
        self,
        client: Callable[..., Any],
        *,
        topic_arn: str,
        secret_prefix: str,
        dashboard_url: str,
        clock: Callable[[], int],
        link_key: Callable[[], bytes],
    ) -> None:
        self._client = client
        self._topic_arn = topic_arn
        self._secret_prefix = secret_prefix
        self._dashboard_url = dashboard_url
        self._clock = clock
        self._link_key = link_key
        self._made: dict[str, tuple[object, Channel]] = {}
        self._clients: dict[str, Any] = {}

    def send(self, name: str, message: Message, settings: AlertSettings) -> str:
        """Send a message through a channel; return its receipt. Raises `ChannelError`, and botocore's errors."""
        try:
            return self._channel(name, settings).send(message, self._content(name, message, settings))
        except ChannelError:
            self._made.pop(name, None)  # its secret may have been replaced
            raise

    def carries_pictures(self, name: str, settings: AlertSettings) -> bool:
        """Return whether a picture can be added to what the channel of a name took."""
        wanted = settings.channels.get(name)
        try:
            return wanted is not None and channels.declared(wanted.type).carries_pictures
        except ChannelError:  # its package is no longer there
            return False

    def add_picture(
        self, name: str, receipt: str, message: Message, settings: AlertSettings, png: bytes
    ) -> None:
        """Add a picture to a message that a channel took. Raises what `send` raises."""
        said = self._content(name, message, settings)
        self._channel(name, settings).add_picture(receipt, message, said, png)

    def _content(self, name: str, message: Message, settings: AlertSettings) -> Content:
        return content(
            message,
            self._dashboard_url,
            settings.time_zone,
            lambda action: links.sign(self._link_key(), links.grant(action, message, name)),
        )

    def _channel(self, name: str, settings: AlertSettings) -> Channel:
        wanted = settings.channels.get(name)
        known = self._made.get(name)
        if known is not None and known[0] == wanted:
            return known[1]
        if name == DEFAULT_CHANNEL:
            made = channels.declared("sns")(self._setup({"topic_arn": self._topic_arn}, {}))
        elif wanted is None:
            raise ChannelError("it is no longer set up", where=name, final=True)
        else:
            type_ = channels.declared(wanted.type)
            made = type_(self._setup(wanted.settings, self._secrets(name) if type_.secrets else {}))
        self._made[name] = wanted, made
        return made

    def _setup(self, settings: dict[str, str], secrets: dict[str, str]) -> Setup:
        return Setup(settings, secrets, self._clock, self._aws)

    def _secrets(self, name: str) -> dict[str, str]:
        secrets = self._aws("secretsmanager")
        try:
            kept = secrets.get_secret_value(SecretId=f"{self._secret_prefix}{name}")
        except secrets.exceptions.ResourceNotFoundException as error:
            raise ChannelError(
                "its secret is not set", where=name, allowed=f"set by `stock-monitor alerts secret {name}`"
            ) from error
        try:
            found = json.loads(kept["SecretString"])
        except (ValueError, RecursionError) as error:
            raise ChannelError("its secret is no JSON", where=name, allowed="an object of texts") from error
        if not isinstance(found, dict):
            raise ChannelError("its secret is no object", where=name, allowed="an object of texts")
        return {str(key): str(value).strip() for key, value in found.items()}

    def _aws(self, service: str) -> Any:
        from botocore.config import Config  # noqa: PLC0415

        if service not in self._clients:
            # SNS does not recognise a repeated publish: a retry of the client could be a second message.
            once = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=5)
            self._clients[service] = self._client(service, config=once)
        return self._clients[service]


def side_by_side(send: Callable[[Any], int], items: Iterable[Any]) -> list[int]:
    """Run sends side by side, so that a slow one delays no other."""
    items = list(items)
    if len(items) < 2:
        return [send(one) for one in items]
    with ThreadPoolExecutor(min(AT_A_TIME, len(items))) as pool:
        return list(pool.map(send, items))


def dead_letters(sqs: SQSClient, queue_url: str, logger: Logger) -> DeadLetter:
    """Return what puts messages that a channel never takes into the queue of dead letters, with the reason."""

    def dead_letter(message: Message, delivery: Delivery) -> None:
        logger.error(
            "not deliverable", message_id=message.id, channel=delivery.channel, reason=delivery.error
        )
        data = {**asdict(Pending(message.id, message.made_ms, delivery.channel)), "error": delivery.error}
        body = {"detail-type": DELIVERY_EVENT, "detail": {"metadata": {"version": VERSION}, "data": data}}
        sqs.send_message(QueueUrl=queue_url, MessageBody=json.dumps(body))

    return dead_letter
