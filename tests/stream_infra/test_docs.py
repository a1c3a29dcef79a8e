"""Commands in the documentation run where we say that they run: on Linux and on macOS."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
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
