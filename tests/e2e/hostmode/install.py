"""Makes LocalStack's environment: pinned with hashes, apart from ours, made once."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from localstack.settings import LocalError

VERSION = "4.9.2"
_PYTHON = (3, 11)
_HERE = Path(__file__).resolve().parent
_LOCK = _HERE / "requirements.lock"
_EXECUTOR = _HERE / "executor"


def install(directory: Path) -> Path:
    """Make the environment in `directory` unless it is there. Gives the path of its Python.

    Raises:
        LocalError: this Python is not 3.11 (functions run on it, so both must be the same), or uv failed.
    """
    if sys.version_info[:2] != _PYTHON:
        raise LocalError(
            f"LocalStack {VERSION} without Docker needs Python 3.11, this is {sys.version.split()[0]}: "
            "make the environment anew with `make .venv PYTHON=python3.11`, or use Docker"
        )
    environment = directory / "environment"
    python = environment / "bin" / "python"
    mark, wanted = environment / "installed", _fingerprint()
    if mark.exists() and mark.read_text() == wanted:
        return python
    _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(environment))
    _uv("pip", "install", "--quiet", "--python", str(python), "--require-hashes", "--requirement", str(_LOCK))
    # From a copy, for setuptools builds where the sources lie.
    sources = directory / "executor"
    shutil.rmtree(sources, ignore_errors=True)
    shutil.copytree(_EXECUTOR, sources)
    arguments = ("--no-deps", "--no-build-isolation", str(sources))
    _uv("pip", "install", "--quiet", "--python", str(python), *arguments)
    mark.write_text(wanted)
    return python


def _fingerprint() -> str:
    digest = hashlib.sha256(sys.version.encode())
    for path in (_LOCK, *sorted(path for path in _EXECUTOR.rglob("*") if path.suffix in {".py", ".toml"})):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _uv(*arguments: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run(
        [str(uv), "--no-config", *arguments], capture_output=True, text=True, check=False, timeout=900
    )
    if done.returncode:
        raise LocalError(f"uv {' '.join(arguments[:2])} failed:\n{done.stderr.strip()}")
