"""The events as EventBridge's schema registry keeps them: an OpenAPI 3.0 document for each detail type.

They are made from the JSON Schema of the bus. The registry takes OpenAPI 3 and JSON Schema draft 4, and makes code
bindings of OpenAPI only (EventBridge guide, "Creating an Amazon EventBridge schema", "Generating code bindings for
event schemas"). The root is the whole event, `AWSEvent`, as in the schemas that EventBridge discovers itself.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_SCHEMAS = "#/components/schemas/"
_ENVELOPE: dict[str, Json] = {
    "version": {"type": "string"},
    "id": {"type": "string"},
    "account": {"type": "string"},
    "time": {"type": "string", "format": "date-time"},
    "region": {"type": "string"},
    "resources": {"type": "array", "items": {"type": "string"}},
}


def registry_name(source: str, detail_type: str) -> str:
    """Return the name of an event's schema, as EventBridge names those that it discovers."""
    return f"{source}@{detail_type}"


def registry_documents(events: Json, source: str) -> dict[str, Json]:
    """Return the OpenAPI document of each detail type of `events`, the JSON Schema of the bus."""
    definitions: dict[str, Json] = events["$defs"]
    version = str(events["$id"]).rpartition(":")[2]
    return {name: _document(name, definitions, version, source) for name in definitions if name[0].isupper()}


def _document(detail_type: str, definitions: dict[str, Json], version: str, source: str) -> Json:
    detail = {"$ref": f"{_SCHEMAS}{detail_type}"}
    event = {
        "type": "object",
        "required": ["detail-type", "source", "detail", *_ENVELOPE],
        "x-amazon-events-detail-type": detail_type,
        "x-amazon-events-source": source,
        "properties": {
            "detail-type": {"type": "string", "enum": [detail_type]},
            "source": {"type": "string", "enum": [source]},
            "detail": detail,
            **_ENVELOPE,
        },
    }
    found: dict[str, Json] = {"AWSEvent": event}
    missing = [detail_type]
    while missing:
        name = missing.pop()
        found[name] = _openapi(definitions[name])
        missing += [other for other in _referred(definitions[name]) if other not in found]
    return {
        "openapi": "3.0.0",
        "info": {
            "version": version,
            "title": detail_type,
            "description": definitions[detail_type]["description"],
        },
        "paths": {},
        "components": {"schemas": found},
    }


def _openapi(schema: Any) -> Any:
    """Return a schema in OpenAPI 3.0's dialect, which has no `const` (OpenAPI specification 3.0, "Schema Object")."""
    if isinstance(schema, list):
        return [_openapi(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "const" in schema:
        value = schema["const"]
        rest = {key: one for key, one in schema.items() if key != "const"}
        return {"type": "integer" if isinstance(value, int) else "string", **rest, "enum": [value]}
    return {
        key: one.replace("#/$defs/", _SCHEMAS) if key == "$ref" else _openapi(one)
        for key, one in schema.items()
    }


def _referred(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [name for one in schema for name in _referred(one)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"].rpartition("/")[2]] if isinstance(schema.get("$ref"), str) else []
    return own + [name for one in schema.values() for name in _referred(one)]
