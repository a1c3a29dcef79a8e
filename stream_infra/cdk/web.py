"""What a browser may do on the dashboard's origin, and which files the site is made of."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from pathlib import Path

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
NOT_SERVED = ("*.d.ts", "*.md", "tsconfig.json")
"""For developers only: types and notes beside the dashboard's modules."""
_CONTENT_TYPES = {
    ".webmanifest": "application/manifest+json",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
}


def site_files(folder: Path) -> Iterator[tuple[str, Path, str]]:
    """Key, file and content type of everything that is served, in order."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(path.match(pattern) for pattern in NOT_SERVED):
            guessed = _CONTENT_TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
            yield path.relative_to(folder).as_posix(), path, guessed or "application/octet-stream"
