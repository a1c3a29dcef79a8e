"""Runs every block of docs/runbook.md and docs/cookbook.md, and every command of the runbook before."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.monitor import Monitor
from tests.e2e.test_rights import unknown_calls

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = ROOT / "docs" / "runbook.md"
COOKBOOK = ROOT / "docs" / "cookbook.md"
SEED = ROOT.parent / "shared" / "runbook-seed.md"
FENCE = re.compile(
    r"(?:<!-- (?P<mark>not run|may fail): (?P<reason>[^\n]+) -->\n)?"
    r"```bash\n(?P<commands>.*?)```\n(?:```expected\n(?P<expected>.*?)```)?",
    re.S,
)
ACCOUNT = "000000000000"
PARAMETERS = ("/stock-tracker/ticker", "/stock-tracker/threshold")
Shell = Callable[[str], "subprocess.CompletedProcess[str]"]


class Block(NamedTuple):
    name: str
    commands: str
    expected: str | None
    mark: str | None
    reason: str | None


def blocks(text: str) -> Iterator[Block]:
    for found in FENCE.finditer(text):
        before = text[: found.start()]
        (*_, title) = re.findall(r"(?m)^#+ (.+)$", before)
        line = before.count("\n") + 1
        yield Block(
            f"{title} (line {line})",
            found["commands"],
            found["expected"],
            found["mark"],
            found["reason"],
        )


BLOCKS = list(blocks(RUNBOOK.read_text()))
RECIPES = list(blocks(COOKBOOK.read_text()))


def lines_in_order(expected: str, output: str) -> str | None:
    """The first expected line that does not come, None if all do; `…` stands for anything."""
    lines = iter(output.splitlines())
    for wanted in expected.splitlines():
        pattern = re.compile(".*".join(re.escape(part) for part in wanted.split("…")))
        if not any(pattern.search(line) for line in lines):
            return wanted
    return None


def aws_cli() -> Path:
    """An AWS CLI version 2."""
    for folder in [*os.environ["PATH"].split(os.pathsep), "/usr/bin", "/usr/local/bin"]:
        found = Path(folder) / "aws"
        if found.is_file():
            said = subprocess.run([str(found), "--version"], capture_output=True, text=True, check=False)
            if said.stdout.startswith("aws-cli/2."):
                return found
    pytest.fail("no AWS CLI version 2: make aws-cli, or install it")


def served(cli: Path, programs: Path) -> subprocess.Popen[bytes] | None:
    """Puts `aws` into `programs`: one that is loaded already where it is a Python program, else the CLI itself."""
    with cli.open("rb") as file:
        first = file.readline().decode(errors="replace").strip()
    if not (first.startswith("#!") and "python" in first):
        (programs / "aws").symlink_to(cli)
        return None
    script, socket = Path(__file__).with_name("aws_cli.py"), programs / "socket"
    python = first.removeprefix("#!").split()
    process = subprocess.Popen([*python, str(script), "serve", str(socket)], stdin=subprocess.DEVNULL)
    while not socket.exists():
        assert process.poll() is None, "the AWS CLI does not load"
        time.sleep(0.05)
    wrapper = programs / "aws"
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.join(python)} -S -E {script} call {socket} "$@"\n')
    wrapper.chmod(0o755)
    return process


@pytest.fixture(scope="module")
def shell(monitor: Monitor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Runs commands as somebody who did what "Set up your shell" says; parameters and alarms come back at the end."""
    home, work = tmp_path_factory.mktemp("home"), monitor.directory.parent
    programs = home / "bin"
    programs.mkdir()
    server = served(aws_cli(), programs)
    (home / "config").write_text("[default]\ncli_binary_format = raw-in-base64-out\n")
    environment = monitor.environment() | {
        "PATH": os.pathsep.join([str(programs), str(ROOT / ".venv" / "bin"), os.environ["PATH"]]),
        "HOME": str(home),
        "HTTPS_PROXY": "http://127.0.0.1:9",  # whatever would leave this machine fails at once
        "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONWARNINGS": "ignore",
    }
    exports = monitor.run("endpoints", "--shell")
    assert exports.returncode == 0, exports.stderr
    # What is deployed was synthesized a moment ago: `cdk` need not do that again for each command.
    app = monitor.directory / "cdk.out"
    prelude = "\n".join(
        [
            "set -eu",
            exports.stdout,
            f"export AWS_CONFIG_FILE={home / 'config'}",
            f'cdk() {{ (cd "$STOCK_MONITOR_ROOT" && python -m localstack.cdk "$@" --app {app}); }}',
        ]
    )

    def run(commands: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", f"{prelude}\n{commands}"],
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )

    ssm, cloudwatch = monitor.client("ssm"), monitor.client("cloudwatch")
    values = {name: ssm.get_parameter(Name=name)["Parameter"]["Value"] for name in PARAMETERS}
    alarms = cloudwatch.describe_alarms(AlarmNames=["stock-scanner-errors", "api-5xx-errors"])["MetricAlarms"]
    yield run
    for name, value in values.items():
        ssm.put_parameter(Name=name, Value=value, Overwrite=True)
    taken = cloudwatch.meta.service_model.operation_model("PutMetricAlarm").input_shape.members
    if server is not None:
        server.terminate()
        server.wait(timeout=10)
    for alarm in alarms:
        cloudwatch.put_metric_alarm(**{key: value for key, value in alarm.items() if key in taken})


def test_every_block_says_what_to_expect_or_why_it_is_not_run() -> None:
    assert len(BLOCKS) > 40
    silent = [
        block.name
        for block in [*BLOCKS, *RECIPES]
        if block.mark != "not run" and not (block.expected or "").strip()
    ]
    assert silent == []
    assert RUNBOOK.read_text().count("```bash") == len(BLOCKS), "a block that the test does not see"


def test_the_cookbook_has_twelve_recipes_and_all_are_run() -> None:
    numbers = [int(block.name.partition(".")[0]) for block in RECIPES]
    assert numbers == list(range(1, 13))
    assert {block.mark for block in RECIPES} == {None}


@pytest.mark.parametrize("block", [*BLOCKS, *RECIPES], ids=lambda block: block.name)
def test_the_runbook(shell: Shell, block: Block) -> None:
    if block.mark == "not run":
        pytest.skip(str(block.reason))
    done = shell(block.commands)
    if block.mark != "may fail":
        assert done.returncode == 0, done.stdout[-3000:]
    missing = lines_in_order(block.expected or "", done.stdout)
    assert missing is None, f"{missing!r} does not come in:\n{done.stdout[-3000:]}"


NOT_RUN = {
    "git pull origin main": "it would move the checkout that is being tested",
    "git checkout": "it would move the checkout that is being tested",
    "pip install -r requirements.txt": "ours is `make .venv`, which pins with hashes; CI runs it first",
    "npm install -g aws-cdk": "the CDK CLI is pinned in package-lock.json; `make up` installs it",
}
REFUSED = {"aws cloudformation rollback-stack": "RollbackStack cannot be called"}
SAYS = {
    "curl $API/health": '{"status":"healthy"}',
    "curl -I": "200",
    "--query 'Configuration.[State,LastUpdateStatus]'": "Successful",
    "--attribute-names ApproximateNumberOfMessages": '"ApproximateNumberOfMessages": "0"',
    "--query 'Stacks[0].StackStatus'": "_COMPLETE",
    "aws lambda invoke": '"StatusCode": 200',
    "aws dynamodb restore-table-from-backup": "stock-anomalies-restored",
    "aws cloudfront create-invalidation": "Invalidation",
}


def seed_commands() -> list[str]:
    """Every command once, in their order; lines that only change the folder are left out."""
    if not SEED.exists():
        return []
    found = []
    for fence in re.findall(r"```bash\n(.*?)```", SEED.read_text(), re.S):
        for line in re.sub(r"\\\n\s*", "", fence).splitlines():
            command = line.strip()
            if command and not command.startswith(("#", "cd ")):
                found.append(re.sub(r"\s{2,}", " ", command))
    return list(dict.fromkeys(found))


@pytest.fixture(scope="module")
def real(monitor: Monitor) -> Iterator[Callable[[str], str]]:
    """Puts the local endpoint, account, addresses and ids where the runbook has those of its author."""
    dynamodb, s3 = monitor.client("dynamodb"), monitor.client("s3")

    def replaced(command: str) -> str:
        bucket = f"stock-scan-data-{ACCOUNT}"
        values: dict[str, Callable[[], str]] = {
            "529088281783": lambda: ACCOUNT,
            "https://1hdrnjh4kl.execute-api.us-east-1.amazonaws.com/prod": lambda: "$API",
            "https://dqdtse490mbv1.cloudfront.net": lambda: "$DASHBOARD",
            "https://sqs.us-east-1.amazonaws.com": lambda: monitor.aws,
            "/aws/lambda/api-handler": lambda: "/aws/lambda/stock-api-handler",  # a slip there
            "YOUR_DISTRIBUTION_ID": lambda: monitor.client("cloudfront").list_distributions()[
                "DistributionList"
            ]["Items"][0]["Id"],
            "BACKUP_ARN": lambda: dynamodb.list_backups(TableName="stock-anomalies")["BackupSummaries"][-1][
                "BackupArn"
            ].rsplit("/", 1)[1],
            "VERSION_ID": lambda: s3.list_object_versions(Bucket=bucket, Prefix="raw-data/AAPL/")["Versions"][
                0
            ]["VersionId"],
            "KEY": lambda: s3.list_object_versions(Bucket=bucket, Prefix="raw-data/AAPL/")["Versions"][0][
                "Key"
            ],
        }
        for there, here in values.items():
            if there in command:
                command = command.replace(there, here())
        return command

    yield replaced
    for table in ("stock-anomalies-restored",):
        if table in dynamodb.list_tables()["TableNames"]:
            dynamodb.delete_table(TableName=table)
    for backup in dynamodb.list_backups()["BackupSummaries"]:
        dynamodb.delete_backup(BackupArn=backup["BackupArn"])


@pytest.mark.skipif(not SEED.exists(), reason="the runbook that ours replaces is not on this machine")
def test_that_runbook_has_commands() -> None:
    assert len(seed_commands()) > 40


@pytest.mark.parametrize("command", seed_commands(), ids=lambda command: command[:60])
def test_the_commands_of_the_runbook_before(shell: Shell, real: Callable[[str], str], command: str) -> None:
    for beginning, reason in NOT_RUN.items():
        if command.startswith(beginning):
            pytest.skip(reason)
    folder = 'cd "$STOCK_MONITOR_ROOT"; ' if command.startswith("git ") else ""
    done = shell(folder + real(command))
    for beginning, says in REFUSED.items():
        if command.startswith(beginning):
            assert says in done.stdout
            return
    assert done.returncode == 0, f"{real(command)}\n{done.stdout[-3000:]}"
    for part, says in SAYS.items():
        if part in real(command):
            assert says in done.stdout.replace(" ", "") or says in done.stdout, done.stdout[-3000:]


def test_every_call_for_the_runbook_is_known(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its commands made functions do; conftest.py puts it last."""
    if monitor.given:
        pytest.skip("LocalStack 4.9.2: policies are not enforced in this edition")
    assert unknown_calls(monitor, monkeypatch) == set()
