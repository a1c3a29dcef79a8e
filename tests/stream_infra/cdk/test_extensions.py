"""Packages of the user's own are deployed as they are installed, or rejected by name."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stream_infra import names
from stream_infra.cdk.bundling import bundle
from stream_infra.cdk.extensions import ExtensionError, files_of
from stream_infra.config import ConfigError
from stream_infra.monitor_toml import Given, load
from tests.extending import example

ROOT = Path(__file__).resolve().parents[3]
DETECTOR = example("consumers/detectors").partition("\n")[2]
INSTALLED = """
import json, sys
sys.path = [p for p in sys.path if not p.endswith("site-packages")]
sys.meta_path = [f for f in sys.meta_path if "editable" not in str(f).lower()]
sys.path.insert(0, sys.argv[1])
from consumers.contracts.kinds import REGISTRY
print(json.dumps({kind: found.place for kind, found in REGISTRY.items()}))
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with a package `my-detectors`, as an installer leaves it."""
    site = tmp_path / "site"
    (site / "my_detectors").mkdir(parents=True)
    (site / "my_detectors" / "__init__.py").write_text("")
    (site / "my_detectors" / "there_and_back.py").write_text(DETECTOR)
    info = site / "my_detectors-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: my-detectors\nVersion: 1.0\nRequires-Dist: msgspec\n"
        'Requires-Dist: scipy; extra == "exact"\n'
    )
    points = "[stock_monitor.detectors]\nwhipsaw = my_detectors.there_and_back:DETECTOR\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(site)
    return site


def test_a_package_is_in_the_bundle_and_its_kind_is_found_there(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = tmp_path / "rooms"
    for room in ("producers", "consumers"):
        shutil.copytree(ROOT / room, rooms / room, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    folder = bundle(rooms, names.NOTIFIER, "local", packages=("my-detectors",))
    done = subprocess.run(
        [sys.executable, "-c", INSTALLED, str(folder)], capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["whipsaw"] == "package my-detectors"
    (installed / "my_detectors" / "there_and_back.py").write_text(DETECTOR + "\n# changed\n")
    assert bundle(rooms, names.NOTIFIER, "local", packages=("my-detectors",)) != folder


def test_an_editable_install_is_taken_from_where_it_is(installed: Path) -> None:
    origin = {"url": "file:///home/me/detectors", "dir_info": {"editable": True}}
    (installed / "my_detectors-1.0.dist-info" / "direct_url.json").write_text(json.dumps(origin))
    names_of_files = [str(file.name) for file in files_of(["my-detectors"], ["msgspec"])]
    assert names_of_files == [
        "my_detectors/__init__.py",
        "my_detectors/there_and_back.py",
        "my_detectors-1.0.dist-info/METADATA",
        "my_detectors-1.0.dist-info/entry_points.txt",
    ]


def test_what_a_function_does_not_have_is_named(installed: Path) -> None:
    del installed
    with pytest.raises(
        ExtensionError, match=r"needs msgspec, which the functions do not have; must be named"
    ):
        files_of(["my-detectors"], ["six"])


def test_compiled_code_is_rejected(installed: Path) -> None:
    (installed / "my_detectors" / "fast.so").write_bytes(b"\x7fELF")
    with pytest.raises(ExtensionError, match=r"holds my_detectors/fast\.so; must be pure Python"):
        files_of(["my-detectors"], ["msgspec"])


def test_the_setting_takes_installed_packages_only(installed: Path, tmp_path: Path) -> None:
    del installed
    file = tmp_path / "monitor.toml"
    file.write_text('[prod]\npackages = ["my-detectors"]\n')
    config = load("prod", file)
    assert config.packages == ("my-detectors",)
    assert load("prod", None, {"packages": Given(config.context()["packages"], "-c packages")}) == config
    file.write_text('[prod]\npackages = ["my-detector"]\n')
    with pytest.raises(
        ConfigError, match=r"\[prod\] packages: .*'my-detector' is not installed; must be the name"
    ):
        load("prod", file)


def test_a_detector_that_is_installed_and_not_named_is_rejected(installed: Path, tmp_path: Path) -> None:
    """Here its kind would have a threshold and be simulated; the functions would not know it."""
    del installed
    file = tmp_path / "monitor.toml"
    file.write_text('[prod]\nsource = "alpaca"\n')
    with pytest.raises(
        ConfigError, match=r"detector whipsaw is of the package my-detectors, .*packages = \[\"my-detectors"
    ):
        load("prod", file)
    file.write_text('[prod]\npackages = ["My_Detectors"]\n')  # as package indices compare names
    assert load("prod", file).packages == ("My_Detectors",)
