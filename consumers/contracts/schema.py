"""The JSON Schema of the events on the bus: docs/events.schema.json, with the kinds that there are.

python -m consumers.contracts.schema
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from consumers.contracts.kinds import EVERY_KIND

COMMITTED: Final = Path("docs/events.schema.json")
_KIND_ENUM = re.compile(r'("kind": \{\s*"enum": )\[[^\]]*\]')


def with_kinds(text: str) -> str:
    """Return the text of the schema with the kinds of this installation; all else stays."""
    return _KIND_ENUM.sub(lambda found: found[1] + json.dumps(EVERY_KIND), text)


def schema(text: str) -> dict[str, Any]:
    """Return the schema in `text` as this installation sends events."""
    found: dict[str, Any] = json.loads(with_kinds(text))
    return found


def main() -> None:
    """Write the kinds into the committed schema; run it in the root of the repository."""
    COMMITTED.write_text(with_kinds(COMMITTED.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
