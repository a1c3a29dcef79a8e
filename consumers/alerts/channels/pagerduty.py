"""PagerDuty, by its Events API v2: https://developer.pagerduty.com/docs/events-api-v2-overview.

An incident there is open until it is resolved, so it gets every acknowledgement and every end.
"""

from __future__ import annotations

from typing import Any, ClassVar

from consumers.alerts.http_channel import HttpChannel, Post, as_json, cut, field_of
from consumers.alerts.model import Message
from consumers.alerts.rendering.texts import Content
from consumers.contracts.anomaly import iso_ms

_SEVERITIES = {"critical": "critical", "high": "error", "medium": "warning", "low": "info", "": "info"}

_EVENTS = {"acknowledged": "acknowledge", "resolved": "resolve"}


class PagerDuty(HttpChannel):
    """Triggers, acknowledges and resolves: an incident here is one alert there, by its id as `dedup_key`."""

    name: ClassVar[str] = "pagerduty"
    settings: ClassVar[dict[str, str]] = {"url": "the address of the service region, such as that of the EU"}
    optional: ClassVar[frozenset[str]] = frozenset({"url"})
    secrets: ClassVar[dict[str, str]] = {"routing_key": "the integration key of a service"}
    characters: ClassVar[int] = 1024  # of the summary; 255 of the key: `docs/send-alert-event` there
    keeps_state: ClassVar[bool] = True

    def post(self, message: Message, content: Content) -> Post:
        """See `HttpChannel.post`."""
        body: dict[str, Any] = {
            "routing_key": self.setup.secrets["routing_key"],
            "event_action": _EVENTS.get(message.kind, "trigger"),
            "dedup_key": (message.incident.id if message.incident is not None else message.id)[:255],
            "payload": {
                "summary": cut(content.title, self.characters),
                "source": "stock-monitor",
                "severity": _SEVERITIES[content.severity],
                "timestamp": iso_ms(message.made_ms),
                "custom_details": {"lines": list(content.lines)},
            },
        }
        if content.links:
            body["links"] = [{"href": url, "text": label} for label, url in content.links]
        return Post(f"{self.server('https://events.pagerduty.com')}/v2/enqueue", as_json(body))

    def rejects(self, answer: Any) -> bool:
        """See `HttpChannel.rejects`: https://developer.pagerduty.com/docs/events-api-v2-overview."""
        return field_of(answer, "status") not in {"", "success"} or super().rejects(answer)

    def receipt(self, answer: Any) -> str:
        """See `HttpChannel.receipt`."""
        return field_of(answer, "dedup_key")
