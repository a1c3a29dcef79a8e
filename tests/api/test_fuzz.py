"""Whatever is asked, the answer is one that the OpenAPI document describes, and never a failure of the server."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api import contract, models
from api.app import create_app
from api.event import normalized
from api.services import Services
from consumers.contracts.anomaly import KINDS, iso_ms

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))
NOW_MS = 1_795_530_600_123
DOCUMENT = contract.document()
OPERATIONS = [
    (path, method.upper(), operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]

instants = st.integers(-(10**15), 10**16).map(str) | st.integers(-40, 40).map(
    lambda days: iso_ms(NOW_MS + days * 86_400_000)
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
    "limit": st.integers(-5, 500).map(str),
    "depth": st.just("full"),
    "all": st.sampled_from(["true", "false"]),
}
anything = st.text(max_size=40)
bodies = st.none() | st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | anything | instants,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["until", "reason", "x"]), inner)
    ),
    max_leaves=5,
).map(json.dumps)


@st.composite
def requests(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
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
def test_every_answer_is_a_described_one(services: Services, request: Any) -> None:
    event, operation = request
    answer = create_app(services).resolve(normalized(event), None)
    status = answer["statusCode"]
    assert status < 500
    assert str(status) in operation["responses"] or status == 404  # a slash in a segment makes another path
    ((content_type, described),) = (
        operation["responses"]
        .get(str(status), {"content": {"application/problem+json": {"schema": {"$ref": "/ProblemModel"}}}})[
            "content"
        ]
        .items()
    )
    assert answer["multiValueHeaders"]["Content-Type"] == [content_type]
    model = getattr(models, described["schema"]["$ref"].rsplit("/", 1)[-1])
    model.model_validate_json(answer["body"], strict=True)
