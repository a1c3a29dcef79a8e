"""docs/events.md is true: every event that is sent fits its published schema."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from jsonschema import Draft4Validator, Draft202012Validator

from consumers.contracts import events
from consumers.contracts.anomaly import SEVERITIES
from consumers.contracts.kinds import EVERY_KIND
from consumers.contracts.schema_registry import registry_documents
from producers.scan.staleness import FeedMemory, FeedWatch
from tests.consumers import kit
from tests.json_types import Json

DOCS = Path(__file__).parents[3] / "docs"
SCHEMA = json.loads((DOCS / "events.schema.json").read_text())
TEXT = (DOCS / "events.md").read_text()
DETAIL_TYPES = re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)
START_MS = 1_795_530_600_000


def validator(detail_type: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/$defs/{detail_type}", "$defs": SCHEMA["$defs"]})


@pytest.fixture(scope="module")
def sent() -> list[tuple[str, Json]]:
    """Events of real code: a detector whose ticker jumps, worse and worse, a feed that stalls, a bad threshold."""
    memory = kit.Memory()
    records = []
    for second in range(900):
        price = 100 + second % 7 * 0.01 + (second - 600) ** 2 * 0.02 * (600 <= second < 612)
        row = (
            "AAPL",
            START_MS + second * 1000,
            round(price, 2),
            round(price - 0.01, 2),
            round(price + 0.01, 2),
        )
        records.append(kit.Sent(kit.payload([row]), str(1000 + second), row[1]))
    kit.consumer(memory, partitions=1).consume(kit.event(records), 1 << 62)
    found: list[tuple[str, Json]] = [
        (event.detail_type, json.loads(event.detail_json())) for event in memory.events.values()
    ]

    watch = FeedWatch("acme", FeedMemory("acme"))
    for second in range(0, 600, 5):
        quotes = kit.quote_batch([("AAPL", START_MS + second, 100 + second / 100)], "acme")
        seen = watch.observe(["AAPL"], None if 100 < second < 400 else quotes, START_MS + second * 1000)
        found += [(event.detail_type, event.detail()) for event in seen.events]

    refused = events.threshold_rejected("/stock-tracker/threshold", 7, "abc is no number", START_MS)
    test = events.alert_test("1", START_MS)
    found.append((test.detail_type, test.detail))
    return [*found, (refused.detail_type, refused.detail)]


def test_the_schemas_are_schemas_and_are_all_described() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert [name for name in SCHEMA["$defs"] if name[0].isupper()] == DETAIL_TYPES
    anomaly = SCHEMA["$defs"]["anomaly"]["properties"]
    assert (anomaly["kind"]["enum"], anomaly["severity"]["enum"]) == (list(EVERY_KIND), list(SEVERITIES))


def test_what_is_sent_fits(sent: list[tuple[str, Json]]) -> None:
    assert set(DETAIL_TYPES) == {detail_type for detail_type, _ in sent}, Counter(name for name, _ in sent)
    for detail_type, detail in sent:
        validator(detail_type).validate(detail)
        shown = SCHEMA["$defs"][detail_type]["properties"]["metadata"]["properties"].keys()
        assert detail["metadata"].keys() == shown


def test_what_is_sent_fits_the_schema_registry(sent: list[tuple[str, Json]]) -> None:
    """The whole event as EventBridge delivers it (EventBridge guide, "AWS service event metadata")."""
    documents = registry_documents(SCHEMA, "stock-monitor")
    for detail_type, detail in sent:
        event = {
            "version": "0",
            "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
            "detail-type": detail_type,
            "source": "stock-monitor",
            "account": "111122223333",
            "time": "2026-11-24T14:00:00Z",
            "region": "us-east-1",
            "resources": [],
            "detail": detail,
        }
        fits = Draft4Validator({**documents[detail_type], "$ref": "#/components/schemas/AWSEvent"})
        fits.validate(event)
        assert not fits.is_valid({**event, "detail-type": "Another"})
        assert not fits.is_valid({**event, "detail": {**detail, "data": {}}})


def test_a_field_less_does_not_fit(sent: list[tuple[str, Json]]) -> None:
    for detail_type, detail in dict(sent).items():
        for part, fields in detail.items():
            for field in fields:
                less = {**detail, part: {name: value for name, value in fields.items() if name != field}}
                assert not validator(detail_type).is_valid(less), (detail_type, field)


def test_the_example_is_an_event() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    validator("AnomalyDetected").validate(json.loads(example))
