"""/schemas: the contracts of stream and bus, at an address."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from pydantic import BaseModel, Field

from api.models import Document
from api.responses import respond
from api.routes.common import if_none_match, responses
from consumers.contracts import schema

_MAX_AGE_SECONDS = 300
_published = cache(schema.published)

SchemaName = Annotated[schema.Name, Path(description="The name of a contract.")]


class PublishedSchema(BaseModel):
    """A contract of the stream or the bus."""

    name: str
    title: str
    version: str = Field(
        description="major.minor.patch: the first number changes when something is taken away."
    )
    id: str = Field(description="Its `$id`: the same in every deployment.")
    path: str = Field(description="Where it is, under the API's address.")


class SchemaList(BaseModel):
    """The contracts of stream and bus."""

    schemas: list[PublishedSchema]
    count: int


def register(app: APIGatewayRestResolver) -> None:
    """Add the routes of the published contracts."""

    @app.get(
        "/schemas", summary="Contracts of stream and bus", responses=responses(SchemaList, "All of them.")
    )
    def list_schemas() -> Response[str]:
        return respond(_listed(), if_none_match(app), max_age_seconds=_MAX_AGE_SECONDS)

    @app.get(
        "/schemas/<name>",
        summary="A contract: an AsyncAPI document or a JSON Schema",
        responses=responses(Document, "With the kinds of this deployment.", 400),
    )
    def get_schema(name: SchemaName) -> Response[str]:
        return respond(_published(name), if_none_match(app), max_age_seconds=_MAX_AGE_SECONDS)


def _listed() -> dict[str, Any]:
    rows = [
        {
            "name": name,
            "title": title,
            "version": schema.VERSIONS[name],
            "id": schema.identity(name),
            "path": f"/schemas/{name}",
        }
        for name, title in schema.TITLES.items()
    ]
    return {"schemas": rows, "count": len(rows)}
