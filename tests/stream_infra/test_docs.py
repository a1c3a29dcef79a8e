"""Commands in the documentation run on Linux and on macOS, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
GNU_ONLY = {
    r"date [^\n|)]*%\w*N": "date of BSD knows no %N",
    r"date [^\n|)]*(-d |--date)": "date of BSD knows no -d",
    r"(?<![\w-])zcat ": "zcat of BSD wants .Z: gunzip -c, or let the command read .gz",
    r"(?<![\w-])timeout \d": "macOS has no timeout",
    r"sed -i (?!'')": "sed -i of BSD wants a suffix",
    r"readlink -f|grep -P|xargs -r|stat -c|(?<![\w-])tac ": "an option or program of GNU alone",
}


def shell(text: str) -> str:
    """Blocks that a reader pastes into a shell, and what is indented as one."""
    fenced = re.findall(r"```(?:bash|sh|console)\n(.*?)```", text, re.S)
    return "\n".join([*fenced, *re.findall(r"(?m)^ {4}(?:\$ )?(\S.*)$", text)])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_command_is_of_one_system_only(document: Path) -> None:
    commands = shell(document.read_text())
    found = {
        why: match.group() for pattern, why in GNU_ONLY.items() if (match := re.search(pattern, commands))
    }
    assert found == {}


def test_what_is_of_gnu_only_is_found() -> None:
    bad = "```bash\ndate +%s%3N\ndate -u -d yesterday\nzcat x.gz\ntimeout 20 x\nsed -i s/a/b/ f\nreadlink -f x\n```"
    assert all(re.search(pattern, shell(bad)) for pattern in GNU_ONLY)


def anchors(text: str) -> set[str]:
    """The names by which GitHub lets a link lead to a heading."""
    found: dict[str, int] = {}
    for title in re.findall(r"(?m)^#+ (.+)$", re.sub(r"(?s)```.*?```", "", text)):
        name = re.sub(r"[^\w -]", "", re.sub(r"\]\(.*?\)", "", title)).strip().lower().replace(" ", "-")
        found[name] = found.get(name, -1) + 1
    return {f"{name}-{n}" if n else name for name, last in found.items() for n in range(last + 1)}


def broken(document: Path) -> list[str]:
    """Relative links of a document to a file or a heading that there is not."""
    text = re.sub(r"(?s)```.*?```|`[^`\n]*`", "", document.read_text())
    links = re.findall(r"""\]\(([^)\s]+)\)|(?:src|href)="([^"]+)\"""", text)
    found = []
    for link in filter(lambda link: ":" not in link, map("".join, links)):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        is_there = target.exists() and (not anchor or anchor in anchors(target.read_text()))
        found += [] if is_there else [link]
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_link_is_broken(document: Path) -> None:
    assert broken(document) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("## Of `this`, and that\n")
    document = tmp_path / "document.md"
    document.write_text(
        "# One two\n[a](#one-two) [b](#three) [c](there.md#of-this-and-that) [d](none.md) [e](there.md#none)"
    )
    assert broken(document) == ["#three", "none.md", "there.md#none"]
