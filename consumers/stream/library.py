"""Where the compiled library is, and whether it is of the source at hand (`detectors.engine.compiler` makes it).

It holds the detectors, what reads the columns of quote batches, and what a block of ticks takes. Whoever finds none
runs the Python that it is made of, or that says the same.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLATFORMS = {
    "linux-x86_64": "x86_64-linux-gnu",
    "linux-aarch64": "aarch64-linux-gnu",
    "darwin-x86_64": "x86_64-macos",
    "darwin-arm64": "aarch64-macos",
}
"""What a library is made for, by the name that Python has for the platform, and the compiler's name for it."""
FOLDER = Path(__file__).parent
COLUMNS = FOLDER / "columns.c"
BLOCK = FOLDER.parent / "windows" / "block.c"
_DETECTORS = FOLDER.parent / "detectors"
LOOP = _DETECTORS / "engine" / "loop.c"
_ENGINE = ("compiler.py", "episodes.py", "signals.py", "state.py", "tail.py")


class Library(NamedTuple):
    """The compiled code, the kinds whose scores it has, and the fields that its State begins with."""

    code: ctypes.CDLL
    kinds: frozenset[str]
    fields: tuple[str, ...]


class Address(ctypes.c_void_p):
    """Where an array lies; it keeps the array, as that may be a copy that nobody else has."""

    array: NDArray[Any]


def address(array: NDArray[Any]) -> Address:
    """Return where an array lies, for a function of the library."""
    found = Address(array.ctypes.data)
    found.array = array
    return found


def name_of(platform_name: str) -> str:
    """Return the name of the library's file for a platform, ``linux-x86_64``."""
    return f"compiled-{platform_name}.so"


def this_platform() -> str:
    """Return the platform that this Python runs on."""
    return f"{platform.system().lower()}-{platform.machine()}"


def fingerprints() -> dict[str, str]:
    """Return of each source that is compiled, by its path in `consumers`, what it holds."""
    sources = [
        COLUMNS,
        BLOCK,
        LOOP,
        *(LOOP.parent / name for name in _ENGINE),
        *sorted(_DETECTORS.glob("*.py")),
    ]
    return {_relative(path): _fingerprint(path) for path in sources}


def find(folder: Path = FOLDER) -> Library | None:
    """Return the library of this platform, or None where there is none, or it is of other sources than those beside."""
    path = folder / name_of(this_platform())
    if not path.exists():
        return None
    try:
        code = ctypes.CDLL(str(path))
    except OSError:  # of another C library or processor: the source runs as it is
        return None
    made_of = json.loads(ctypes.string_at(ctypes.addressof(ctypes.c_char.in_dll(code, "made_of"))))
    sources = {folder.parent / name: found for name, found in made_of["sources"].items()}
    if any(not source.exists() or _fingerprint(source) != found for source, found in sources.items()):
        return None
    code.read_columns.argtypes = (ctypes.c_char_p, *(ctypes.c_int64,) * 5, ctypes.c_void_p)
    for name in ("run", "arrange", "pack_ticks", "advance_bars"):
        getattr(code, name).restype = ctypes.c_int64
    return Library(code, frozenset(made_of["kinds"]), tuple(made_of["fields"]))


def _relative(path: Path) -> str:
    return path.relative_to(FOLDER.parent).as_posix()


def _fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


LIBRARY = find()
