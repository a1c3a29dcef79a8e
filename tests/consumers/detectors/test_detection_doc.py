"""docs/detection.md tells of the kinds that there are."""

from __future__ import annotations

import re
from pathlib import Path

from consumers.contracts.kinds import KINDS, spec_of

TEXT = (Path(__file__).parents[3] / "docs" / "detection.md").read_text()


def test_the_table_of_kinds_is_that_of_the_detectors() -> None:
    table = TEXT.partition("\n## The kinds\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| (\w+) \|", table, re.MULTILINE)
    assert listed[0] == "kind"
    assert sorted(listed[1:]) == sorted(KINDS)


def test_what_differs_between_kinds_is_what_they_declare() -> None:
    assert [kind for kind in KINDS if spec_of(kind).concerns == "feed"] == ["frozen_feed", "gap"]
    assert [kind for kind in KINDS if spec_of(kind).concerns == "print"] == ["bad_tick"]
    assert all(spec_of(kind).concerns == "market" for kind in KINDS if spec_of(kind).is_feigned_by_misprints)
