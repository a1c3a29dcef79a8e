"""docs/aws-drills.md: no account runs it here, so what can be known without one is checked."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from stream_infra import names
from stream_infra.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "aws-drills.md").read_text()
DRILLS = re.findall(r"(?ms)^## (\d+\. [^\n]+)\n\n(.*?)```bash\n(.*?)```", TEXT)
KNOWN = {
    *names.FUNCTIONS,
    names.STREAM,
    names.OPERATIONS_TOPIC,
    names.data_bucket("$ACCOUNT"),
    *(names.FAILED_BATCH_RULE, names.CANARY_RULE),
}


def test_every_drill_says_what_is_expected() -> None:
    assert [title.split(".")[0] for title, _, _ in DRILLS] == [str(n + 1) for n in range(len(DRILLS))]
    assert len(DRILLS) == TEXT.count("\n## ")
    assert all("Expected: " in says for _, says, _ in DRILLS)


@pytest.mark.parametrize("script", re.findall(r"(?s)```bash\n(.*?)```", TEXT))
def test_a_script_is_one_for_bash_and_names_what_there_is(script: str) -> None:
    read = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert read.returncode == 0, read.stderr
    assert set(re.findall(r"stock-monitor ([a-z]+)", script)) <= COMMANDS.keys()
    named = re.findall(r"--name (\w+)", script)
    named += re.findall(r"stream/([\w-]+)", script)
    named += re.findall(r":(stock-tracker-[a-z]+)", script)
    named += re.findall(r'--bucket "([^"]+)"', script)
    assert set(named) <= KNOWN
