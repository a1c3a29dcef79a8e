"""Email, SMS and whatever else subscribes to the topic `stock-tracker-alerts` of SNS."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from consumers.alerts.channels import Channel, ChannelError
from consumers.alerts.model import Message
from consumers.alerts.rendering.texts import Content

_ARN = re.compile(
    r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d+:[\w-]{1,256}", re.ASCII
)  # no .fifo: that takes no email
TICKERS = 100
"""Tickers that a message carries as an attribute for filter policies."""
# A message of these is not acceptable, whenever it is sent:
# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html#API_Publish_Errors
_FINAL = frozenset(
    {"InvalidParameter", "InvalidParameterValue", "ParameterValueInvalid", "ValidationException"}
)


class Sns(Channel):
    """Publishes to the topic: email and SMS have texts of their own, programs (SQS, HTTPS, Lambda) get all as JSON."""

    name: ClassVar[str] = "sns"
    settings: ClassVar[dict[str, str]] = {"topic_arn": "the ARN of a topic"}
    characters: ClassVar[int] = 256 * 1024

    @classmethod
    def check(cls, settings: Mapping[str, str]) -> None:
        """See `Channel.check`."""
        super().check(settings)
        if not _ARN.fullmatch(settings["topic_arn"]):
            raise ChannelError(
                "its topic_arn is none",
                where=cls.name,
                allowed="as in arn:aws:sns:us-east-1:111122223333:desk",
            )

    def send(self, message: Message, content: Content) -> str:
        """See `Channel.send`."""
        about: dict[str, Any] = {"id": message.id, "kind": message.kind, **_about(message)}
        texts = {"subject": content.subject, "email": content.email, "sms": content.sms}
        body = {
            "default": json.dumps({**texts, "message": about}, ensure_ascii=False),
            "email": content.email,
            "sms": content.sms,
        }
        attributes = {name: _attribute(values) for name, values in _attributes(message).items() if values}
        attributes["AWS.SNS.SMS.SMSType"] = _attribute(["Transactional"])
        try:
            answer = self.setup.client("sns").publish(
                TopicArn=self.setup.settings["topic_arn"],
                Subject=content.subject,
                Message=json.dumps(body, ensure_ascii=False),
                MessageStructure="json",
                MessageAttributes=attributes,
            )
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            raise ChannelError(f"{code}: {error}", where="sns", final=code in _FINAL) from error
        return str(answer["MessageId"])


def _about(message: Message) -> dict[str, Any]:
    if message.digest is not None:
        return {"incidents": message.digest.incidents, "anomalies": message.digest.anomalies}
    incident = message.incident
    if incident is None or message.cause is None:
        return {}
    return {
        "incident": incident.id,
        "origin": incident.origin,
        "subject": incident.subject,
        "severity": incident.severity,
        "state": incident.state(message.made_ms),
        "anomaly_count": incident.anomalies,
        "anomaly": message.cause.id,
        "verdict": incident.context and incident.context.verdict,
        "tickers": [move.ticker for move in incident.tickers] or [incident.subject],
    }


def _attributes(message: Message) -> dict[str, list[str]]:
    """Return what subscribers' filter policies see."""
    if message.digest is not None:
        listed = message.digest.listed
        return {
            "ticker": _different(one.subject for one in listed),
            "kind": _different(one.samples[0].kind for one in listed),
            "severity": _different(one.severity for one in listed),
            "origin": [message.digest.origin],
            "message": ["digest"],
        }
    incident = message.incident
    if incident is None:
        return {"message": [message.kind]}
    return {
        "ticker": [move.ticker for move in incident.tickers[:TICKERS]] or [incident.subject],
        "kind": _different(one.kind for one in incident.samples),
        "severity": [incident.severity],
        "origin": [incident.origin],
        "message": [message.kind],
    }


def _different(values: Any) -> list[str]:
    return list(dict.fromkeys(values))


def _attribute(values: list[str]) -> dict[str, str]:
    if len(values) == 1:
        return {"DataType": "String", "StringValue": values[0]}
    return {"DataType": "String.Array", "StringValue": json.dumps(values)}
