"""The compiled detectors and the Python that they are made of give the same bits, whichever of them are compiled."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.contracts.kinds import KINDS, REGISTRY
from consumers.detectors.engine import engine
from consumers.detectors.engine.compiled import Loop
from consumers.detectors.engine.signals import Signals
from consumers.detectors.engine.state import State
from consumers.detectors.engine.ticks import Floats
from consumers.stream import library
from tests.consumers.detectors.test_laws import (
    PAUSES,
    PRICES,
    QUOTES,
    VOLUMES,
    adversarial,
    market_ticks,
    run,
    same_bits,
)

Outcome = tuple[Floats, Floats, list[engine.Transition]]


@pytest.fixture(scope="module")
def compiled() -> library.Library:
    found = library.find()
    assert found is not None, "the detectors are not compiled, or others are: `make compiled`"
    return found


def outcome(ticks: engine.Ticks, loop: Loop | None, threshold: float = 1.0) -> Outcome:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "LOOP", loop)
        return run(ticks, threshold)


def is_same(one: Outcome, other: Outcome) -> bool:
    return same_bits(one[0], other[0]) and same_bits(one[1], other[1]) and one[2] == other[2]


def test_every_detector_is_compiled(compiled: library.Library) -> None:
    assert compiled.kinds == set(KINDS)
    assert set(compiled.fields) <= set(engine.STATE_FIELDS)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    symbols=st.sampled_from([1, 3, 60, 400]),
    ticks=st.sampled_from([150, 1500, 3000]),
    threshold=st.sampled_from([0.5, 1.0, 2.5]),
)
def test_any_market_compiled_and_not(
    compiled: library.Library, seed: int, symbols: int, ticks: int, threshold: float
) -> None:
    market = market_ticks(seed, symbols, ticks)
    expected = outcome(market, None, threshold)
    assert is_same(outcome(market, Loop(compiled), threshold), expected)


@settings(max_examples=100)
@given(rows=st.lists(st.tuples(PRICES, QUOTES, QUOTES, VOLUMES, PAUSES), min_size=1, max_size=25))
def test_any_values_compiled_and_not(compiled: library.Library, rows: list[tuple[float, ...]]) -> None:
    ticks = adversarial(rows)
    assert is_same(outcome(ticks, Loop(compiled)), outcome(ticks, None))


@pytest.mark.parametrize("kinds", [(), ("bad_tick",), ("gap", "level_shift", "volume_burst")])
def test_a_detector_that_is_not_compiled_runs_in_the_same_step(
    compiled: library.Library, kinds: tuple[str, ...]
) -> None:
    ticks = market_ticks(3, 7, 3000)
    part = compiled._replace(kinds=frozenset(kinds))
    assert is_same(outcome(ticks, Loop(part)), outcome(ticks, None))


@pytest.mark.parametrize("transposed", [False, True], ids=["fields first", "symbols first"])
def test_states_and_scores_may_lie_in_memory_as_they_like(*, transposed: bool) -> None:
    ticks = market_ticks(5, 9, 2000)
    expected = run(ticks)
    states = engine.new_states(9)
    states = np.asfortranarray(states) if transposed else np.ascontiguousarray(states)
    scores = np.zeros((len(KINDS), 3000))[:, 500:2500]
    thresholds = np.repeat([2.5], len(KINDS) * 9).reshape(9, len(KINDS)).T
    found = engine.apply(states, ticks, thresholds if transposed else thresholds.copy(), scores)
    assert same_bits(states, expected[0])
    assert same_bits(scores, expected[1])
    assert found == expected[2]


def _broken(_s: State, _x: Signals) -> tuple[float, float, float, float]:
    raise ZeroDivisionError


def test_an_error_of_a_detector_that_is_not_compiled_is_raised(
    compiled: library.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    gap = REGISTRY["gap"]
    broken = gap._replace(spec=replace(gap.spec, score=_broken))
    monkeypatch.setitem(REGISTRY, "gap", broken)
    loop = Loop(compiled._replace(kinds=frozenset()))
    with pytest.raises(ZeroDivisionError):
        outcome(market_ticks(1, 1, 200), loop)


def test_a_library_of_other_sources_is_not_used(compiled: library.Library, tmp_path: Path) -> None:
    del compiled
    for folder in ("detectors", "stream", "windows"):
        source = library.FOLDER.parent / folder
        shutil.copytree(source, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    copied, beside = tmp_path / "detectors", tmp_path / "stream"
    assert library.find(beside) is not None
    (copied / "added.py").write_text("")
    assert library.find(beside) is not None  # what was added is not in it, and runs beside it
    gap = copied / "gap.py"
    gap.write_text(
        gap.read_text().replace("LONG_BREAK_MS, SAME_TIME_MS = 30.0", "LONG_BREAK_MS, SAME_TIME_MS = 31.0")
    )
    assert library.find(beside) is None
    gap.unlink()
    assert library.find(beside) is None


@pytest.mark.parametrize("platform", library.PLATFORMS)
def test_there_is_a_library_of_each_platform_of_these_sources(platform: str) -> None:
    held = (library.FOLDER / library.name_of(platform)).read_bytes()
    for name, found in library.fingerprints().items():
        assert f'"{name}":"{found}"'.encode() in held


def test_no_multiply_add_is_fused_on_arm64() -> None:
    held = (library.FOLDER / library.name_of("linux-aarch64")).read_bytes()
    words = [
        word for code in executable(held) for (word,) in struct.iter_unpack("<I", code[: len(code) // 4 * 4])
    ]
    assert any(word & 0xFFE0FC00 == 0x1E600800 for word in words)  # FMUL of doubles, so that this can fail
    assert not [word for word in words if word & 0xFFC00000 == 0x1F400000]  # FMADD and its kin, of doubles
    assert not [
        word for word in words if word & 0xBF60FC00 == 0x0E60CC00
    ]  # FMLA and FMLS, of vectors of doubles


def executable(held: bytes) -> Iterator[bytes]:
    """The segments of an ELF file that are loaded to be executed."""
    start, size, count = *struct.unpack_from("<Q", held, 32), *struct.unpack_from("<HH", held, 54)
    for at in range(start, start + size * count, size):
        kind, flags, offset, _, _, length = struct.unpack_from("<IIQQQQ", held, at)
        if kind == 1 and flags & 1:
            yield held[offset : offset + length]
