"""The wheel works where there is no checkout: built, installed into an empty environment, and its commands run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from localstack.node import find_node
from stream_infra import names
from stream_infra.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
UV = Path(sysconfig.get_path("scripts")) / "uv"
Command = list[str | Path]
ROOMS = ("producers", "consumers", "api", "stream_infra", "localstack")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(
    *command: str | Path, cwd: Path, stdin: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command outside of the checkout; nothing of this environment's Python reaches it."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        input=stdin,
        env={**kept, **environment},
    )


@dataclass(frozen=True)
class Installation:
    """The wheel, and the environment that it is installed in."""

    wheel: Path
    environment: Path
    folder: Path

    def command(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Standard output of ``stock-monitor …``, which must succeed."""
        done = run(self.environment / "bin" / "stock-monitor", *arguments, cwd=self.folder, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder = tmp_path_factory.mktemp("wheel")
    environment = folder / "environment"
    # By way of the source distribution, as `uv build` does: what an older build left beside it has no part in it.
    build: Command = [
        UV,
        "build",
        "--quiet",
        "--no-build-isolation",
        "--python",
        sys.executable,
        "--out-dir",
        folder,
    ]
    built = run(*build, ROOT, cwd=folder)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    assert run(UV, "venv", "--quiet", "--python", sys.executable, environment, cwd=folder).returncode == 0
    install: Command = [
        UV,
        "pip",
        "install",
        "--quiet",
        "--no-config",
        "--constraint",
        ROOT / "requirements.lock",
    ]
    install += [f"{wheel}[local,parquet]"]
    done = run(*install, "--offline", cwd=folder, VIRTUAL_ENV=str(environment))
    if done.returncode:  # something is not in uv's cache yet
        done = run(*install, cwd=folder, VIRTUAL_ENV=str(environment))
    assert done.returncode == 0, done.stderr
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    return Installation(wheel, environment, elsewhere)


TICKS = [(1763996400000 + 5000 * i, 100 + i % 3 / 100 + (20 if i == 80 else 0)) for i in range(100)]
"""Epoch ms and price: calm, with a jump in it."""


@pytest.fixture
def ticks(tmp_path: Path) -> Path:
    path = tmp_path / "ticks.csv"
    path.write_text("ts,symbol,price\n" + "".join(f"{ts},AAPL,{price}\n" for ts, price in TICKS))
    return path


def test_the_wheel_holds_every_file_of_every_room(installed: Installation) -> None:
    tracked = run("git", "ls-files", *ROOMS, "dashboard", cwd=ROOT).stdout.split()
    held = set(zipfile.ZipFile(installed.wheel).namelist())
    assert sorted(set(tracked) - held) == []
    assert not [name for name in held if name.startswith("tests/") or "__pycache__" in name]
    # It would hide PyPI's package of that name, which others install.
    assert "localstack/__init__.py" not in held


def test_every_package_says_that_it_is_typed(installed: Installation) -> None:
    held = zipfile.ZipFile(installed.wheel).namelist()
    packages = {name.split("/")[0] for name in held if name.endswith("/__init__.py") and name.count("/") == 1}
    assert packages == set(ROOMS) - {"localstack"}
    assert {f"{package}/py.typed" for package in packages} <= set(held)


def test_the_command_says_the_version_of_the_project(installed: Installation) -> None:
    assert installed.command("--version").split() == ["stock-monitor", PROJECT["version"]]


def test_every_command_is_there(installed: Installation) -> None:
    """In one process: a start of the interpreter for each would take longer than all the rest."""
    program = (
        "import json, sys; from typer.testing import CliRunner; from stream_infra.cli.main import app; "
        "print(json.dumps({c: CliRunner().invoke(app, [c, '--help']).output for c in sys.argv[1:]}))"
    )
    done = run(installed.environment / "bin" / "python", "-c", program, *COMMANDS, cwd=installed.folder)
    assert done.returncode == 0, done.stderr
    helps = json.loads(done.stdout)
    assert {command for command in COMMANDS if f"stock-monitor {command} " in helps[command]} == {*COMMANDS}


def test_detect_reads_standard_input(installed: Installation) -> None:
    lines = [json.dumps({"ts": ts, "symbol": "AAPL", "price": price}) for ts, price in TICKS]
    scored = [json.loads(line) for line in installed.command("detect", stdin="\n".join(lines)).splitlines()]
    assert [index for index, line in enumerate(scored) if line["flag"]][:1] == [80]


def test_backtest_reads_csv_and_parquet_alike(installed: Installation, ticks: Path) -> None:
    parquet = ticks.with_suffix(".parquet")
    program = "import sys, pyarrow.csv as c, pyarrow.parquet as p; p.write_table(c.read_csv(sys.argv[1]), sys.argv[2])"
    python = installed.environment / "bin" / "python"
    assert run(python, "-c", program, ticks, parquet, cwd=installed.folder).returncode == 0
    found, in_parquet = (
        json.loads(installed.command("backtest", path, "--json")) for path in (ticks, parquet)
    )
    assert "AAPL" in json.dumps(found)
    assert json.dumps(in_parquet).replace(".parquet", ".csv") == json.dumps(found)


def test_cost_is_estimated(installed: Installation) -> None:
    assert json.loads(installed.command("cost", "--json"))["dollars_a_month"] > 0


def test_the_cdk_app_synthesizes_all_stacks(installed: Installation, tmp_path: Path) -> None:
    # What the wheel's files and the checkout's make alike is not made twice.
    (ROOT / "build").mkdir(exist_ok=True)
    (tmp_path / "build").symlink_to(ROOT / "build")
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    done = run(
        installed.environment / "bin" / "python", "-m", "stream_infra.cdk",
        cwd=tmp_path,
        PATH=find_node().path(),
        CDK_OUTDIR=str(tmp_path / "cdk.out"),
        CDK_CONTEXT_JSON=json.dumps({**context, "target": "local", "account": "000000000000", "region": "us-east-1"}),
        JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION="1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {path.name.split(".")[0] for path in (tmp_path / "cdk.out").glob("*.template.json")} == set(
        names.STACKS
    )
    manifest = json.loads((tmp_path / "cdk.out" / "manifest.json").read_text())
    assert manifest["artifacts"].keys() >= set(names.STACKS)
    packed = {
        name.removesuffix("/__init__.py")
        for archive in (tmp_path / "cdk.out").glob("asset.*.zip")
        for name in zipfile.ZipFile(archive).namelist()
        if name.count("/") == 1
    }
    assert packed >= {"producers", "consumers", "api"}
