"""Whole templates of a deployment by AWS's published limits, judged before anything is deployed. Pure.

An emulator takes most values that AWS rejects, and CloudFormation finds them only when half of a deployment is there.
Each rule names the page of AWS's documentation that it is from.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from stream_infra.cdk.limits import Resource, number, of_resource, says

Template = Mapping[str, Any]
"""A template of CloudFormation, as JSON: its shape is CloudFormation's."""


def judge(templates: Mapping[str, Template]) -> list[str]:
    """Return what AWS would reject in the templates of a deployment, by stack, each with what is allowed."""
    found = [problem for of in _resources(templates) for problem in of_resource(of)]
    return [*found, *_of_pairs(templates), *_of_roles(templates), *_of_stacks(templates)]


def _resources(templates: Mapping[str, Template]) -> Iterator[Resource]:
    for stack, template in templates.items():
        for id_, item in template.get("Resources", {}).items():
            yield Resource(stack, id_, item["Type"], item.get("Properties", {}))


def _of_pairs(templates: Mapping[str, Template]) -> Iterator[str]:
    """Judge what two resources have to agree on: a queue, and the function that a mapping calls with its messages."""
    known = {(of.stack, of.id): of for of in _resources(templates)}

    def referred(by: Resource, key: str) -> Resource | None:
        places = _places(templates, by.stack, by.properties.get(key))
        return next((known[place] for place in places if place in known), None)

    for mapping in known.values():
        if mapping.type != "AWS::Lambda::EventSourceMapping":
            continue
        queue, called = referred(mapping, "EventSourceArn"), referred(mapping, "FunctionName")
        if called and called.type == "AWS::Lambda::Alias":
            called = referred(called, "FunctionName")
        if called is not None:
            yield from _of_queue(queue, called)
            yield from _of_reserved(mapping, called)


def _of_queue(queue: Resource | None, called: Resource) -> Iterator[str]:
    if queue is None or queue.type != "AWS::SQS::Queue":
        return
    timeout = number(called.properties.get("Timeout", 3)) or 3
    hidden = number(queue.properties.get("VisibilityTimeout", 30)) or 0
    if hidden < timeout:
        allowed = f"at least the Timeout of {called.id} ({timeout:g})"
        page = "Lambda guide, Creating and configuring an Amazon SQS event source mapping"
        yield says(queue, "VisibilityTimeout", hidden, allowed, page)


def _of_reserved(mapping: Resource, called: Resource) -> Iterator[str]:
    most = number(mapping.properties.get("ScalingConfig", {}).get("MaximumConcurrency"))
    reserved = number(called.properties.get("ReservedConcurrentExecutions"))
    if most is not None and reserved is not None and most > reserved:
        allowed = f"at most what {called.id} has reserved ({reserved:g})"
        page = "Lambda guide, Configuring scaling behavior for SQS event source mappings"
        yield says(mapping, "ScalingConfig.MaximumConcurrency", most, allowed, page)


def _places(templates: Mapping[str, Template], stack: str, value: Any) -> Iterator[tuple[str, str]]:
    """Return the stacks and ids that a value refers to, across stacks too, in its order."""
    match value:
        case {"Ref": str(id_)} | {"Fn::GetAtt": [str(id_), *_]}:
            yield stack, id_
        case {"Fn::ImportValue": str(name)}:
            for other, template in templates.items():
                for output in template.get("Outputs", {}).values():
                    if output.get("Export", {}).get("Name") == name:
                        yield from _places(templates, other, output["Value"])
        case dict():
            for of in value.values():
                yield from _places(templates, stack, of)
        case list():
            for of in value:
                yield from _places(templates, stack, of)


def _of_roles(templates: Mapping[str, Template]) -> Iterator[str]:
    """Judge the inline policies of each role together: IAM guide, "IAM and AWS STS quotas", white space not counted."""
    sizes: dict[tuple[str, str], int] = defaultdict(int)
    for of in _resources(templates):
        if of.type == "AWS::IAM::Policy":
            document = json.dumps(of.properties["PolicyDocument"], separators=(",", ":"))
            for place in _places(templates, of.stack, of.properties.get("Roles", ())):
                sizes[place] += len(document)
    for (stack, role), size in sizes.items():
        if size > 10_240:
            what = f"{stack} {role} (AWS::IAM::Role): its policies have {size} characters"
            yield f"{what}; must be 10,240 at most (IAM guide, IAM and AWS STS quotas)"


def _of_stacks(templates: Mapping[str, Template]) -> Iterator[str]:
    page = "CloudFormation guide, Understand CloudFormation quotas"
    for stack, template in templates.items():
        kinds = Counter(item["Type"] for item in template.get("Resources", {}).values())
        if kinds.total() > 500:
            kind, count = kinds.most_common(1)[0]
            yield f"{stack}: {kinds.total()} resources, of which {count} are {kind}; must be 500 at most ({page})"
        if (size := len(json.dumps(template, indent=1).encode())) > 1_000_000:  # as the CDK writes it
            yield f"{stack}: the template has {size} bytes; must be 1,000,000 at most ({page})"
        if len(template.get("Outputs", {})) > 200:
            yield f"{stack}: {len(template['Outputs'])} outputs; must be 200 at most ({page})"
