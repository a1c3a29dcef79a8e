"""The bundles hold all that a handler imports, fit into Lambda, and are for the platform that runs them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from stream_infra import names
from stream_infra.cdk.bundling import RUNTIME_VERSION, BundleError, _compress, _locked, bundle
from tests.stream_infra.cdk.assembly import Templates

ROOT = Path(__file__).resolve().parents[3]
HANDLERS = {
    names.SCANNER: "producers.handler",
    names.DETECTOR: "consumers.detector.handler",
    names.NOTIFIER: "consumers.alerts.handler",
    names.API_HANDLER: "api.handler",
    names.LAKE: "consumers.lake.handler",
}
# In Lambda boto3 and what it needs come with the runtime; everything else must be in the bundle.
_IMPORT = """
import importlib.util, pathlib, sys
from_start = set(sys.modules)  # what site-packages' .pth files bring
runtime = {"boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six"}
site = [p for p in sys.path if p.endswith("site-packages")]
sys.path = [p for p in sys.path if p not in site]
sys.path.insert(0, sys.argv[1])
class Runtime:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in runtime:
            return importlib.machinery.PathFinder.find_spec(name, path or site)
sys.meta_path = [f for f in sys.meta_path if "editable" not in str(f).lower()] + [Runtime()]
importlib.import_module(sys.argv[2])
outside = sorted({m.__name__.split(".")[0] for name, m in list(sys.modules.items())
                  if name not in from_start and any(p in (getattr(m, "__file__", None) or "") for p in site)} - runtime)
assert not outside, outside
"""


def test_the_scanner_calls_vendors_with_its_own_urllib3() -> None:
    """The runtime's may be of 1.26, as botocore allows, whose answers have no `read1`."""
    folder = bundle(ROOT, names.SCANNER, "local")
    program = (
        f"import sys; sys.path.insert(0, {str(folder)!r})\n"
        "import producers.http, urllib3\n"
        "print(urllib3.__file__); urllib3.HTTPResponse.read1"
    )
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert Path(result.stdout.strip()).is_relative_to(folder)


@pytest.mark.parametrize("function", names.FUNCTIONS)
def test_a_bundle_holds_all_that_its_handler_imports(function: str) -> None:
    folder = bundle(ROOT, function, "local")
    result = subprocess.run(
        [sys.executable, "-c", _IMPORT, str(folder), HANDLERS[function]],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            **{f"{table}_TABLE": "any" for table in ("ANOMALIES", "WINDOWS", "CHARTS", "ALERTS")},
        },
    )
    assert result.returncode == 0, result.stderr


def test_the_detectors_bundle_for_aws_is_arm64_and_small() -> None:
    folder = bundle(ROOT, names.DETECTOR, "aws")
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 80 * 2**20
    libraries = [path for path in files if ".so" in path.suffixes]
    assert libraries
    for library in libraries:
        machine = library.read_bytes()[18:20]
        assert machine == b"\xb7\x00", f"{library.name} is not for aarch64"  # e_machine of an ELF header


def test_an_unchanged_bundle_is_not_built_again() -> None:
    first = bundle(ROOT, names.NOTIFIER, "local")
    built = first.stat().st_mtime_ns
    assert bundle(ROOT, names.NOTIFIER, "local") == first
    assert first.stat().st_mtime_ns == built


def test_a_bundle_made_again_is_no_new_version(tmp_path: Path) -> None:
    """CloudFormation publishes a version of a function where its code's hash is another: dates must not make one."""
    folder = tmp_path / "folder"
    (folder / "room").mkdir(parents=True)
    for number, archive in enumerate((tmp_path / "a.zip", tmp_path / "b.zip")):
        for name in ("room/late.py", "early.py"):
            (folder / name).write_text("same = True")
            os.utime(folder / name, (1_700_000_000 + number, 1_700_000_000 + number))
        _compress(folder, archive, level=1)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    entries = zipfile.ZipFile(tmp_path / "a.zip").infolist()
    assert [entry.filename for entry in entries] == ["early.py", "room/late.py"]
    assert {entry.external_attr >> 16 for entry in entries} == {0o644}, "Lambda's user could not read it"


def test_a_distribution_that_is_not_locked_is_named(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("six==1.17.0 \\\n    --hash=sha256:00\n")
    with pytest.raises(BundleError, match=r"requirements\.lock does not hold numpy"):
        _locked(lock, ("six", "numpy"))


def test_functions_are_declared_for_what_their_bundle_holds(
    aws_templates: Templates, local_templates: Templates
) -> None:
    def declared(templates: Templates) -> set[tuple[str, str]]:
        return {
            (item["Properties"]["Runtime"], item["Properties"]["Architectures"][0])
            for stack in ("LambdaStack", "ApiStack")
            for item in templates[stack]["Resources"].values()
            if item["Type"] == "AWS::Lambda::Function"
        }

    assert declared(aws_templates) == {(f"python{RUNTIME_VERSION}", "arm64")}
    machine = "x86_64" if platform.machine().lower() in {"x86_64", "amd64"} else "arm64"
    assert declared(local_templates) == {
        (f"python{sys.version_info.major}.{sys.version_info.minor}", machine)
    }
