"""Whatever is asked, the answer is one that the OpenAPI document describes, and never a failure of the server."""

from __future__ import annotations

import json
import os
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from api import openapi
from api.services import Services
from consumers.contracts.anomaly import KINDS, iso_ms
from tests.api.client import NOW_MS, Api, JsonObject

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))
DOCUMENT = json.loads(openapi.COMMITTED.read_text(encoding="utf-8"))
OPERATIONS = [
    (path, method.upper(), operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]

edges = st.builds(
    "{}T{}{}{:02d}:{:02d}".format,
    st.sampled_from(["0001-01-01", "1969-12-31", "1970-01-01", "2026-11-24", "9999-12-31"]),
    st.sampled_from(["00:00:00", "23:59:59", "23:59:59.9999999"]),
    st.sampled_from("+-"),
    st.integers(0, 23),
    st.sampled_from([0, 59]),
)
"""Where an offset carries an instant out of the calendar."""
instants = (
    st.integers(-(10**15), 10**16).map(str)
    | edges
    | st.integers(-40, 40).map(lambda days: iso_ms(NOW_MS + days * 86_400_000))
)
SENSIBLE: dict[str, st.SearchStrategy[str]] = {
    "ticker": st.sampled_from(["AAPL", "tsla", "BRK.B", "EUR%2FUSD"]),
    "anomaly_id": st.sampled_from([f"AAPL-{NOW_MS}-{kind}" for kind in KINDS]),
    "kind": st.sampled_from(KINDS) | st.lists(st.sampled_from(KINDS), min_size=1).map(",".join),
    "severity": st.sampled_from(["low", "critical", "high,low"]),
    "date": st.dates().map(str),
    "since": instants,
    "until": instants,
    "source": st.sampled_from(["live", "simulated", "replay-7"]),
    "limit": st.integers(-5, 500).map(str) | st.just("9" * 5000),
    "depth": st.just("full"),
    "all": st.sampled_from(["true", "false"]),
}
anything = st.text(max_size=40)
hostile = st.builds(
    lambda head, times, tail: head * times + tail,
    st.sampled_from(["[", '{"until":', '{"until":"', "9", " "]),
    st.sampled_from([1, 900, 5000, 100_000]),
    st.sampled_from(["", "}", '"}', "1e400"]),
)
"""Nested deeply, of thousands of digits, long."""
bodies = (
    hostile
    | st.none()
    | st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | anything | instants,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["until", "reason", "x"]), inner)
        ),
        max_leaves=5,
    ).map(json.dumps)
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[JsonObject, JsonObject]:
    """An event and the operation that it is for."""
    path, method, operation = draw(st.sampled_from(OPERATIONS))
    query: dict[str, str] = {}
    for parameter in operation.get("parameters", []):
        value = draw(SENSIBLE.get(parameter["name"], anything) | anything)
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(value, safe="%") or "-")
        elif draw(st.booleans()):
            query[parameter["name"]] = value
    body = draw(bodies | anything) if "requestBody" in operation else None
    event = {"path": path, "httpMethod": method, "queryStringParameters": query, "body": body}
    return event, operation


@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(request=requests())
def test_every_response_is_a_described_one(
    services: Services, request: tuple[JsonObject, JsonObject]
) -> None:
    event, operation = request
    reply = Api(services).invoke(event)
    assert reply.status < 500
    assert str(reply.status) in operation["responses"] or reply.status == 404  # a slash makes another path
    assert len(reply.text) < 2000 or reply.status == 200
    ((content_type, described),) = (
        operation["responses"]
        .get(
            str(reply.status),
            {"content": {"application/problem+json": {"schema": {"$ref": "/ProblemModel"}}}},
        )["content"]
        .items()
    )
    assert reply.headers["Content-Type"] == content_type
    name = described["schema"]["$ref"].rsplit("/", 1)[-1]
    _models(BaseModel)[name].model_validate_json(reply.text, strict=True)


def _models(of: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """All models of the API by name, wherever they are defined."""
    found = {model.__name__: model for model in of.__subclasses__()}
    return found | {name: model for one in found.values() for name, model in _models(one).items()}
