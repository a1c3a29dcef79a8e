"""One folder of code for all workers of a function's version.

MiniStack 1.5.33 unzips a function's code for each worker that it starts, in the one process that answers all calls:
half a second to two of its time. On AWS the code is read-only, so one copy does for all of them.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ministack.core import lambda_runtime

_SHARED = "function-code"
_LOCK = threading.Lock()


def share_code_of_functions() -> None:
    """Let MiniStack unzip each version of a function once."""
    lambda_runtime.zipfile = SimpleNamespace(**{**vars(zipfile), "ZipFile": _SharedCode})


class _SharedCode(zipfile.ZipFile):
    """An archive of a worker's code, which is unzipped where its other workers find it."""

    def extractall(self, path: Any = None, members: Any = None, pwd: Any = None) -> None:
        """Put a link to the code in the place of a worker's folder `code`; unzip anything else as usual."""
        folder = Path(path or ".")
        if folder.name != "code":
            super().extractall(path, members, pwd)
            return
        workers = folder.parent.parent
        content = "".join(f"{one.filename} {one.CRC} {one.file_size}\n" for one in self.infolist())
        shared = workers / _SHARED / hashlib.sha256(content.encode()).hexdigest()[:32]
        with _LOCK:
            if not shared.exists():
                _forget_unused(workers)
                partial = shared.with_suffix(".partial")
                shutil.rmtree(partial, ignore_errors=True)
                super().extractall(partial, members, pwd)
                partial.rename(shared)
            folder.rmdir()
            folder.symlink_to(shared)


def _forget_unused(workers: Path) -> None:
    """Delete the code that no worker has: that of versions from before."""
    used = {link.resolve() for link in workers.glob("*/code") if link.is_symlink()}
    for folder in (workers / _SHARED).glob("*"):
        if folder.resolve() not in used:
            shutil.rmtree(folder, ignore_errors=True)
