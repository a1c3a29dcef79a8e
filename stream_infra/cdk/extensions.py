"""Packages with detectors or sources of the user's own: what of them goes into the functions' bundles.

A package is taken as it is installed where the deployment is made, also as an editable install, with the metadata by
which Lambda finds its entry points. So nothing is downloaded, and what was tried is what is deployed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from importlib.metadata import Distribution, distribution
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from producers.errors import MonitorError
from stream_infra.config import EXTENSION_GROUPS
from stream_infra.setting_types import normal_name

PRODUCT = "stock-market-anomaly-monitor"
_METADATA = ("METADATA", "entry_points.txt", "top_level.txt")
_COMPILED = frozenset({".so", ".pyd", ".dylib", ".dll"})


class ExtensionError(MonitorError):
    """A package cannot be put into a bundle; says which and why."""


class File(NamedTuple):
    """A file of a bundle: where it goes, and what it holds."""

    name: PurePosixPath
    content: bytes


def files_of(packages: Sequence[str], bundled: Collection[str]) -> list[File]:
    """Return the files of installed packages, sorted by where they go.

    Parameters
    ----------
    packages
        Names of installed distributions.
    bundled
        Names of the distributions that a bundle holds anyway.

    Raises
    ------
    ExtensionError
        If a package holds compiled code, or needs one that neither the bundle nor `packages` holds.
    """
    there = {normal_name(name) for name in (*packages, *bundled, PRODUCT)}
    found: dict[PurePosixPath, File] = {}
    for name in packages:
        package = distribution(name)
        if missing := sorted(_needs(package) - there):
            allowed = "named in `packages` too, or be left out"
            raise ExtensionError(
                f"needs {', '.join(missing)}, which the functions do not have",
                where=f"package {name}",
                allowed=allowed,
            )
        files = list(_files(package))
        if compiled := [str(file.name) for file in files if file.name.suffix in _COMPILED]:
            allowed = "pure Python: the functions run on another platform"
            raise ExtensionError(f"holds {compiled[0]}", where=f"package {name}", allowed=allowed)
        found |= {file.name: file for file in files}
    return [found[name] for name in sorted(found)]


def _needs(package: Distribution) -> set[str]:
    always = (line for line in package.requires or () if "extra ==" not in line)
    return {normal_name(found[0]) for line in always if (found := re.match(r"[A-Za-z0-9._-]+", line))}


def _files(package: Distribution) -> Iterator[File]:
    """Yield its metadata, and its code where the interpreter imports it from."""
    folder = f"{package.name.replace('-', '_')}-{package.version}.dist-info"
    for name in _METADATA:
        if text := package.read_text(name):
            yield File(PurePosixPath(folder, name), text.encode())
    for module in _modules(package):
        spec = find_spec(module)
        if spec is None:
            raise ExtensionError(f"module {module} is not to be found", where=f"package {package.name}")
        if spec.submodule_search_locations is not None:
            for root in map(Path, spec.submodule_search_locations):
                yield from files_below(root, PurePosixPath(module))
        elif spec.origin:
            yield File(PurePosixPath(Path(spec.origin).name), Path(spec.origin).read_bytes())


def files_below(root: Path, name: PurePosixPath) -> Iterator[File]:
    """Yield the files below a folder, which goes to `name`, sorted."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield File(name / path.relative_to(root).as_posix(), path.read_bytes())


def _modules(package: Distribution) -> set[str]:
    """Return its top-level modules: those of its entry points, and those that its metadata names."""
    points = {
        point.value.partition(":")[0].partition(".")[0]
        for point in package.entry_points
        if point.group in EXTENSION_GROUPS
    }
    listed = (package.read_text("top_level.txt") or "").split()
    if listed or _is_editable(package):
        return points | set(listed)
    tops = {file.parts[0] for file in package.files or () if file.suffix == ".py" and file.parts[0] != ".."}
    return points | {top.removesuffix(".py") for top in tops}


def _is_editable(package: Distribution) -> bool:
    origin = json.loads(package.read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable"))
