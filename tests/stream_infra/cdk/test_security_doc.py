"""docs/security.md claims nothing without a test, and what it says of the supply chain holds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
DOC = ROOT / "docs" / "security.md"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ROWS = [line for line in DOC.read_text().splitlines() if line.startswith("| ")][1:]


@pytest.mark.parametrize("row", ROWS, ids=[row.split("|")[1].strip() for row in ROWS])
def test_every_threat_has_a_test_that_exists(row: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row.split("|")[3])
    assert named, row
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(), (file, test)


def test_everything_is_pinned_with_its_hash() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    blocks = [block for block in re.split(r"\n(?=\S)", lock) if not block.startswith("#")]
    assert len(blocks) > 100
    for block in blocks:
        assert re.match(r"[\w.\-\[\]]+==\S+", block), block[:80]
        assert "--hash=sha256:" in block, block[:80]
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    for path, package in packages.items():
        assert not path or package["integrity"].startswith("sha512-"), path
    assert "--require-hashes" in (ROOT / "Makefile").read_text()


def steps(workflow: Any) -> list[Any]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.name for path in WORKFLOWS])
def test_workflows_keep_no_keys_and_ask_for_few_rights(path: Path) -> None:
    text = path.read_text()
    workflow = yaml.safe_load(text)
    assert not re.search("AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY)|aws-secret-access-key", text)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert set(job.get("permissions", {"contents": "read"}).items()) <= {
            ("contents", "read"),
            ("id-token", "write"),
        }
    for step in steps(workflow):
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
        assert "${{ github.event" not in step.get("run", ""), "text of a stranger would be run"


def test_a_deployment_is_compared_before_it_is_approved() -> None:
    """GitHub's docs, "Deployments and environments": a job waits for the reviewers of its environment before it starts.

    So what they approve has to come from a job before it, which fails where a dangerous change is not allowed by name.
    """
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "deploy.yml").read_text())["jobs"]
    plan, deploy = jobs["plan"], jobs["deploy"]
    assert (deploy["needs"], deploy["environment"]) == ("plan", "production")
    assert plan["environment"] != "production"
    assert plan["steps"][-1]["run"] == '.venv/bin/stock-monitor deploy "$DEPLOYMENT" --check'
    roles = {
        step["with"]["role-to-assume"]
        for step in steps({"jobs": jobs})
        if "role-to-assume" in step.get("with", {})
    }
    assert len(roles) == 2, "what compares only reads"
    for step in steps({"jobs": jobs}):
        assert "${{ inputs" not in step.get("run", ""), "text of a person would be run"
