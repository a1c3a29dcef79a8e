"""PagerDuty, by its Events API v2: https://developer.pagerduty.com/docs/events-api-v2-overview."""

from __future__ import annotations

from typing import Any, ClassVar

from consumers.alerts.channels._http import HttpChannel, Post, as_json, cut, field_of
from consumers.alerts.model import Message
from consumers.alerts.rendering.texts import Content
from consumers.contracts.anomaly import iso_ms

_SEVERITIES = {"critical": "critical", "high": "error", "medium": "warning", "low": "info", "": "info"}


class PagerDuty(HttpChannel):
    """Triggers and resolves: an incident here is one alert there, by its id as the key of deduplication."""

    name: ClassVar[str] = "pagerduty"
    settings: ClassVar[dict[str, str]] = {"url": "the address of the service region, such as that of the EU"}
    optional: ClassVar[frozenset[str]] = frozenset({"url"})
    secrets: ClassVar[dict[str, str]] = {"routing_key": "the integration key of a service"}
    characters: ClassVar[int] = 1024

    def post(self, message: Message, content: Content) -> Post:
        """See `HttpChannel.post`."""
        body: dict[str, Any] = {
            "routing_key": self.setup.secrets["routing_key"],
            "event_action": "resolve" if message.kind == "resolved" else "trigger",
            "dedup_key": message.incident.id if message.incident is not None else message.id,
            "payload": {
                "summary": cut(content.title, self.characters),
                "source": "stock-monitor",
                "severity": _SEVERITIES[content.severity],
                "timestamp": iso_ms(message.made_ms),
                "custom_details": {"lines": list(content.lines)},
            },
        }
        if content.link:
            body["links"] = [{"href": content.link, "text": "See it"}]
        server = self.setup.settings.get("url", "https://events.pagerduty.com")
        return Post(f"{server}/v2/enqueue", as_json(body))

    def receipt(self, answer: Any) -> str:
        """See `HttpChannel.receipt`."""
        return field_of(answer, "dedup_key")
