"""What a run leaves behind is kept whole, or the state of the run before comes back."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from localstack import saved_state

THEN = datetime(2026, 11, 28, 12, tzinfo=UTC)


def run(directory: Path, text: str) -> str:
    """A run that writes `text` everywhere; returns what was said as it started."""
    said = saved_state.prepare(directory)
    for path in (directory / "aws" / "state" / "kinesis.json", directory / "checkpoints.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return said


def held(directory: Path) -> set[str]:
    files = (directory / "aws" / "state" / "kinesis.json", directory / "checkpoints.json")
    return {path.read_text() for path in files if path.exists()}


def test_a_run_that_ended_well_is_gone_on_from(tmp_path: Path) -> None:
    assert run(tmp_path, "first") == ""
    saved_state.finish(tmp_path, [], THEN)
    assert saved_state.problem(tmp_path) == ""
    assert saved_state.prepare(tmp_path) == ""
    assert held(tmp_path) == {"first"}


def test_after_a_kill_everything_is_of_the_last_run_that_ended_well(tmp_path: Path) -> None:
    run(tmp_path, "first")
    saved_state.finish(tmp_path, [], THEN)
    run(tmp_path, "second")
    (tmp_path / "deployed").write_text("by the second")
    assert saved_state.prepare(tmp_path).endswith("back to those of 2026-11-28T12:00:00Z")
    assert held(tmp_path) == {"first"}
    assert not (tmp_path / "deployed").exists()
    assert saved_state.prepare(tmp_path).endswith("back to those of 2026-11-28T12:00:00Z"), (
        "killed at once, again"
    )
    assert held(tmp_path) == {"first"}


def test_a_first_run_that_was_killed_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    run(tmp_path, "first")
    assert saved_state.prepare(tmp_path).endswith("begins anew")
    assert held(tmp_path) == set()


def test_data_that_could_not_be_saved_are_not_gone_on_from(tmp_path: Path) -> None:
    run(tmp_path, "first")
    saved_state.finish(tmp_path, [], THEN)
    run(tmp_path, "second")
    saved_state.finish(tmp_path, ["failed to save lambda: [Errno 28] No space left on device"])
    assert "No space left on device" in saved_state.problem(tmp_path)
    assert "back to those of" in saved_state.prepare(tmp_path)
    assert held(tmp_path) == {"first"}


def test_a_copy_that_was_interrupted_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, "first")
    saved_state.finish(tmp_path, [], THEN)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copy2", _fail)
        with pytest.raises(OSError, match="full"):
            saved_state.prepare(tmp_path)
    assert saved_state.prepare(tmp_path) == ""
    assert held(tmp_path) == {"first"}


def _fail(*_: object, **__: object) -> None:
    raise OSError("the disk is full")
