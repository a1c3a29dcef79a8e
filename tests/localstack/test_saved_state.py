"""What a run leaves behind is kept whole, or the state of the run before comes back."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from localstack import emulator, saved_state
from localstack.clients import client
from localstack.settings import LocalSettings, unusable
from tests.ports import free_port

THEN = datetime(2026, 11, 28, 12, tzinfo=UTC)


def run(directory: Path, text: str) -> str:
    """A run that writes `text` everywhere; returns what was said as it started."""
    said = saved_state.prepare(directory)
    for path in (directory / "aws" / "state" / "kinesis.json", directory / "checkpoints.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'"{text}"')
    return said


def held(directory: Path) -> set[str]:
    files = (directory / "aws" / "state" / "kinesis.json", directory / "checkpoints.json")
    return {path.read_text().strip('"') for path in files if path.exists()}


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
    assert saved_state.prepare(tmp_path).endswith("back to the data of 2026-11-28T12:00:00Z")
    assert held(tmp_path) == {"first"}
    assert not (tmp_path / "deployed").exists()
    assert saved_state.prepare(tmp_path).endswith("back to the data of 2026-11-28T12:00:00Z"), (
        "killed at once, again"
    )
    assert held(tmp_path) == {"first"}


@pytest.mark.parametrize("name", ["aws/state/kinesis.json", "checkpoints.json"])
@pytest.mark.parametrize("left", [b"", b'{"a": [1', bytes(64)], ids=["empty", "cut off", "zeros"])
def test_a_damaged_file_is_named_and_the_data_before_it_come_back(
    tmp_path: Path, name: str, left: bytes
) -> None:
    """MiniStack logs that it cannot load such a file, and goes on without what is in it."""
    run(tmp_path, "first")
    saved_state.finish(tmp_path, [], THEN)
    run(tmp_path, "second")
    saved_state.finish(tmp_path, [])
    (tmp_path / name).write_bytes(left)
    assert saved_state.prepare(tmp_path) == f"{name} is damaged: back to the data of 2026-11-28T12:00:00Z"
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
    assert "back to the data of" in saved_state.prepare(tmp_path)
    assert held(tmp_path) == {"first"}


def test_a_copy_that_was_interrupted_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, "first")
    saved_state.finish(tmp_path, [], THEN)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copy2", _fail)
        with pytest.raises(OSError, match="full") as raised:
            saved_state.prepare(tmp_path)
    assert unusable(raised.value).startswith("the disk is full (")  # once, not of every file
    assert saved_state.prepare(tmp_path) == ""
    assert held(tmp_path) == {"first"}


def _fail(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "the disk is full", "/x")


def test_a_copy_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    run(tmp_path, "first")
    saved_state.finish(tmp_path, [], THEN)
    run(tmp_path, "second")

    def save(folder: Path) -> str:
        (folder / saved_state.STATE / "kinesis.json").write_text("while it ran")
        return ""

    assert saved_state.keep(tmp_path, save) == ""
    assert saved_state.keep(tmp_path, lambda _: "why") == "why"
    with pytest.raises(OSError, match="disk"):
        saved_state.keep(tmp_path, full_disk)
    assert "back to the data of 20" in saved_state.prepare(tmp_path)
    assert held(tmp_path) == {"while it ran", "second"}


def test_objects_take_no_place_a_second_time_and_a_newer_one_leaves_the_copy_as_it_was(
    tmp_path: Path,
) -> None:
    place = tmp_path / "aws" / "s3" / "bucket" / "key"
    place.parent.mkdir(parents=True)
    place.write_text("saved")
    assert saved_state.keep(tmp_path, lambda _: "") == ""
    copy = tmp_path / "last-saved" / place.relative_to(tmp_path)
    assert copy.samefile(place)
    newer = place.with_suffix(".tmp")
    newer.write_text("newer")
    newer.replace(place)  # as MiniStack writes an object
    assert copy.read_text() == "saved"


def full_disk(folder: Path) -> str:
    raise OSError(f"no space on the disk of {folder}")


@pytest.mark.parametrize(
    "copies", [("last-saved",), ("saved-before",), ("saved-before", "last-saved.partial")]
)
def test_at_any_moment_of_a_save_one_copy_is_there(tmp_path: Path, copies: tuple[str, ...]) -> None:
    run(tmp_path, "first")
    saved_state.finish(tmp_path, [], THEN)
    run(tmp_path, "second")
    (tmp_path / "last-saved").rename(tmp_path / copies[0])
    for name in copies[1:]:
        shutil.copytree(tmp_path / copies[0], tmp_path / name)
    assert saved_state.prepare(tmp_path).endswith("back to the data of 2026-11-28T12:00:00Z")
    assert held(tmp_path) == {"first"}


def test_a_killed_local_aws_goes_on_from_what_was_saved_while_it_ran_on_another_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = LocalSettings(tmp_path, free_port(), free_port())
    aws = emulator.emulator(settings)
    try:
        emulator.start(settings)
        ssm = client(settings, "ssm")
        ssm.put_parameter(Name="kept", Value="yes", Type="String")
        sqs = client(settings, "sqs")
        sqs.send_message(QueueUrl=sqs.create_queue(QueueName="events")["QueueUrl"], MessageBody="waits")
        emulator.save_soon(settings)
        aws.wait_until(lambda: '"kept"' in saved(tmp_path), 60)
        pid = aws.pid()
        assert pid is not None
        os.killpg(pid, signal.SIGKILL)
        aws.stop()
        monkeypatch.setattr(saved_state, "EVERY_SECONDS", 0.2)
        unpacked = tmp_path / "tmp" / "code-of-a-function"
        unpacked.mkdir()
        settings = LocalSettings(tmp_path, free_port(), free_port())
        assert "back to the data of 20" in emulator.start(settings)
        assert not unpacked.exists()
        assert client(settings, "ssm").get_parameter(Name="kept")["Parameter"]["Value"] == "yes"
        sqs = client(settings, "sqs")
        url = sqs.get_queue_url(QueueName="events")["QueueUrl"]
        assert f":{settings.aws_port}/" in url  # a mapping looks for its queue there
        assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "waits"
        client(settings, "ssm").put_parameter(Name="later", Value="yes", Type="String")
        aws.wait_until(lambda: '"later"' in saved(tmp_path), 60)
    finally:
        aws.stop()


def saved(directory: Path) -> str:
    path = directory / "last-saved" / saved_state.STATE / "ssm.json"
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
