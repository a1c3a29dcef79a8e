"""Lambda bundles without Docker: our rooms, packages of the user's own, and wheels from the lock, for the platform.

boto3 is left out: the Python runtime of Lambda brings it, and so does the local AWS. Not so urllib3, which calls the
vendors: which version the runtime has is not ours to say. A bundle is a folder under `build/bundles/` of the checkout
(of the current folder, where the monitor is installed from its wheel), named by a fingerprint of all that goes into
it, with its archive beside it: what is unchanged is neither built nor compressed twice.
"""

from __future__ import annotations

import fcntl
import hashlib
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from consumers.stream.library import PLATFORMS, name_of, this_platform
from producers.errors import MonitorError
from producers.sources import get_pollable
from stream_infra import names
from stream_infra.cdk.extensions import File, files_below, files_of
from stream_infra.config import Config

Target = Literal["aws", "local"]
AT_ONCE = 2
"""Bundles that are built at once: each keeps a processor busy."""
RUNTIME_VERSION = "3.13"
"""Python of the functions on AWS; locally they run on the Python of the environment."""
LOCK = Path(__file__).with_name("requirements.lock")
"""The lock in the root of the repository: a link here, so that the wheel has it too."""
UNZIPPED_BYTES = 250 * 1024 * 1024
"""Lambda guide, "Lambda quotas": what a deployment package has at most, unzipped."""

_POWERTOOLS = ("aws-lambda-powertools", "jmespath", "typing-extensions")
_KPL = ("aws-kinesis-agg", "six", "protobuf")  # aws-kinesis-agg imports six and does not declare it
_PYDANTIC = ("pydantic", "pydantic-core", "annotated-types", "typing-inspection")
# What importing never reads: tests, type stubs, headers, the Fortran wrapper generator.
_UNUSED = (
    "**/tests",
    "**/*.pyi",
    "**/include",
    "numpy/f2py",
    "numpy/_core/lib",
    "bin",
    "**/__pycache__",
    "**/*.h",
)


def runtime_version(target: Target) -> str:
    """Python that a bundle is made for: locally the one of the environment, whose wheels it holds."""
    return RUNTIME_VERSION if target == "aws" else f"{sys.version_info.major}.{sys.version_info.minor}"


def is_x86(target: Target) -> bool:
    """Whether a bundle is made for x86-64: on AWS never, locally where the machine is."""
    return target == "local" and platform.machine().lower() in {"x86_64", "amd64"}


class BundleError(MonitorError):
    """A bundle could not be built; the message says which, and what the installer said."""


@dataclass(frozen=True)
class Contents:
    """Rooms (our packages) and distributions (from the lock) of one function."""

    rooms: tuple[str, ...]
    distributions: tuple[str, ...]


CONTENTS = {
    names.SCANNER: Contents(
        ("producers",), ("msgspec", "urllib3", "websockets", *_KPL, *_POWERTOOLS, *_PYDANTIC)
    ),
    names.DETECTOR: Contents(
        ("producers", "consumers"), ("msgspec", "backports-zstd", "numpy", *_KPL, *_POWERTOOLS)
    ),
    names.NOTIFIER: Contents(
        ("producers", "consumers"), ("msgspec", "backports-zstd", "tzdata", *_POWERTOOLS, *_PYDANTIC)
    ),
    names.API_HANDLER: Contents(
        ("producers", "consumers", "api"),
        ("msgspec", "backports-zstd", *_POWERTOOLS, *_PYDANTIC),
    ),
    names.LAKE: Contents(
        ("producers", "consumers"),
        ("msgspec", "backports-zstd", "numpy", "duckdb", *_KPL, *_POWERTOOLS, *_PYDANTIC),
    ),
}


def bundles(root: Path, config: Config, target: Target | None = None) -> dict[str, Path]:
    """Return the archive of code of every function of a deployment, by its name.

    Parameters
    ----------
    target
        What they are built for, if not for the deployment's own: those on AWS run on Arm.

    Raises
    ------
    BundleError
        As `bundle` does.
    """
    needs = {names.SCANNER: get_pollable(config.source).packages}

    def archive(name: str) -> Path:
        return archive_of(bundle(root, name, target or config.target, needs.get(name, ()), config.packages))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(names.FUNCTIONS, pool.map(archive, names.FUNCTIONS), strict=True))


def archive_of(folder: Path) -> Path:
    """Return where the archive of a bundle's folder is."""
    return folder.with_name(f"{folder.name}.zip")


def bundle(
    root: Path, function: str, target: Target, needs: Sequence[str] = (), packages: Sequence[str] = ()
) -> Path:
    """Return the folder with everything the function imports, built if it is not there.

    Parameters
    ----------
    root
        Where our rooms are.
    needs
        Distributions of the lock that its source needs besides.
    packages
        Installed packages with detectors or sources of the user's own.

    Raises
    ------
    BundleError
        If a distribution is not in the lock, the installer failed, or Lambda would reject what came of it as too large.
    ExtensionError
        If a package cannot be put into a bundle.
    """
    contents = CONTENTS[function]
    distributions = _with_their_needs(LOCK, contents.distributions, needs)
    requirements = _locked(LOCK, distributions)
    files = [file for room in contents.rooms for file in files_below(root / room, PurePosixPath(room))]
    files = _with_own_library(files, function, target)
    files += files_of(packages, distributions)
    workspace = root if (root / "pyproject.toml").exists() else Path.cwd()
    kind = "-".join((function, *needs, target))
    folder = workspace / "build" / "bundles" / f"{kind}-{_fingerprint(files, requirements, target)}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one builds, whoever comes meanwhile gets what it built
        if not (folder.is_dir() and archive_of(folder).is_file()):
            _build(files, folder, function, target, requirements)
    return folder


def check_size(folder: Path, function: str) -> None:
    """Check a bundle against the quota of Lambda.

    Raises
    ------
    BundleError
        It is larger; what is largest in it is named.
    """
    sizes = {part.name: sum(of.stat().st_size for of in _files_in(part)) for part in folder.iterdir()}
    if (size := sum(sizes.values())) > UNZIPPED_BYTES:
        largest = ", ".join(
            f"{name} {sizes[name]:,}" for name in sorted(sizes, key=lambda name: -sizes[name])[:3]
        )
        raise BundleError(
            f"bundle of {function}: {size:,} bytes ({largest}, …)",
            allowed=f"{UNZIPPED_BYTES:,} at most: fewer packages",
        )


def _files_in(part: Path) -> Iterable[Path]:
    return [part] if part.is_file() else (of for of in part.rglob("*") if of.is_file())


def _with_own_library(files: Iterable[File], function: str, target: Target) -> list[File]:
    """Return the files, of the compiled detectors only those of the platform, and only where they run.

    Raises
    ------
    BundleError
        If there are none for AWS: what is deployed must not run at a hundredth of its speed.
    """
    own = (
        name_of("linux-aarch64" if target == "aws" else this_platform()) if function == names.DETECTOR else ""
    )
    libraries = {name_of(platform) for platform in PLATFORMS}
    kept = [file for file in files if file.name.name == own or file.name.name not in libraries]
    if own and target == "aws" and not any(file.name.name == own for file in kept):
        raise BundleError(
            f"bundle of {function} for {target}: the detectors are not compiled; run `make compiled`"
        )
    return kept


def _build(files: list[File], folder: Path, function: str, target: Target, requirements: str) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    _install(requirements, partial, function, target)
    for pattern in _UNUSED:
        for path in list(partial.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for file in files:
        copy = partial / file.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.content)
    check_size(partial, function)
    if target == "local":  # whose Python is this one: a function starts in half the time
        compiled = ["-m", "compileall", "-q", "-j2", "--invalidation-mode", "unchecked-hash", str(partial)]
        subprocess.run([sys.executable, *compiled], check=True)
    _forget_older(folder)
    archive = archive_of(partial)
    _compress(partial, archive, level=9 if target == "aws" else 1)
    archive.rename(archive_of(folder))
    partial.rename(folder)  # complete or not there: an interrupted build leaves only the .partial


def _compress(folder: Path, archive: Path, level: int) -> None:
    """Write a bundle's files into an archive with the same bytes each time: another would be another version."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as packed:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            packed.writestr(entry, path.read_bytes())


def _blocks(lock: Path) -> dict[str, list[str]]:
    """Return the lock's blocks of lines of every distribution, one for each version."""
    blocks: dict[str, list[str]] = {}
    for block in re.split(r"\n(?=\S)", lock.read_text()):
        if found := re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==", block):
            blocks.setdefault(found.group(1), []).append(block)
    return blocks


def _locked(lock: Path, distributions: Iterable[str]) -> str:
    """Return the lock's own lines, with hashes, of some distributions."""
    blocks = _blocks(lock)
    if missing := [name for name in distributions if name not in blocks]:
        raise BundleError(f"{lock.name} does not hold {', '.join(missing)}: run `make lock`")
    listed = [block for name in sorted(distributions) for block in blocks[name]]
    plain = ([line for line in block.splitlines() if not line.lstrip().startswith("#")] for block in listed)
    return "\n".join("\n".join(lines).rstrip("\\ ") for lines in plain) + "\n"


def _with_their_needs(lock: Path, distributions: Sequence[str], packages: Sequence[str]) -> set[str]:
    """Return `distributions`, and `packages` with all that the lock says is there because of them ("# via")."""
    because = {
        name: {
            line.lstrip("# ").removeprefix("via").strip() for block in blocks for line in block.splitlines()
        }
        for name, blocks in _blocks(lock).items()
    }
    needed = set(packages)
    while more := {name for name, whose in because.items() if whose & needed} - needed:
        needed |= more
    return {*distributions, *needed}


def _fingerprint(files: Iterable[File], requirements: str, target: Target) -> str:
    made_for = (target, runtime_version(target), this_platform() if target == "local" else "")
    digest = hashlib.sha256(f"{requirements}{made_for}{_UNUSED}".encode())
    for file in files:
        digest.update(str(file.name).encode())
        digest.update(file.content)
    return digest.hexdigest()[:16]


def _platform(target: Target) -> tuple[str, ...]:
    if target == "local":
        return ("--python", sys.executable, "--link-mode", "copy")
    return ("--python-platform", "aarch64-manylinux_2_28", "--python-version", RUNTIME_VERSION)


def _install(requirements: str, folder: Path, function: str, target: Target) -> None:
    listed = folder.with_suffix(".txt")
    listed.write_text(requirements)
    uv = Path(sysconfig.get_path("scripts")) / "uv"
    command = [
        str(uv), "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--no-config",
        "--target", str(folder), *_platform(target), "--requirement", str(listed),
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    listed.unlink()
    if result.returncode:
        raise BundleError(f"bundle of {function} for {target}: {result.stderr.strip()}")


def _forget_older(folder: Path) -> None:
    """Keep one bundle per function, needs of its source and target: the disk is the user's."""
    prefix = folder.name.rsplit("-", 1)[0]
    for other in folder.parent.glob(f"{prefix}-*"):
        if other.suffix == ".zip":
            other.unlink()
        elif other.is_dir() and other.suffix != ".partial":
            shutil.rmtree(other)
