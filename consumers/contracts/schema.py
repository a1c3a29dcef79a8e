"""The published contracts, generated from the models: JSON Schemas of quote batch and events, and an AsyncAPI document.

python -m consumers.contracts.schema    writes them to docs/, with the kinds of this installation
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec

from consumers.contracts import events
from consumers.contracts.anomaly import Anomaly
from producers.contract import (
    DIALECT,
    QUOTE_BATCH_VERSION,
    Time,
    quote_batch_schema,
    schema_id,
)
from producers.scan import staleness
from producers.scan.staleness import FeedData, FeedEventType

Json = dict[str, Any]
Name = Literal["asyncapi", "events", "quote-batch"]

EVENTS_VERSION: Final = f"{events.VERSION}.0.0"
"""The first number is `metadata.version`; the second grows with each addition, the third with each wording."""
ASYNCAPI_VERSION: Final = "1.0.0"
FILES: Final[dict[Name, Path]] = {
    "asyncapi": Path("docs/asyncapi.json"),
    "events": Path("docs/events.schema.json"),
    "quote-batch": Path("docs/quote-batch.schema.json"),
}
_ASYNCAPI_ID = "urn:stock-monitor:asyncapi"
_REFERENCE = "#/$defs/{name}"


class _Sent(NamedTuple):
    """A detail type of the bus: who sends it, when, its data, and the data that it carries more."""

    emitted_by: str
    summary: str
    data: type
    more: type | None = None


_EVENTS: Final[dict[events.DetailType | FeedEventType, _Sent]] = {
    "AnomalyDetected": _Sent(events.EMITTED_BY, "An anomaly began.", Anomaly),
    "AnomalyEscalated": _Sent(
        events.EMITTED_BY,
        "It grew worse: `severity`, `score` and `explanation` are those at `at`.",
        Anomaly,
        events.Escalation,
    ),
    "AnomalyEnded": _Sent(events.EMITTED_BY, "It is back to normal since `at`.", Anomaly, events.Ending),
    "AlertTest": _Sent(
        events.ALERT_TEST_EMITTED_BY, "Somebody wants to see a message arrive.", events.AlertTestRequest
    ),
    "FeedStale": _Sent(staleness.EMITTED_BY, "No new quotes come any more.", FeedData),
    "FeedRecovered": _Sent(staleness.EMITTED_BY, "They come again.", FeedData),
    "ThresholdRejected": _Sent(
        events.EMITTED_BY,
        "A threshold was set that cannot be used; the one before it stays in force.",
        events.ThresholdRejection,
    ),
}


VERSIONS: Final[dict[Name, str]] = {
    "asyncapi": ASYNCAPI_VERSION,
    "events": EVENTS_VERSION,
    "quote-batch": QUOTE_BATCH_VERSION,
}
TITLES: Final[dict[Name, str]] = {
    "asyncapi": "AsyncAPI 3.0: the stream and the bus",
    "events": "JSON Schema: events of the bus",
    "quote-batch": "JSON Schema: a record on the stream",
}


def published(name: Name) -> Json:
    """Return a published contract as this installation keeps it."""
    if name == "events":
        return _event_schema()
    return quote_batch_schema() if name == "quote-batch" else _asyncapi()


def identity(name: Name) -> str:
    """Return the `$id` of a schema, the `id` of the AsyncAPI document."""
    return _ASYNCAPI_ID if name == "asyncapi" else schema_id(name, VERSIONS[name])


def text(name: Name) -> str:
    """Return the contract as it is committed."""
    return json.dumps(published(name), indent=2, ensure_ascii=False) + "\n"


def _event_schema() -> Json:
    models = {model for sent in _EVENTS.values() for model in (sent.data, sent.more) if model}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, components = msgspec.json.schema_components([*ordered, events.Metadata], ref_template=_REFERENCE)
    metadata = components.pop("Metadata")
    return {
        "$schema": DIALECT,
        "$id": identity("events"),
        "title": "Events of the bus stock-market",
        "description": "`detail` of each event, by its `detail-type`; `source` is always `stock-monitor`. Fields may "
        "be added within a version.",
        "$defs": {
            "time": msgspec.json.schema(Time),
            **{_lowered(name): _plain(component) for name, component in components.items()},
            **{name: _envelope(sent, _plain(metadata)) for name, sent in _EVENTS.items()},
        },
    }


def _envelope(sent: _Sent, metadata: Json) -> Json:
    fields = metadata["properties"] | {
        "version": {"const": events.VERSION},
        "emitted_by": {"const": sent.emitted_by},
    }
    data: Json = {"$ref": _REFERENCE.format(name=_lowered(sent.data.__name__))}
    if sent.more is not None:
        data = {"allOf": [data, {"$ref": _REFERENCE.format(name=_lowered(sent.more.__name__))}]}
    return {
        "type": "object",
        "description": sent.summary,
        "required": ["metadata", "data"],
        "properties": {"metadata": metadata | {"properties": fields}, "data": data},
    }


def _lowered(name: str) -> str:
    """Return the name of a part: only what is sent as an event has a capital."""
    return name[0].lower() + name[1:]


def _plain(component: Json) -> Json:
    """Return a model's schema as readers of the contract need it, without the notes for our own developers."""
    summary = component.get("description", "").split("\n\n")[0].replace("\n", " ")
    found = {key: value for key, value in component.items() if key not in {"title", "description"}}
    found["properties"] = {
        name: {"$ref": "#/$defs/time"} if schema == msgspec.json.schema(Time) else schema
        for name, schema in found["properties"].items()
    }
    return {"type": found.pop("type"), "description": summary, **found}


def _asyncapi() -> Json:
    """Return the AsyncAPI document of the stream and the bus, which refers to both schemas by name."""
    batch = quote_batch_schema()
    return {
        "asyncapi": "3.0.0",
        "id": _ASYNCAPI_ID,
        "info": {
            "title": "Stock Market Anomaly Monitor",
            "version": ASYNCAPI_VERSION,
            "description": "Quotes go in by the Kinesis stream stock-quotes; what was found comes out by the "
            "EventBridge bus stock-market.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "stream": {
                "host": "kinesis.{region}.amazonaws.com",
                "protocol": "kinesis",
                "variables": {"region": {"default": "us-east-1"}},
            },
            "bus": {
                "host": "events.{region}.amazonaws.com",
                "protocol": "eventbridge",
                "variables": {"region": {"default": "us-east-1"}},
            },
        },
        "channels": {
            "quotes": {
                "address": "stock-quotes",
                "title": "The stream of quotes",
                "servers": [{"$ref": "#/servers/stream"}],
                "messages": {"QuoteBatch": {"$ref": "#/components/messages/QuoteBatch"}},
            },
            "events": {
                "address": "stock-market",
                "title": "The bus of events",
                "servers": [{"$ref": "#/servers/bus"}],
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _EVENTS},
            },
        },
        "operations": {
            "detect": {
                "action": "receive",
                "summary": "The detector takes quotes from the stream.",
                "channel": {"$ref": "#/channels/quotes"},
            },
            "announce": {
                "action": "send",
                "summary": "Scanner, detector and command line send events.",
                "channel": {"$ref": "#/channels/events"},
            },
        },
        "components": {
            "messages": {
                "QuoteBatch": _message("QuoteBatch", "One poll's quotes.", QUOTE_BATCH_VERSION),
                **{name: _message(name, sent.summary, EVENTS_VERSION) for name, sent in _EVENTS.items()},
            },
            "schemas": _components("event.", _event_schema()["$defs"])
            | _components("quote.", batch.pop("$defs") | {"QuoteBatch": batch}),
        },
    }


def _message(name: str, summary: str, version: str) -> Json:
    return {
        "name": name,
        "title": f"{name} {version}",
        "summary": summary,
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{name}"},
    }


def _components(prefix: str, definitions: Json) -> Json:
    """Return the definitions under names that are unique among all contracts, and what refers to them so."""

    def placed(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: one.replace(_REFERENCE.format(name=""), f"#/components/schemas/{prefix}")
                if key == "$ref"
                else placed(one)
                for key, one in value.items()
                if key not in {"$schema", "$id"}
            }
        return [placed(one) for one in value] if isinstance(value, list) else value

    return {name if name[0].isupper() else prefix + name: placed(one) for name, one in definitions.items()}


def main() -> None:
    """Write every contract; run it in the root of the repository."""
    for name, path in FILES.items():
        path.write_text(text(name), encoding="utf-8")


if __name__ == "__main__":
    main()
