"""Sources are found by name, ours and those that a package adds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from producers.origin import origin_of
from producers.sources import Source, SourceError, create, names

PACKAGE = """
from producers.quote_batch import QuoteBatch

class Acme:
    name = "acme"
    def __init__(self, environment):
        self.key = environment["ACME_KEY"]
    def quotes(self, symbols, now_ms):
        return QuoteBatch(self.name, [], [], [], [], [], [], [], list(symbols))
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package that adds the source acme, as its own pyproject.toml would say it."""
    (tmp_path / "acme_quotes.py").write_text(PACKAGE)
    metadata = tmp_path / "acme_quotes-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-quotes\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[stock_monitor.sources]\nacme = acme_quotes:Acme\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("acme_quotes", None)


def test_ours_are_there() -> None:
    assert names() == ["alpaca", "finnhub", "simulated", "yahoo"]
    assert isinstance(create("simulated", {}), Source)


@pytest.mark.usefixtures("package")
def test_a_package_adds_one_by_an_entry_point() -> None:
    assert names() == ["acme", "alpaca", "finnhub", "simulated", "yahoo"]
    source = create("acme", {"ACME_KEY": "k3y"})
    assert source.quotes(["AAPL"], 1).missing == ["AAPL"]
    assert origin_of("acme") == "live"


def test_what_is_no_source_is_said() -> None:
    with pytest.raises(
        SourceError, match="'acme' is not installed: allowed are alpaca, finnhub, simulated, yahoo"
    ):
        create("acme", {})
    with pytest.raises(SourceError, match="allowed is a name of"):
        create("no name", {})
    with pytest.raises(SourceError, match="cannot be polled"):
        create("replay-1", {})
