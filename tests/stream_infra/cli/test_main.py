"""The frame of the command line: fast, lazy, and clear about errors. Run as a program, as a user does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from click import Command
from typer.testing import CliRunner

from stream_infra.cli import main
from stream_infra.cli.main import COMMANDS
from stream_infra.cli.text import table_text
from stream_infra.operations.errors import FailedError

ROOT = Path(__file__).parents[3]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
# What costs a start a tenth of a second or more.
HEAVY = (
    "boto3",
    "botocore",
    "aws_cdk",
    "numpy",
    "pydantic",
    "rich",
    "stream_infra.cli.commands.status",
    "stream_infra.cli.commands.tail",
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(*arguments: str, code: str | None = None) -> subprocess.CompletedProcess[str]:
        program = code or "from stream_infra.cli.main import main; main()"
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "STOCK_"))
        }
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
            env={**environment, "PYTHONPATH": str(ROOT), "COLUMNS": "160", "AWS_CONFIG_FILE": os.devnull},
        )

    return run


def test_help_lists_every_command_and_imports_none(run: Run) -> None:
    program = (
        "import sys\n"
        "from stream_infra.cli.main import main\n"
        "try:\n    main()\n"
        f"finally:\n    print('LOADED', [name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = run("--help", code=program)
    assert done.returncode == 0
    assert [name for name in COMMANDS if f" {name} " in done.stdout] == list(COMMANDS)
    assert "LOADED []" in done.stderr


def help_pages(command: Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The help of a command, or that of each command of a group, which says what it is for."""
    subcommands = getattr(command, "commands", {})
    assert command.help, path
    for name, subcommand in subcommands.items():
        yield from help_pages(subcommand, (*path, name))
    if not subcommands:
        yield path, CliRunner().invoke(main.app, [*path, "--help"], terminal_width=80).output


@pytest.mark.parametrize("name", list(COMMANDS))
def test_each_command_has_help_with_an_example_in_80_columns(name: str) -> None:
    pages = list(help_pages(main.load(name), (name,)))
    assert pages
    for path, page in pages:
        example = re.sub(r"\s+", " ", page).partition("Example: ")[2]
        assert f"stock-monitor {' '.join(path)}" in example, path
        assert max(map(len, page.splitlines())) <= 80, path
        assert "--install-completion" not in page
        assert not re.search(r"<.*(str|int|float|path)", page, re.IGNORECASE), path  # words of Python


def test_help_fits_80_columns_and_truncates_nothing(run: Run) -> None:
    out = run("--help").stdout
    assert max(map(len, out.splitlines())) <= 80
    assert "..." not in out.split("Commands:")[1]


@pytest.mark.parametrize(
    "name", ["alerts", "dlq", "export", "recover", "rules", "tail", "thresholds", "watch"]
)
def test_a_group_says_whole_sentences_of_its_commands(name: str) -> None:
    out = CliRunner().invoke(main.app, [name, "--help"], terminal_width=80).output
    assert max(map(len, out.splitlines())) <= 80
    assert "..." not in out.split("Commands:")[1]


def test_the_version_is_that_of_the_package(run: Run) -> None:
    assert run("--version").stdout == f"stock-monitor {version('stock-market-anomaly-monitor')}\n"


def test_a_mistyped_command_is_told_its_neighbour(run: Run) -> None:
    done = run("stats")
    assert done.returncode == 2
    assert "Did you mean 'status'?" in done.stderr


def test_no_command_shows_the_help(run: Run) -> None:
    assert "endpoints" in run().stderr


def test_without_a_local_monitor_one_line_says_what_to_do(run: Run, tmp_path: Path) -> None:
    """It may run all the same, from another folder: "it is not running" is true only where it would be known."""
    unknown = run("endpoints")
    (tmp_path / ".local").mkdir()
    ended = run("endpoints")
    assert (unknown.returncode, unknown.stdout, ended.returncode, ended.stdout) == (1, "", 1, "")
    assert unknown.stderr == (
        f"error: no local monitor is known in {tmp_path} or a folder above it: run this, or make up, in the "
        "monitor's folder, or name its .local in STOCK_MONITOR_DIR; --aws is for the one on AWS\n"
    )
    assert (
        ended.stderr == "error: the local monitor is not running: make up, or pass --aws for the one on AWS\n"
    )


def test_errors_are_json_where_the_output_is(run: Run) -> None:
    done = run("endpoints", "--json")
    assert done.returncode == 1
    assert json.loads(done.stderr)["error"]["type"] == "NotRunningError"


def test_a_missing_command_module_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "nothing", "Is not there.")
    with pytest.raises(FailedError, match="nothing is not part of this installation"):
        main.load("nothing")


def test_aws_is_reached_only_when_asked(run: Run) -> None:
    program = (
        "import os\n"
        "os.environ['AWS_ENDPOINT_URL'] = 'https://kinesis.us-east-1.amazonaws.com'\n"
        "from stream_infra.cli.main import main; main()"
    )
    done = run("endpoints", code=program)
    assert done.returncode == 1
    assert "is AWS itself: unset it and pass --aws" in done.stderr


def test_an_endpoint_that_does_not_answer_is_one_line(run: Run) -> None:
    program = (
        "import os\n"
        "os.environ['AWS_ENDPOINT_URL'] = 'http://127.0.0.1:9'\n"
        "from stream_infra.cli.main import main; main()"
    )
    done = run("status", code=program)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "http://127.0.0.1:9" in done.stderr


def test_ctrl_c_ends_with_130_and_no_traceback(tmp_path: Path) -> None:
    program = (
        "import time, typer\n"
        "from stream_infra.cli import main as cli\n"
        "class Module:\n    app = typer.Typer()\n"
        "@Module.app.command()\n"
        "def wait() -> None:\n    print('ready', flush=True); time.sleep(60)\n"
        "cli.import_module = lambda name: Module\n"
        "cli.main()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, "status"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=20)
    assert child.returncode == 130
    assert errors == ""


@pytest.mark.parametrize(
    ("streams", "code", "said"),
    [
        ("<&-", 1, "standard input held no tick"),
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        pytest.param(
            ">/dev/full",
            1,
            "there is no space left to write to",
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it"),
        ),
    ],
)
def test_streams_that_are_closed_or_full_are_no_defect(
    tmp_path: Path, streams: str, code: int, said: str
) -> None:
    tick = '{"ts":1763996400000,"symbol":"A","price":1}'
    program = f"{sys.executable} -c 'from stream_infra.cli.main import main; main()' detect"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; echo '{tick}' | {program} {streams}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == bool(said)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
@pytest.mark.parametrize("option", ["--help", "--version", "config --help", "cost --json"])
def test_a_full_disk_is_named_whatever_was_to_be_written(option: str, run: Run) -> None:
    program = (
        "import os, sys\n"
        "os.dup2(os.open('/dev/full', os.O_WRONLY), 1)\n"
        "from stream_infra.cli.main import main; main()"
    )
    done = run(*option.split(), code=program)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "there is no space left to write to" in done.stderr


def test_a_terminal_that_lacks_a_character_gets_its_escape() -> None:
    """What a command writes ended it with a UnicodeEncodeError."""
    program = (
        "import typer; from stream_infra.cli import main; main.app = typer.Typer();"
        ' main.app.command()(lambda: typer.echo(\'{"subject": "✓ 😀"}\')); main.main()'
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        timeout=60,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
    )
    assert done.stdout == b'{"subject": "\\u2713 \\ud83d\\ude00"}\n'
    assert json.loads(done.stdout) == {"subject": "✓ 😀"}


def test_the_options_of_the_completion_are_there() -> None:
    result = CliRunner().invoke(main.app, ["--help"])
    assert "--install-completion" in result.output


@pytest.mark.parametrize(
    ("module", "package"), [("aws_cdk", "aws-cdk-lib"), ("pyarrow.parquet", "pyarrow"), ("mine", "mine")]
)
def test_what_is_missing_is_named_as_it_is_installed(module: str, package: str) -> None:
    assert main._distribution_of(module) == package


@pytest.mark.parametrize(
    ("arguments", "environment", "found"),
    [
        (("eu", []), {}, "eu-stock-quotes eu-west-1 1"),
        ((None, []), {"STOCK_MONITOR_DEPLOYMENT": "eu"}, "eu-stock-quotes eu-west-1 1"),
        ((None, ["--aws"]), {}, "prod-stock-quotes us-east-2 None"),
        ((None, []), {"STOCK_MONITOR_AWS": "1"}, "prod-stock-quotes us-east-2 1"),
        ((None, []), {}, "stock-quotes us-east-1 None"),
        (("local", []), {}, "stock-quotes us-east-1 None"),
    ],
)
def test_every_command_follows_the_deployment_that_it_is_given(
    tmp_path: Path, arguments: object, environment: dict[str, str], found: str
) -> None:
    (tmp_path / "monitor.toml").write_text(
        '[prod]\nprefix = "prod"\nregion = "us-east-2"\n[eu]\nprefix = "eu"\nregion = "eu-west-1"\n'
    )
    code = f"""
import os, sys
from stream_infra.cli.main import _follow
assert "stream_infra.names" not in sys.modules
_follow(*{arguments!r})
from stream_infra import names
print(names.STREAM, os.environ["AWS_DEFAULT_REGION"], os.environ.get("STOCK_MONITOR_AWS"))
"""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("STOCK_MONITOR_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**kept, "AWS_DEFAULT_REGION": "us-east-1", "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == found, done.stderr


def test_the_last_column_of_a_table_can_be_read_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = table_text([("A" * 38, "12 of 60 ticks")], header=("TICKER", "WARM-UP"))
    assert "WARM-UP" in text
    assert "ticks" in text


def test_settings_are_shown_as_the_file_has_them(run: Run) -> None:
    shown = dict(
        re.findall(r"^(\w+) +(?:default|monitor.toml) +(.+)$", run("config", "prod").stdout, re.MULTILINE)
    )
    assert (shown["retain_data"], shown["people"], shown["packages"]) == ("true", "-", "-")
