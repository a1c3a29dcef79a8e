"""Sources are found by their files and by entry points; half a declaration is rejected in words."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

from producers import sources
from producers.origin import Origin, origin_of
from producers.polling import poll
from producers.quote_batch import Quote, usable
from producers.scan.staleness import FeedMemory, FeedWatch
from producers.settings import ScannerSettings
from producers.source import (
    SCANNER_VARIABLES,
    Key,
    Missing,
    Option,
    Quotes,
    Source,
    SourceError,
    SourceSpec,
    SourceSpecError,
)
from producers.sources import create, describe, get, get_pollable, history_of, names

OURS = ["alpaca", "coinbase", "finnhub", "kraken", "simulated", "yahoo"]
SOUND = """
from producers.quote_batch import Quote
from producers.source import Key, SourceSpec

class Acme:
    def __init__(self, environment):
        self.key = environment["ACME_KEY"]
    def quotes(self, symbols, now_ms):
        return {"AAPL": Quote(189.12)}

SOURCE = SourceSpec(
    name="acme", summary="acme's stocks", assets=("stocks",), market="XNYS", columns=(), poll=Acme,
    keys=(Key("ACME_KEY", "ask acme"),),
)
"""
HALF = """
from producers.source import SourceSpec
SOURCE = SourceSpec(name="acme", summary="acme's stocks", columns=(), poll=print)
"""


class Plain:
    """A source that answers what it was made with, or raises it."""

    def __init__(self, answer: Quotes | BaseException) -> None:
        self._answer = answer

    def quotes(self, symbols: object, now_ms: int) -> Quotes:  # noqa: ARG002
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


SPEC = SourceSpec(
    name="acme", summary="stocks", assets=("stocks",), market="XNYS", columns=(), poll=lambda _e: Plain({})
)
Add = Callable[[str], object]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Add]:
    """Install a package that adds the source acme, as its own pyproject.toml would say it."""
    site = tmp_path / "site"
    metadata = site / "acme_quotes-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-quotes\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[stock_monitor.sources]\nacme = acme_quotes:SOURCE\n")
    monkeypatch.syspath_prepend(str(site))
    yield (site / "acme_quotes.py").write_text
    sys.modules.pop("acme_quotes", None)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Add files to the folder of sources, without touching the checkout."""
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path)])
    added = []

    def add(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)
        added.append(f"producers.sources.{name}")

    yield add
    for module in added:
        sys.modules.pop(module, None)
        monkeypatch.delattr(sources, module.rpartition(".")[2], raising=False)


def test_ours_are_there_and_sound() -> None:
    assert names() == OURS
    assert [found.name for found in describe()] == sorted([*OURS, "replay"])
    assert all(found.spec is not None and found.problem == "" for found in describe())
    assert isinstance(create("simulated", {}), Source)


def test_a_package_adds_one_by_an_entry_point(package: Add) -> None:
    package(SOUND)
    assert names() == ["acme", *OURS]
    assert poll("acme", create("acme", {"ACME_KEY": "k3y"}), ["AAPL", "IBM"], 1).missing == ["IBM"]
    assert origin_of("acme") == "live"


@pytest.mark.parametrize("file", ["acme", "of_another_name"])
def test_one_file_adds_one(folder: Callable[[str, str], None], file: str) -> None:
    folder(file, SOUND)
    assert names() == ["acme", *OURS]
    assert poll("acme", create("acme", {"ACME_KEY": "k3y"}), ["AAPL"], 1).price == [189.12]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import no_such_module", r"ModuleNotFoundError: No module named 'no_such_module'"),
        ("print('hello", "SyntaxError"),
        ("raise RuntimeError('not today')", "RuntimeError: not today"),
        ("raise SystemExit('not today')", "SystemExit: not today"),
        ("A = 1", "declares no source: SOURCE must be a SourceSpec"),
        (HALF, "declared in part: missing 2 required keyword-only arguments: 'assets' and 'market'"),
        (SOUND.replace('("stocks",)', '("bonds",)'), r"assets is \('bonds',\); must be some of stocks"),
    ],
)
def test_what_cannot_be_loaded_is_named_and_the_others_go_on(
    folder: Callable[[str, str], None], text: str, why: str
) -> None:
    folder("acme", text)
    assert names() == OURS
    assert isinstance(create("simulated", {}), Source)
    with pytest.raises(
        SourceError, match=f"source acme cannot be used: .*acme.py cannot be loaded: .*{why}|{why}"
    ):
        create("acme", {"ACME_KEY": "k3y"})
    with pytest.raises(SourceError, match=rf"unknown source 'alpca'.*these cannot be used: acme \(.*{why}"):
        get("alpca")
    (broken,) = [found for found in describe() if found.spec is None]
    assert broken.name == "acme"


def test_a_package_that_does_not_import_is_named(package: Add) -> None:
    package("import no_such_module")
    with pytest.raises(
        SourceError, match="source acme cannot be used: package acme-quotes cannot be loaded: ModuleNot"
    ):
        create("acme", {})
    assert names() == OURS


def test_which_of_two_of_one_name_is_meant_nobody_can_know(
    folder: Callable[[str, str], None], package: Add
) -> None:
    folder("acme", SOUND)
    package(SOUND)
    with pytest.raises(SourceError, match=r"is declared twice: by .*/acme.py and by package acme-quotes"):
        create("acme", {"ACME_KEY": "k3y"})
    assert names() == OURS


def test_a_package_cannot_take_the_name_of_ours_unseen(package: Add) -> None:
    package(SOUND.replace('name="acme"', 'name="simulated"'))
    with pytest.raises(SourceError, match=r"declared twice: by .*/simulated.py and by package acme-quotes"):
        create("simulated", {"ACME_KEY": "k3y"})


def test_what_a_maker_returns_must_be_a_source(folder: Callable[[str, str], None]) -> None:
    folder("acme", SOUND.replace("poll=Acme", "poll=lambda environment: None"))
    with pytest.raises(
        SourceError, match="source acme makes a NoneType; must be an object with a method quotes"
    ):
        create("acme", {"ACME_KEY": "k3y"})


def test_an_unknown_source_is_rejected_by_name_with_what_is_allowed() -> None:
    with pytest.raises(
        SourceError, match="unknown source 'alpca'; must be one of alpaca, coinbase, finnhub, kraken"
    ):
        get_pollable("alpca")
    with pytest.raises(SourceError, match="source is 'no name'; must be a name of"):
        get_pollable("no name")
    with pytest.raises(SourceError, match="cannot be polled: run `stock-monitor replay FILE`"):
        get_pollable("replay-1")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "a b"}, "name is 'a b'"),
        ({"name": "live"}, "name is 'live'"),
        (
            {"name": "replay-1"},
            "name is 'replay-1'; must be .* and not .*live.* or what begins with replay-",
        ),
        ({"name": None}, "name is None"),
        ({"summary": ""}, "summary is ''"),
        ({"summary": 5}, "summary is 5; must be a clause"),
        ({"assets": ()}, r"assets is \(\)"),
        ({"assets": 5}, "assets is 5; must be some of stocks"),
        ({"assets": ("stocks", "stocks")}, "assets is .*; must be some of stocks"),
        ({"columns": ("price",)}, "columns is .*some of bid, ask"),
        ({"columns": None}, "columns is None"),
        ({"market": ""}, "market is ''"),
        ({"market": "NYSE"}, "market is 'NYSE'; must be one of 24/7, fx, .*XNYS"),
        ({"poll": None}, "poll and stream is None; must be a function"),
        ({"poll": lambda: None}, "poll is .*; must be None, or a function of the environment"),
        ({"stream": 5}, "stream is 5; must be None, or a function of the environment"),
        ({"history": "acme"}, "history is 'acme'; must be None, or a function of the environment"),
        ({"is_recorded": True}, "poll and stream is None; must be left out of a recording"),
        ({"is_recorded": "no"}, "is_recorded is 'no'; must be True or False"),
        ({"calls_per_minute": 0}, "calls_per_minute is 0; must be a number above 0, or None"),
        ({"calls_per_minute": float("inf")}, "calls_per_minute is inf"),
        ({"calls_per_minute": "many"}, "calls_per_minute is 'many'"),
        ({"symbols_per_call": 2.5}, "symbols_per_call is 2.5; must be a whole number from 1"),
        ({"max_symbols": True}, "max_symbols is True"),
        ({"keys": ("ACME_KEY",)}, r"keys is \('ACME_KEY',\); must be Keys, as a tuple"),
        ({"keys": Key("ACME_KEY", "ask")}, "keys is Key.*; must be Keys, as a tuple"),
        ({"options": None}, "options is None; must be Options"),
        (
            {"keys": (Key("A", "ask"),), "options": (Option("A", "a feed"),)},
            "variables is .*; must be each of one key or option",
        ),
        ({"packages": ("../acme",)}, r"packages is \('../acme',\)"),
        ({"packages": "yfinance"}, "packages is 'yfinance'; must be names of distributions, as a tuple"),
        ({"limits": None}, "limits is None"),
    ],
)
def test_half_a_declaration_says_what_is_missing(change: dict[str, object], why: str) -> None:
    with pytest.raises(SourceSpecError, match=f"source .*{why}"):
        replace(SPEC, **change)  # type: ignore[arg-type]


def test_what_the_scanner_reads_is_no_source_s() -> None:
    assert set(ScannerSettings.__struct_encode_fields__) == SCANNER_VARIABLES


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Key("acme-key", "ask"), "key 'acme-key': variable is 'acme-key'; must be 1 to 64 of A-Z"),
        (lambda: Key("AWS_SESSION_TOKEN", "ask"), "must be 1 to 64 of .* none of the scanner's own, of AWS_"),
        (lambda: Option("MARKETS", "markets"), "option 'MARKETS': variable is 'MARKETS'; must be"),
        (lambda: Key("ACME_KEY", ""), "key 'ACME_KEY': where is ''; must be where to get one"),
        (lambda: Option("ACME_FEED", ""), "option 'ACME_FEED': about is ''; must be what it chooses"),
        (
            lambda: Option("ACME_FEED", "a feed", cast("tuple[str]", "fast")),
            "allowed is 'fast'; must be texts",
        ),
    ],
)
def test_half_a_key_or_option_says_what_is_missing(make: Callable[[], object], why: str) -> None:
    with pytest.raises(SourceSpecError, match=why):
        make()


@pytest.mark.parametrize(
    ("change", "environment", "why"),
    [
        ({"packages": ("acme-sdk",)}, {}, "needs the package acme-sdk: pip install"),
        ({"keys": (Key("ACME_KEY", "ask them"),)}, {}, "needs a key and ACME_KEY is not set: ask them"),
        ({"keys": (Key("ACME_KEY", "ask them"),)}, {"ACME_KEY": " "}, "ACME_KEY is not set"),
        ({"keys": (Key("ACME_KEY", "ask"),)}, {"ACME_KEY": "a\nb"}, "holds characters that no key has"),
        (
            {"options": (Option("ACME_FEED", "which", ("fast", "slow")),)},
            {"ACME_FEED": "all"},
            "ACME_FEED is 'all'; must be one of fast, slow",
        ),
    ],
)
def test_what_is_not_set_up_is_said_with_the_remedy(
    change: dict[str, object], environment: dict[str, str], why: str
) -> None:
    with pytest.raises(SourceError, match=why):
        replace(SPEC, **change).check(environment)  # type: ignore[arg-type]


def test_a_source_that_does_not_start_says_why_without_its_key(folder: Callable[[str, str], None]) -> None:
    folder(
        "acme",
        SOUND.replace('self.key = environment["ACME_KEY"]', 'raise ValueError(environment["ACME_KEY"])'),
    )
    with pytest.raises(SourceError, match=r"source acme does not start: ValueError: \*\*\*") as error:
        create("acme", {"ACME_KEY": "s3cr3t"})
    assert "s3cr3t" not in str(error.value)


def test_a_history_that_does_not_start_says_why_without_its_key(folder: Callable[[str, str], None]) -> None:
    folder("acme", SOUND.replace("poll=Acme", "poll=Acme, history=lambda environment: 1 / 0"))
    with pytest.raises(SourceError, match="source acme does not start: ZeroDivisionError: division by zero"):
        history_of("acme", {"ACME_KEY": "s3cr3t"})


@pytest.mark.parametrize(
    "raised",
    [TypeError("'NoneType' object is not subscriptable"), IndexError(), KeyError("c"), SystemExit(3)],
)
def test_whatever_a_source_raises_is_a_failed_poll(raised: BaseException) -> None:
    # yfinance raised TypeError and IndexError on what Yahoo answered: yfinance issue 2676
    with pytest.raises(SourceError, match=f"source acme failed: {type(raised).__name__}"):
        poll("acme", Plain(raised), ["AAPL"], 1)


@pytest.mark.parametrize("answer", [None, [], [("A", Quote(1.5))], "A"])
def test_what_is_no_mapping_of_tickers_is_a_failed_poll(answer: object) -> None:
    said = f"source acme failed: TypeError: quotes returned a {type(answer).__name__}; must be a mapping"
    with pytest.raises(SourceError, match=said):
        poll("acme", Plain(cast(Quotes, answer)), ["A"], 1)


@pytest.mark.parametrize("unit", [1000, 10**6], ids=["microseconds", "nanoseconds"])
def test_one_time_in_another_unit_does_not_make_all_later_quotes_of_its_ticker_old(unit: int) -> None:
    now_ms, feed, rows = 1_763_996_400_000, FeedWatch("acme", FeedMemory()), list[list[int]]()
    for step in range(3):
        at = now_ms + 5000 * step
        said = at * unit if step == 0 else at - 100
        batch = poll(
            "acme", Plain({"A": Quote(1.5, quote_ts=said), "B": Quote(1.5, quote_ts=at)}), ["A", "B"], at
        )
        assert batch.quote_ts == [None if step == 0 else said, at]
        assert usable(batch)[1] == []
        rows.append(feed.observe(["A", "B"], batch, at).rows)
    assert rows == [[0, 1]] * 3


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "the source returned a NoneType; must be a Quote or Missing"),
        ({"price": 1.5}, "the source returned a dict; must be a Quote or Missing"),
        (1.5, "the source returned a float; must be a Quote or Missing"),
        (Missing(cast(str, 5)), "5"),
    ],
)
def test_what_is_no_quote_costs_its_ticker_alone(answer: object, why: str) -> None:
    batch = poll("acme", Plain({"A": Quote(1.5), "B": cast(Quote, answer)}), ["A", "B"], 1_763_996_400_000)
    assert (batch.symbol, batch.missing, batch.reasons) == (["A"], ["B"], {"B": why})


@pytest.mark.parametrize(
    ("quote", "why"),
    [
        (Quote(cast(float, "1.5")), 'price is "1.5"; must be a number'),
        (Quote(cast(float, Decimal("1.5"))), 'price is "1.5"; must be a number'),
        (Quote(cast(float, None)), "price is null; must be a number"),
        (Quote(float("inf")), "price is Infinity; must be a number"),
        (Quote(1.5, quote_ts=cast(int, "2026-11-24")), 'quote_ts is "2026-11-24"; must be a whole number'),
    ],
)
def test_a_value_that_is_none_costs_its_row_alone(quote: Quote, why: str) -> None:
    batch = poll("acme", Plain({"A": Quote(1.5), "B": quote}), ["A", "B"], 1_763_996_400_000)
    kept, problems = usable(batch)
    assert kept.symbol == ["A"]
    assert [problem for problem in problems if why in str(problem)]


@pytest.mark.parametrize("said", [1_763_996_400, 0], ids=["seconds", "nothing"])
def test_a_time_of_1970_is_left_out(said: int) -> None:
    batch = poll("acme", Plain({"A": Quote(1.5, quote_ts=said)}), ["A"], 1_763_996_400_000)
    assert (batch.price, batch.quote_ts) == ([1.5], [None])


def test_what_was_not_asked_for_is_left_out_and_what_is_not_answered_is_missing() -> None:
    answer = {"A": Missing("halted"), "C": Missing("next poll", is_asked=False), "X": Missing("nobody asked")}
    batch = poll("acme", Plain(answer), ["A", "B", "C"], 1)
    assert (batch.symbol, batch.missing, batch.reasons) == ([], ["A", "B"], {"A": "halted"})


@pytest.mark.parametrize(
    ("source", "origin"),
    [("acme", "live"), ("simulated", "simulated"), ("simulated-2", "simulated"), ("replay-1", "replay")],
)
def test_the_name_says_the_origin(source: str, origin: Origin) -> None:
    assert origin_of(source) == origin


@pytest.mark.parametrize("error", [ValueError, SourceError])
def test_no_message_of_a_source_shows_its_key(
    folder: Callable[[str, str], None], error: type[Exception]
) -> None:
    folder("acme", SOUND)
    create("acme", {"ACME_KEY": "s3cr3t"})  # what is made with a key says nothing of it
    with pytest.raises(SourceError, match=r"401 for \*\*\*") as caught:
        poll("acme", Failing(error("401 for s3cr3t" + "x" * 500)), ["AAPL"], 1)
    assert caught.value.__cause__ is None
    batch = poll("acme", Plain({"AAPL": Missing("s3cr3t may not see it")}), ["AAPL"], 1)
    assert batch.reasons == {"AAPL": "*** may not see it"}


class Failing:
    """A source that fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def quotes(self, symbols: Sequence[str], now_ms: int) -> Quotes:
        del symbols, now_ms
        raise self._error
