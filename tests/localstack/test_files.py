"""What a full disk or a crash leaves of the local monitor's files."""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localstack.event_log import EventLog
from localstack.files import append_lines, whole_lines, write_atomically
from localstack.outbox import Outbox
from localstack.rights import Rights
from tests.localstack.test_outbox import notification

EVENT = {"detail-type": "AnomalyEnded", "detail": {"metadata": {"event_id": "e"}, "data": {}}}


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let no file grow beyond a size: what fits is written and the rest is not, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@given(texts=st.lists(st.text(alphabet="aé\x0c\u2028", max_size=12), max_size=8), size=st.integers(0, 60))
def test_a_line_is_in_the_file_whole_or_not_at_all(texts: list[str], size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file, written = Path(folder, "lines"), []
        with files_of_at_most(size):
            for text in texts:
                try:
                    append_lines(file, f"{text}\n")
                    written.append(text)
                except OSError:
                    pass
        assert whole_lines(file) == written
        append_lines(file, "after\n")
        assert whole_lines(file) == [*written, "after"]


def test_what_a_crash_cut_off_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_text("one\ntw")
    assert whole_lines(file) == ["one"]
    append_lines(file, "three\n")
    assert file.read_text() == "one\nthree\n"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_atomically(file, "before")
    with files_of_at_most(10), pytest.raises(OSError, match="File too large"):
        write_atomically(file, "after" * 10)
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("cut", range(1, 40, 7))
def test_an_outbox_that_was_cut_off_or_damaged_goes_on(tmp_path: Path, cut: int) -> None:
    """A line that was appended to half a line let no front door start any more."""
    file = tmp_path / "outbox.jsonl"
    Outbox(file).add("m-1", notification("first", Subject="first"))
    whole = file.read_text()
    file.write_text(whole + "{damaged}\n\n[]\n" + whole[:cut])
    outbox = Outbox(file)
    outbox.add("m-2", notification("second", Subject="second"))
    for one in (outbox, Outbox(file)):
        assert [(message.n, message.subject) for message in one.after(0)] == [(1, "first"), (2, "second")]


@pytest.mark.parametrize("damage", ["{damaged}\n", "[]\n", "\n", '{"no": "name"}\n', "[1, 2, 3, 4]\n"])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_an_event_log_that_is_damaged_begins_anew(tmp_path: Path, damage: str, at: int) -> None:
    file = tmp_path / "events.jsonl"
    before = EventLog(file)
    before.add("d", EVENT)
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([*lines[:at], damage, *lines[at:]]))
    after = EventLog(file)
    assert (after.name == before.name) == (after.newest == 1)
    after.add("d", EVENT)
    assert after.newest == EventLog(file).newest == 1


@pytest.mark.parametrize("record", ["", "{", "[1]", "[[1, 2]]", "null", '"text"'])
def test_a_record_of_rights_that_is_damaged_begins_anew(tmp_path: Path, record: str) -> None:
    """An empty one, of a full disk, let no local AWS start any more."""
    file = tmp_path / "rights.json"
    file.write_text(record)
    rights = Rights()
    rights.load(file)
    assert not rights.used
    rights.save(file)
    assert file.read_text() == "[]"
