"""The environment that `make` makes: once, and again where it would not work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what an installed checkout has, whose environment is new; its name has blanks."""
    folder = tmp_path / "my folder"
    (folder / ".venv/bin").mkdir(parents=True)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
        os.utime(folder / name, (1, 1))
    (folder / ".venv/bin/python").symlink_to(sys.executable)
    (folder / ".venv/bin/pip").symlink_to(sys.executable)
    (folder / ".venv/pyvenv.cfg").write_text(f"command = python3 -m venv --clear {folder}/.venv\n")
    (folder / ".venv/.installed").touch()
    return folder


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def would_run(folder: Path) -> str:
    planned = make(folder, "--dry-run", ".venv/.installed")
    assert not planned.returncode, planned.stderr
    return planned.stdout


def test_it_is_made_once(checkout: Path) -> None:
    assert "up to date" in would_run(checkout)


def test_it_is_made_anew_where_the_folder_was_moved(checkout: Path) -> None:
    """`make up` said "No module named localstack.aws_server"."""
    moved = checkout.rename(checkout.with_name("another folder"))
    assert "venv --clear .venv" in would_run(moved)


def test_it_is_made_anew_where_its_python_is_gone(checkout: Path) -> None:
    (checkout / ".venv/bin/python").unlink()
    (checkout / ".venv/bin/python").symlink_to(checkout / "gone")
    assert "venv --clear .venv" in would_run(checkout)
    for target in ("down", "clean"):
        ended = make(checkout, target)
        assert ended.returncode
        assert "The Python of .venv is gone" in ended.stderr, "what runs was not ended"
