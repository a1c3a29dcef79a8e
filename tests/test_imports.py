"""What docs/architecture.md draws is what lint-imports checks, and every rule can fail."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("producers", "consumers", "api", "stream_infra", "localstack")
TOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
SETTINGS = TOOLS["importlinter"]
CONTRACTS = [contract["name"] for contract in SETTINGS["contracts"]]
# A wrong import for every rule: (the rule's beginning, where it is planted, what is imported there).
PLANTED = (
    ("Data flows left to right", "producers/partitions.py", "import api.models"),
    ("Within consumers", "consumers/stream/rows.py", "import consumers.windows.state"),
    ("The alerts know the contracts", "consumers/alerts/cache.py", "import consumers.windows.bars"),
    ("Nobody in consumers knows the alerts", "consumers/windows/codec.py", "import consumers.alerts.handler"),
    ("Handlers are at the edge", "api/app.py", "import api.handler"),
    ("What wires the detector", "consumers/redrive/redrive.py", "import consumers.detector.wiring"),
    ("The API starts fast", "api/times.py", "import numpy"),
    ("Nothing that runs in Lambda imports the CDK", "producers/archive.py", "import aws_cdk"),
    ("Within stream_infra", "stream_infra/operations/health.py", "import stream_infra.cli.main"),
    ("The command line runs without the CDK", "stream_infra/cli/main.py", "import stream_infra.cdk.app"),
)


def kept(folder: Path) -> dict[str, bool]:
    """Run lint-imports there: each rule by name, and whether it is kept."""
    program = (
        "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "COLUMNS": "400"},
    )
    lines = re.findall(r"^(.+?) (KEPT|BROKEN)$", done.stdout, re.MULTILINE)
    assert lines, done.stdout + done.stderr
    return {name: verdict == "KEPT" for name, verdict in lines}


def test_a_planted_wrong_import_breaks_each_rule(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    for _, file, statement in PLANTED:
        path = tmp_path / file
        path.write_text(f"{path.read_text()}\n\n{statement}\n")
    found = kept(tmp_path)
    for contract in CONTRACTS:
        assert any(contract.startswith(rule) for rule, _, _ in PLANTED), (
            f"plant an import that breaks: {contract}"
        )
    assert [name for name, is_kept in found.items() if is_kept] == []


def test_what_is_drawn_is_what_is_checked() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    drawn = re.findall(r"^ *(?:(\w+): +)?((?:\w+ <- )+\w+)$", text, re.MULTILINE)
    layers = {
        " ".join(contract.get("containers", [])): " <- ".join(
            layer for layer in reversed(contract["layers"]) if layer != "alerts"
        ).replace("cdk | operations", "operations")
        for contract in SETTINGS["contracts"]
        if contract["type"] == "layers"
    }
    assert dict(drawn) == layers


def test_mypy_reads_all_of_the_cdk_that_is_used_and_no_more() -> None:
    """What it does not read has no types, and it would not say so."""
    used = {"aws_cdk"}
    for path in [*ROOT.glob("stream_infra/cdk/**/*.py"), *ROOT.glob("tests/stream_infra/cdk/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "aws_cdk":
                inside = {f"{node.module}.{name.name}" for name in node.names if name.name.startswith("aws_")}
                used |= {node.module or "", *inside}
    (read,) = [of["module"] for of in TOOLS["mypy"]["overrides"] if of.get("follow_imports") == "normal"]
    assert set(read) == used
