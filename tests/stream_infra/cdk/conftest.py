"""The templates of all stacks, synthesized once, with empty folders in place of the bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stream_infra import names
from tests.stream_infra.cdk.assembly import Templates, synthesize, templates_of, with_nag


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


@pytest.fixture(scope="package")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """A deployment with settings of its own, in an account and region that are not named: names by reference."""
    settings: dict[str, Any] = {
        "shards": 4,
        "partitions": 8,
        "source": "coinbase",
        "access": "public",
        "past_alarms": True,
    }
    return templates_of(
        synthesize(
            tmp_path_factory.mktemp("settled"),
            account=None,
            region=None,
            operations_email="ops@example.com",
            people=["Ann@example.com"],
            more={names.UPLOAD_CONTEXT: "once more"},
            **settings,
        )
    )


@pytest.fixture(scope="package")
def traced_templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """A deployment that traces its calls, scans in extended hours, and leaves the account's log role as it is.

    It is in a region that an account has to enable.

    Raises
    ------
    RuntimeError
        cdk-nag has something to say.
    """
    return templates_of(
        synthesize(
            tmp_path_factory.mktemp("traced"),
            change=with_nag(),
            tracing=True,
            session="extended",
            region="eu-south-1",
            api_log_role="account",
        )
    )
