"""The schema registry of a deployment holds the published schema of every event of the bus."""

from __future__ import annotations

import json
import re

from consumers.contracts.schema import published
from consumers.contracts.schema_registry import registry_documents
from stream_infra import names
from tests.stream_infra.cdk.assembly import Templates, properties
from tests.stream_infra.cdk.test_templates import named

MOST_CHARACTERS = 100_000
"""Of a schema's content (EventBridge schema registry API reference, CreateSchemaInput)."""


def test_every_event_has_its_schema(aws_templates: Templates) -> None:
    """Names as the registry takes them: letters, figures, `.`, `-`, `_`, `@` (the same reference, SchemaName)."""
    (registry,) = properties(aws_templates, "AWS::EventSchemas::Registry")
    assert registry["RegistryName"] == names.SCHEMA_REGISTRY
    found = named(aws_templates, "AWS::EventSchemas::Schema", "SchemaName")
    documents = registry_documents(published("events"), names.EVENT_SOURCE)
    assert {name: json.loads(item["Content"]) for name, item in found.items()} == {
        f"stock-monitor@{detail_type}": document for detail_type, document in documents.items()
    }
    for name, item in found.items():
        assert re.fullmatch(r"[.\-_A-Za-z0-9@]{1,385}", name)
        assert (item["RegistryName"], item["Type"]) == (names.SCHEMA_REGISTRY, "OpenApi3")
        assert len(item["Content"]) < MOST_CHARACTERS
