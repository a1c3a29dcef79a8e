"""The templates of all stacks, synthesized once, with empty folders in place of the bundles."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stream_infra.cdk.assembly import Templates, synthesize, templates_of


@pytest.fixture(scope="package")
def aws_assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As deployed to AWS with the defaults."""
    return synthesize(tmp_path_factory.mktemp("aws"))


@pytest.fixture(scope="package")
def aws_templates(aws_assembly: Path) -> Templates:
    """As deployed to AWS with the defaults."""
    return templates_of(aws_assembly)


@pytest.fixture(scope="package")
def local_templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """As deployed to the local AWS."""
    return templates_of(
        synthesize(tmp_path_factory.mktemp("local"), target="local", source="simulated", session="always")
    )
