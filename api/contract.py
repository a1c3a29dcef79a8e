"""Write what is derived from the code: `api/openapi.json` and the types that the dashboard is checked with.

python -m api.contract
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from api import openapi
from api.app import create_app
from api.services import Services

TYPES = Path(__file__).parent.parent / "dashboard" / "api-types.d.ts"
_SCALARS = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean", "null": "null"}


def document() -> dict[str, Any]:
    """Return the OpenAPI document; describing the routes needs none of the services."""
    return openapi.document(create_app(cast("Services", None)))


def document_text() -> str:
    """Return the document as it is committed."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def typescript_text() -> str:
    """Return a TypeScript interface for each schema of the document."""
    schemas = document()["components"]["schemas"]
    interfaces = [
        f"export interface {name} {_type(schema)}"
        for name, schema in schemas.items()
        if schema.get("properties")
    ]
    return (
        "\n\n".join(["// Written by `python -m api.contract` from the OpenAPI document.", *interfaces]) + "\n"
    )


def _type(schema: dict[str, Any]) -> str:
    if reference := schema.get("$ref"):
        return str(reference).rsplit("/", 1)[-1]
    if alternatives := schema.get("anyOf"):
        return " | ".join(_type(alternative) for alternative in alternatives)
    if values := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return " | ".join(json.dumps(value) for value in values)
    return _by_kind(schema)


def _by_kind(schema: dict[str, Any]) -> str:
    if schema["type"] == "array":
        return f"Array<{_type(schema['items'])}>"
    if schema["type"] != "object":
        return _SCALARS[schema["type"]]
    if "properties" not in schema:
        values = schema.get("additionalProperties")
        return f"Record<string, {_type(values) if isinstance(values, dict) else 'any'}>"
    required = schema.get("required", [])
    fields = schema["properties"].items()
    lines = [f"  {name}{'' if name in required else '?'}: {_type(value)};" for name, value in fields]
    return "\n".join(["{", *lines, "}"])


def main() -> None:
    """Write both files."""
    openapi.COMMITTED.write_text(document_text(), encoding="utf-8")
    TYPES.write_text(typescript_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
