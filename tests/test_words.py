"""One word for one thing: no word that the glossary replaced comes back, in code, messages, pages or documents."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]


class Word(NamedTuple):
    """A word that is not used, the one that is, and where the pattern means something else."""

    pattern: str
    instead: str
    unless: str = r"(?!)"


# The left column of the glossary, as far as a pattern can tell its meaning.
WORDS = (
    Word(r"\btold\b", "notified, or said", r"told apart"),
    Word(r"\b(held|hold|holds|holding) back\b", "deferred to a digest, or silenced", r"bad_tick|price"),
    Word(r"\bfates?\b", "status"),
    Word(r"\b(un)?mute[sd]?\b|\bMute(Order)?\b", "silence", r"mute[ _-]timing"),
    Word(r"\bplaces of the hour\b|\bBudget\b", "rate limit, quota", r"[Aa]ws|AWS Budgets"),
    Word(r"\bBook\b|\b_?book\b", "alert cache; of a market: quotes", r"order book"),
    Word(r"\brehears(al|e|ed|als)\b", "dry run"),
    Word(r"\bPosition\b|\b(stream|shard) positions?\b", "offset, cursor, checkpoint"),
    Word(r"\b(gave|give|given|gives|giving) up\b", "discarded, dead-lettered"),
    Word(r"\blate block", "backfill block"),
    Word(r"\bsource[ _]class(es)?\b|\bclass of sources?\b", "origin"),
    Word(
        r"\brefus(e|es|ed|al|ing)\b",
        "rejected",
        r"[Cc]onnection|CONNECTION|ConnectionRefused|AWS|\bAPI refuses\b",
    ),
    Word(r"\ballowed (is|are)\b(?! None)", "must be"),
    Word(r"\b_PassingError\b|\bStanding\b", "TransientError, VendorState"),
    Word(r"\bpatience\b|\bsilence granted\b", "staleness threshold, or a timeout by its name"),
    Word(r"\bwarmth\b", "warm-up"),
    Word(r"\banswers? with\b|\"\"\"Answer\b", "returns, Return"),
    Word(r"\bspread_of_expected\b", "tolerance"),
    Word(r"\bquarantine release\b", "quarantine requeue"),
    Word(r"\b_settle\b", "what it does: record, persist, commit"),
)
KINDS_OF_FILE = (".py", ".js", ".css", ".html", ".md", ".toml", ".yml", ".json")
# Where such a word is right, with the reason.
EXCEPTIONS = {
    "CHANGELOG.md": "says what was renamed",
    "tests/test_words.py": "lists the words",
    "package-lock.json": "names of others",
    "dashboard/vendor": "a library of others",
    "tests": "the words of tests follow their rooms",
    "docs/decisions": "records of their time keep their words",
}
# Not clean yet; a path goes from here once it is, and none is added.
PENDING: tuple[str, ...] = ()


def _files() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [
        name
        for name in listed.stdout.splitlines()
        if name.endswith(KINDS_OF_FILE)
        and not any(name == of or name.startswith(f"{of}/") for of in (*EXCEPTIONS, *PENDING))
    ]


def found(text: str, word: Word) -> list[tuple[int, str]]:
    """The lines with the word, by number."""
    return [
        (number, line.strip())
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(word.pattern, line) and not re.search(word.unless, line)
    ]


@pytest.mark.parametrize("word", WORDS, ids=[word.instead for word in WORDS])
def test_the_field_s_word_is_used(word: Word) -> None:
    lines = [
        f"{name}:{number}: {line[:100]}"
        for name in _files()
        for number, line in found((ROOT / name).read_text(encoding="utf-8"), word)
    ]
    assert not lines, f"use: {word.instead}\n" + "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("an alert is told once", "notified, or said"),
        ("class Book:", "alert cache; of a market: quotes"),
        ("a value is refused", "rejected"),
    ],
)
def test_a_planted_word_is_found(text: str, instead: str) -> None:
    (word,) = [word for word in WORDS if word.instead == instead]
    assert found(f"first\n{text}\n", word) == [(2, text)]
    assert found("runbook, cookbook, connection refused, told apart\n", word) == []


def test_a_class_s_name_is_that_of_one_thing() -> None:
    """A reader greps: of two public classes with one name, one gets a longer name that says what it is."""
    places: dict[str, list[str]] = {}
    for name in _files():
        if name.endswith(".py"):
            for of in re.findall(
                r"^class ([A-Z]\w*)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE
            ):
                places.setdefault(of, []).append(name)
    assert {of: names for of, names in places.items() if len(names) > 1} == {}
