"""The templates of all stacks, synthesized once, with empty folders in place of the bundles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from stream_infra import names
from stream_infra.app import build
from stream_infra.config import Config

Templates = dict[str, dict[str, Any]]


def synthesize(folder: Path, **settings: Any) -> Templates:
    """Template of every stack by its name."""
    bundles = {}
    for function in names.FUNCTIONS:
        bundles[function] = folder / function
        bundles[function].mkdir(parents=True, exist_ok=True)
        (bundles[function] / "empty.py").touch()
    app = cdk.App()
    build(app, Config(**{"account": "111122223333", "region": "us-east-1", **settings}), bundles)
    assembly = app.synth()
    return {stack: assembly.get_stack_by_name(stack).template for stack in names.STACKS}


@pytest.fixture(scope="session")
def aws_templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """As deployed to AWS with the defaults."""
    return synthesize(tmp_path_factory.mktemp("aws"))


@pytest.fixture(scope="session")
def local_templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """As deployed to the local AWS."""
    return synthesize(tmp_path_factory.mktemp("local"), target="local", source="simulated", session="always")


@pytest.fixture(scope="session")
def synthesized() -> Callable[..., Templates]:
    """`synthesize`, for tests with settings of their own."""
    return synthesize
