"""Workers of a version share one folder of its code, and what no worker has goes."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from localstack.function_code import _SharedCode


def archive(folder: Path, text: str) -> Path:
    path = folder / f"{len(text)}.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("room/handler.py", text)
    return path


def worker(folder: Path, name: str, code: Path) -> Path:
    """Start a worker as MiniStack does, as far as its code goes; return its folder."""
    made = folder / name
    (made / "code").mkdir(parents=True)
    with _SharedCode(code) as packed:
        packed.extractall(made / "code")
    return made


def copies(folder: Path) -> int:
    return len(list((folder / "function-code").iterdir()))


def test_workers_of_a_version_share_its_code_until_the_last_one_ends(tmp_path: Path) -> None:
    old, new = archive(tmp_path, "1"), archive(tmp_path, "22")
    workers = [worker(tmp_path, name, old) for name in ("a", "b")]
    assert [(one / "code" / "room" / "handler.py").read_text() for one in workers] == ["1", "1"]
    assert copies(tmp_path) == 1
    shutil.rmtree(workers[0])
    assert (workers[1] / "code" / "room" / "handler.py").read_text() == "1"
    third = worker(tmp_path, "c", new)
    assert copies(tmp_path) == 2, "one of the old version is at work"
    shutil.rmtree(workers[1])
    worker(tmp_path, "d", archive(tmp_path, "333"))
    assert copies(tmp_path) == 2
    assert (third / "code" / "room" / "handler.py").read_text() == "22"


def test_what_is_no_code_is_unzipped_as_usual(tmp_path: Path) -> None:
    with _SharedCode(archive(tmp_path, "layer")) as packed:
        packed.extractall(tmp_path / "layer_0")
    assert (tmp_path / "layer_0" / "room" / "handler.py").read_text() == "layer"
    assert not (tmp_path / "layer_0").is_symlink()


def test_an_archive_that_is_cut_off_leaves_nothing_behind(tmp_path: Path) -> None:
    good = archive(tmp_path, "1" * 5000)
    bad = tmp_path / "bad.zip"
    data = bytearray(good.read_bytes())
    data[60:80] = b"\0" * 20
    bad.write_bytes(data)
    with pytest.raises(zipfile.BadZipFile):
        worker(tmp_path, "a", bad)
    assert [one.suffix for one in (tmp_path / "function-code").iterdir()] == [".partial"]
    assert (worker(tmp_path, "b", good) / "code" / "room" / "handler.py").exists()
