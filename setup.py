"""Builds the wheel of what pyproject.toml says, with the detectors compiled into it."""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


class Build(build_py):
    """Compiles the detectors first, unless they are, as they are in a source distribution made from a checkout."""

    def run(self) -> None:
        """Build, but for an editable install: there the detectors change, and `make` compiles them."""
        if not self.editable_mode:
            sys.path.insert(0, str(ROOT))
            from consumers.detectors.engine import compiler  # noqa: PLC0415 - of this checkout

            compiler.build(Path(sys.executable), ROOT / "build" / "compiled")
        super().run()


setup(cmdclass={"build_py": Build})
