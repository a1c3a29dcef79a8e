"""The contracts of stream and bus: what is committed is generated, valid, and kept by the next version."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator, Draft7Validator, Draft202012Validator

from consumers.contracts import schema
from consumers.contracts.schema import Name
from consumers.contracts.schema_registry import registry_documents
from tests.consumers.contracts.compatibility import Change, change, grown, leaves
from tests.json_types import Json

ROOT = Path(__file__).parents[3]
NAMES: tuple[Name, ...] = get_args(Name)
META = ROOT / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"


def released(name: Name) -> Json:
    """Return the contract of the last release: docs/released/ changes with a release only."""
    found: Json = json.loads((ROOT / "docs" / "released" / schema.FILES[name].name).read_text())
    return found


def version_of(name: Name, document: Json) -> str:
    return str(document["info"]["version"] if name == "asyncapi" else document["$id"].rsplit(":", 1)[-1])


def problem(name: Name, new: Json) -> str | None:
    """Why `new` may not follow the last release of a contract."""
    old = released(name)
    found = change(old, new, is_input=name == "quote-batch")
    step = grown(version_of(name, old), version_of(name, new))
    return (
        None if step >= found else f"{name}: {found.name} needs a higher version than {version_of(name, new)}"
    )


@pytest.mark.parametrize("name", NAMES)
def test_what_is_committed_is_what_the_models_say(name: Name) -> None:
    committed = (ROOT / schema.FILES[name]).read_text(encoding="utf-8")
    assert committed == schema.text(name), "run: python -m consumers.contracts.schema"


@pytest.mark.parametrize("name", NAMES)
def test_it_keeps_what_was_released(name: Name) -> None:
    assert problem(name, schema.published(name)) is None, f"raise the version in {schema.__name__}"


@pytest.mark.parametrize("name", ["events", "quote-batch"])
def test_the_json_schemas_are_schemas(name: Name) -> None:
    document = schema.published(name)
    Draft202012Validator.check_schema(document)
    assert document["$id"] == schema.identity(name)
    assert all(_resolves(document, reference) for reference in references(document))


def test_the_asyncapi_document_fits_the_specification() -> None:
    if not META.exists():
        pytest.skip("the specification is a package of npm: make node_modules/.installed-dev")
    validator = Draft7Validator(json.loads(META.read_text()))
    document = schema.published("asyncapi")
    assert [f"{list(error.path)}: {error.message[:200]}" for error in validator.iter_errors(document)] == []
    assert all(_resolves(document, reference) for reference in references(document))
    for broken in ("channels", "operations"):
        other = deepcopy(document)
        next(iter(other[broken].values()))["no_such_field"] = 1
        assert not validator.is_valid(other)


def test_both_documents_say_the_same_of_an_event() -> None:
    """A message of the AsyncAPI document takes and rejects what the schema of the events does."""
    document, events = schema.published("asyncapi"), schema.published("events")
    for name in [name for name in events["$defs"] if name[0].isupper()]:
        one = Draft202012Validator({**document, "$ref": f"#/components/schemas/{name}"})
        other = Draft202012Validator({**events, "$ref": f"#/$defs/{name}"})
        values: list[Json] = [
            {},
            {"metadata": {}, "data": {}},
            {"metadata": {"version": 2}, "data": {"id": 1}},
        ]
        for value in values:
            assert {error.message for error in one.iter_errors(value)} == {
                error.message for error in other.iter_errors(value)
            }


def test_the_schema_registry_keeps_what_was_released() -> None:
    """Its documents follow from the schema of the events: none goes, and none changes without a version for it."""
    before, now = (
        registry_documents(events, "stock-monitor")
        for events in (released("events"), schema.published("events"))
    )
    assert before.keys() <= now.keys()
    for name, old in before.items():
        step = grown(old["info"]["version"], now[name]["info"]["version"])
        assert step >= change(old, now[name], is_input=False), name


def test_the_schema_registry_says_the_same_of_an_event() -> None:
    """OpenAPI 3.0 has the dialect of JSON Schema's draft 5, whose keywords used here are those of draft 4."""
    events = schema.published("events")
    documents = registry_documents(events, "stock-monitor")
    assert list(documents) == [name for name in events["$defs"] if name[0].isupper()]
    for name, document in documents.items():
        assert all(_resolves(document, reference) for reference in references(document))
        assert "const" not in json.dumps(document)
        for part in document["components"]["schemas"].values():
            Draft4Validator.check_schema(part)
        one = Draft4Validator({**document, "$ref": f"#/components/schemas/{name}"})
        other = Draft202012Validator({**events, "$ref": f"#/$defs/{name}"})
        values: list[Json] = [
            {},
            {"metadata": {}, "data": {}},
            {"metadata": {"version": 2, "emitted_by": "somebody"}, "data": {"id": 1, "at": "now"}},
        ]
        for value in values:
            places = [
                sorted(map(str, (list(error.path) for error in of.iter_errors(value)))) for of in (one, other)
            ]
            assert places[0] == places[1] != []


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from ([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def _resolves(document: Json, reference: str) -> bool:
    found: object = document
    for part in reference.removeprefix("#/").split("/"):
        found = found.get(part) if isinstance(found, dict) else None
    return found is not None


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in items:
        yield (*path, key)
        yield from places(one, (*path, key))


def removed(document: Json, path: tuple[str | int, ...]) -> Json:
    found = deepcopy(document)
    parent: Any = found
    for part in path[:-1]:
        parent = parent[part]
    del parent[path[-1]]
    return found


@given(data=st.data(), name=st.sampled_from(NAMES))
def test_nothing_goes_without_a_new_version(data: st.DataObject, name: Name) -> None:
    document = released(name)
    path = data.draw(st.sampled_from(list(places(document))))
    less = removed(document, path)
    if path in {("$id",), ("info",), ("info", "version")}:
        return
    assert problem(name, less) is not None


def of_the_anomaly(document: Json) -> Json:
    found: Json = document["$defs"]["anomaly"]
    return found


def with_a_field(document: Json) -> None:
    of_the_anomaly(document)["properties"]["venue"] = {"type": "string"}


def with_another_type(document: Json) -> None:
    of_the_anomaly(document)["properties"]["score"]["type"] = "string"


def without_a_field(document: Json) -> None:
    del of_the_anomaly(document)["properties"]["score"]


def with_a_kind(document: Json) -> None:
    of_the_anomaly(document)["properties"]["kind"]["enum"].append("auction")


def with_other_words(document: Json) -> None:
    of_the_anomaly(document)["properties"]["score"]["description"] = "How odd."


def with_a_field_named_title(document: Json) -> None:
    of_the_anomaly(document)["properties"]["title"] = {"type": "string"}


@pytest.mark.parametrize(
    ("edit", "step"),
    [
        (with_other_words, Change.WORDING),
        (with_a_field, Change.ADDITION),
        (with_a_field_named_title, Change.ADDITION),
        (with_a_kind, Change.ADDITION),
        (with_another_type, Change.BREAKING),
        (without_a_field, Change.BREAKING),
    ],
)
def test_a_changed_field_needs_the_version_for_it(edit: Callable[[Json], None], step: Change) -> None:
    document = released("events")
    edit(document)
    parts = [int(part) for part in version_of("events", document).split(".")]
    for place in (Change.NONE, Change.WORDING, Change.ADDITION, Change.BREAKING):
        raised = list(parts)
        if place:
            raised[3 - place] += 1
        document["$id"] = f"urn:stock-monitor:schema:events:{'.'.join(map(str, raised))}"
        assert (problem("events", document) is None) == (place >= step), place


def test_one_more_requirement_of_those_who_write_breaks_them() -> None:
    document = released("quote-batch")
    document["required"].append("missing")
    assert change(released("quote-batch"), document, is_input=True) == Change.BREAKING
    assert change(released("quote-batch"), document, is_input=False) == Change.ADDITION
    stricter = released("quote-batch")
    stricter["$defs"]["price"]["exclusiveMinimum"] = 0
    assert change(released("quote-batch"), stricter, is_input=True) == Change.BREAKING
    more = released("quote-batch")
    more["properties"]["venue"] = {"type": "string"}
    assert change(released("quote-batch"), more, is_input=True) == Change.ADDITION


def test_every_list_of_a_schema_is_compared() -> None:
    assert leaves({"required": ["a", "b"]}) != leaves({"required": ["a", "c"]})
    assert leaves({"required": ["a", "b"]}) == leaves({"required": ["b", "a"]})
