"""Email, SMS and whatever else subscribes to the topic `stock-tracker-alerts` of SNS.

The alphabet of an SMS: 3GPP TS 23.038, section 6.2.1 (basic character set and its extension table).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
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

SUBJECT_CHARACTERS = 99
"""SNS takes subjects of printable ASCII of less than 100 characters (API reference of Publish)."""
LEAST_TEXT_SEPTETS = 72
"""What an SMS says at least: with a longer link it goes without one."""
SEGMENT_SEPTETS = 160
"""Septets in a message of one segment; one more, or one character outside the alphabet, costs a second."""

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")
"""Characters that need an escape, so two septets each."""

_SPELLED = str.maketrans(
    {"×": "x", "−": "-", "–": "-", "—": "-", "±": "+/-", "’": "'", "‘": "'", "“": '"', "”": '"', "…": "...",
     "→": "->", "≥": ">=", "≤": "<=", "≈": "~", "σ": "sd", "\t": " ", "\u00a0": " ", "\u202f": " "}
)  # fmt: skip


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
        texts = {"subject": subject(content), "email": email(content), "sms": sms(content)}
        body = {
            "default": json.dumps({**texts, "message": about}, ensure_ascii=False),
            "email": texts["email"],
            "sms": texts["sms"],
        }
        attributes = {name: _attribute(values) for name, values in _attributes(message).items() if values}
        attributes["AWS.SNS.SMS.SMSType"] = _attribute(["Transactional"])
        try:
            answer = self.setup.client("sns").publish(
                TopicArn=self.setup.settings["topic_arn"],
                Subject=texts["subject"],
                Message=json.dumps(body, ensure_ascii=False),
                MessageStructure="json",
                MessageAttributes=attributes,
            )
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            raise ChannelError(f"{code}: {error}", where="sns", final=code in _FINAL) from error
        return str(answer["MessageId"])


def subject(content: Content) -> str:
    """Return the title as SNS takes it for the subject of an email."""
    titles = [spell(text).encode("ascii", "replace").decode() for text in _titles(content)]
    short = titles[-1][: SUBJECT_CHARACTERS - 3].rstrip() + "..."
    return next((title for title in titles if len(title) <= SUBJECT_CHARACTERS), short)


def email(content: Content) -> str:
    """Return the text of an email."""
    links = [f"{label}: {url}" for label, url in content.links]
    return "\n".join([content.title, "", *content.lines, *([""] if links else []), *links]) + "\n"


def sms(content: Content) -> str:
    """Return one GSM-7 segment: the link whole, as half a link leads nowhere, and the text that fits with it.

    The time comes last, and goes whole: first its day, which is that of the message; then the title's last part.
    """
    clock, titles = content.at.partition(" ")[2], _titles(content)
    parts = [f"{content.title}, {content.at}", *(f"{title}, {clock}" for title in titles), *titles]
    texts = [spell(text) for text in parts]
    if content.link and content.link == spell(content.link):
        room = SEGMENT_SEPTETS - septets(content.link) - 1
        if room >= min(LEAST_TEXT_SEPTETS, septets(texts[0])):
            return f"{_longest(texts, room)} {content.link}"
    return _longest(texts, SEGMENT_SEPTETS)


def septets(text: str) -> int:
    """Return the length of a text in the alphabet, in septets."""
    return len(text) + sum(char in EXTENSION for char in text)


def spell(text: str) -> str:
    """Spell a text in the alphabet: common signs are spelled out, what is left of the unknown becomes ``?``."""
    return "".join(char if char in BASIC | EXTENSION else "?" for char in text.translate(_SPELLED))


def cut(text: str, limit: int) -> str:
    """Return the longest start of `text` (in the alphabet) of at most `limit` septets; ``...`` shows a cut."""
    if septets(text) <= limit:
        return text
    kept = ""
    room = limit - 3
    for char in text:
        room -= 2 if char in EXTENSION else 1
        if room < 0:
            break
        kept += char
    return kept.rstrip() + "..."


def _titles(content: Content) -> tuple[str, ...]:
    return (content.title, content.short) if content.short else (content.title,)


def _longest(texts: Sequence[str], room: int) -> str:
    """Return the first text that has room, else as much of the last as has."""
    return next((text for text in texts if septets(text) <= room), cut(texts[-1], room))


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
