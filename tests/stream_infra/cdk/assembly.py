"""The assembly that the CDK CLI would deploy, and the templates in it.

The CDK starts a Node and takes seconds: it is imported where it is used, so that only the process that uses it waits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from stream_infra import names
from stream_infra.config import Config

if TYPE_CHECKING:
    import aws_cdk as cdk

Properties = dict[str, Any]
"""A part of a template: JSON, whose shape is CloudFormation's."""
Templates = dict[str, Properties]
ROOT = Path(__file__).resolve().parents[3]


def _nothing(_app: cdk.App) -> None:
    """Change nothing."""


def synthesize(
    folder: Path,
    *,
    change: Callable[[cdk.App], None] = _nothing,
    more: Mapping[str, str] = MappingProxyType({}),
    **settings: object,
) -> Path:
    """The folder of the assembly that the CDK CLI would deploy, with `more` in its context.

    `change` is done to the app before.

    Raises
    ------
    RuntimeError
        cdk-nag has something to say; the assembly is there all the same.
    """
    import aws_cdk as cdk

    from stream_infra.cdk.app import build

    bundles = {}
    for function in names.FUNCTIONS:
        bundles[function] = folder / function
        bundles[function].mkdir(parents=True, exist_ok=True)
        (bundles[function] / "empty.py").touch()
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    app = cdk.App(outdir=str(folder / "cdk.out"), context={**context, **more})
    build(app, Config(**{"account": "111122223333", "region": "us-east-1", **settings}), bundles)
    change(app)
    app.synth()
    return folder / "cdk.out"


def with_nag(*changes: Callable[[cdk.App], None]) -> Callable[[cdk.App], None]:
    """Check with the pack AwsSolutions, after the changes."""
    import aws_cdk as cdk
    from cdk_nag import AwsSolutionsChecks

    def change(app: cdk.App) -> None:
        for each in changes:
            each(app)
        cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))

    return change


def templates_of(assembly: Path) -> Templates:
    """Template of every stack by its name."""
    return {stack: json.loads((assembly / f"{stack}.template.json").read_text()) for stack in names.STACKS}


def properties(templates: Templates, kind: str) -> list[Properties]:
    """The properties of all resources of a type."""
    return [
        item["Properties"]
        for template in templates.values()
        for item in template["Resources"].values()
        if item["Type"] == kind
    ]
