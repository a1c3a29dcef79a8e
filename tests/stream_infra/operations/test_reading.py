"""Large recordings are read in a process of their own: the same blocks, rejections and errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from consumers.stream.thresholds import Threshold
from producers.errors import MonitorError
from producers.recorded_lines import RecordingError
from producers.recordings import RejectedTick
from stream_infra.operations.errors import InputError
from stream_infra.operations.offline import reading
from stream_infra.operations.offline.backtest import Recording, run

T = 1_763_996_400_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """60,000 rows of three tickers, one of which is wrong."""
    rng = np.random.default_rng(3)
    prices = np.round(100.0 * np.cumprod(1.0 + 3e-4 * rng.standard_t(3, 60_000)), 2).tolist()
    rows = [f"{T + 400 * n},{'ABC'[n % 3]},{price}\n" for n, price in enumerate(prices)]
    rows[40_000] = f"{T},A,nothing\n"
    path = tmp_path / "ticks.csv"
    path.write_text("ts,symbol,price\n" + "".join(rows))
    return path


def test_two_processes_find_what_one_finds(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for worth in (0, 1 << 40):
        monkeypatch.setattr(reading, "WORTH_A_PROCESS", worth)
        recording = Recording()
        thresholds = [Threshold.parse("2.5"), Threshold.parse("4")]
        outcomes = run([file], thresholds, recording)
        found.append((outcomes, recording.rejected, recording.ticks, recording.days))
    assert found[0] == found[1]
    outcomes, rejected, ticks, days = found[0]
    assert len(outcomes[0].anomalies) > len(outcomes[1].anomalies) > 0
    assert [row.line for row in rejected.first] == [40_002]
    assert (ticks, len(days)) == (59_999, 3)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (None, RecordingError, "ticks.csv: there is no such file"),
        ("ts,symbol\n", RecordingError, "there is no column price"),
        ("ts,symbol,price\n1,A,x\n", InputError, "no tick in it can be used: it has 1 row"),
    ],
)
def test_errors_cross_the_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, kind: type[MonitorError], said: str
) -> None:
    monkeypatch.setattr(reading, "WORTH_A_PROCESS", 0)
    rejected: list[RejectedTick] = []
    path = tmp_path / "ticks.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(kind, match=said):
        list(reading.blocks([path], rejected.append))
    assert len(rejected) == (kind is InputError)


def test_whoever_has_read_enough_ends_the_process(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "WORTH_A_PROCESS", 0)
    blocks = reading.blocks([file], lambda _: None)
    assert next(blocks).new == ["A", "B", "C"]
    blocks.close()  # type: ignore[attr-defined] # a generator


@pytest.mark.parametrize("cuts", [(0, 40, 40, 90), (0, 40, 33, 90)], ids=["apart", "overlapping"])
def test_the_files_of_a_day_have_the_volume_of_the_day(tmp_path: Path, cuts: tuple[int, ...]) -> None:
    """Each file began at 0: the burst of the first tick of an hour's file was not seen."""
    rows = [f"{T + 1000 * n},{'AB'[n % 2]},{100 + n},{n / 10}\n" for n in range(90)]
    header = "ts,symbol,price,volume\n"
    files = [tmp_path / "first.csv", tmp_path / "second.csv"]
    (tmp_path / "day.csv").write_text(header + "".join(rows))
    for file, start, stop in zip(files, cuts[::2], cuts[1::2], strict=True):
        file.write_text(header + "".join(rows[start:stop]))
    rejected: list[RejectedTick] = []
    (of_files,) = reading.blocks(files, rejected.append)
    (of_day,) = reading.blocks([tmp_path / "day.csv"], rejected.append)
    np.testing.assert_array_equal(of_files.ticks.day_volume, of_day.ticks.day_volume)
    assert len(rejected) == cuts[1] - cuts[2]  # what is in both counts once
