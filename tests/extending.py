"""The examples of docs/extending.md: as a file in a copy of the rooms, as an installed package, run and typed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.json_types import Json

ROOT = Path(__file__).parents[1]
_TEXT = (ROOT / "docs" / "extending.md").read_text()
_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


def example(folder: str) -> str:
    """Return the document's example of a file in a folder; its first line names the file."""
    (block,) = re.findall(rf"```python\n(# {folder}/.*?)```", _TEXT, re.DOTALL)
    return str(block)


def added_file(text: str, rooms: Iterable[str], to: Path) -> Path:
    """Write an example to the one file that it names, in a copy of rooms; return that file."""
    for room in rooms:
        shutil.copytree(ROOT / room, to / room, ignore=shutil.ignore_patterns("__pycache__"))
    path = to / text.splitlines()[0].removeprefix("# ").strip()
    path.write_text(text)
    return path


def install(package: str, group: str, entry: str, to: Path) -> None:
    """Install a package of a name with one entry point, as its own pyproject.toml would say it."""
    metadata = to / f"{package.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")


def run(command: list[str], cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command on a copy of the rooms, away from AWS."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ACME_"))}
    # Files are rewritten within a second, which Python's cache of bytecode may take for the same ones.
    environment = {**kept, **_KEYS, "PYTHONPATH": str(cwd), "PYTHONDONTWRITEBYTECODE": "1", **more}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd, check=False)


def outcome(done: subprocess.CompletedProcess[str]) -> Json:
    """Return what a program printed behind the word FOUND."""
    assert "FOUND" in done.stdout, done.stderr
    found: Json = json.loads(done.stdout.partition("FOUND")[2])
    return found


def check_types(path: Path, cwd: Path, *options: str) -> None:
    """Check the types of an example by the rules of the house."""
    done = run([sys.executable, "-m", "mypy", "--strict", "--no-incremental", *options, str(path)], cwd)
    assert done.returncode == 0, done.stdout
