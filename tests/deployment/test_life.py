"""The life of a deployment, by the command alone: a bad version and its fix, the end and a second beginning, a second
region, a prefix. It takes half an hour: DEPLOYMENT_LIFE=1 pytest tests/deployment/test_life.py.

How it begins, and the same again without a flag, is in test_private.py. Each step is in the order of this file.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from localstack.settings import ACCOUNT, aws_environment
from stream_infra import names
from tests.calls import called_every
from tests.deployment.account import Account, new_account

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif("DEPLOYMENT_LIFE" not in os.environ, reason="takes long: DEPLOYMENT_LIFE=1 runs it"),
]
ROOT = Path(__file__).resolve().parents[2]
WEST = "eu-west-1"
SETTINGS = f"""
[prod]
source = "simulated"
people = ["ann@example.com"]
concurrency_limit = 0

[bare]
region = "{WEST}"
source = "simulated"
concurrency_limit = 0

[west]
region = "{WEST}"
prefix = "west"
source = "simulated"
concurrency_limit = 0
"""
_FAILS = "    raise RuntimeError('a bad version')\n"


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """A clone of the repository, and what it deployed; its topics have subscribers."""
    folder = tmp_path_factory.mktemp("life")
    clone = folder / "clone"
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in (of for of in listed.split("\0") if of and not of.startswith("tests/")):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, clone / name)
    if (
        built := ROOT / "build" / "bundles"
    ).exists():  # what need not be built again; the clone deletes its own
        shutil.copytree(built, clone / "build" / "bundles", copy_function=os.link, symlinks=True)
    made_by_make = [ROOT / name for name in (".venv", "node_modules")]
    for made in (*ROOT.glob("consumers/**/*.so"), *made_by_make):
        (clone / made.relative_to(ROOT)).symlink_to(made)
    with pytest.MonkeyPatch.context() as patch:
        # The first call of a version takes seconds on a busy machine.
        patch.setenv("SHIFT_MINUTE_SECONDS", "4")
        yield from _deployed(folder, clone)


def _deployed(folder: Path, clone: Path) -> Iterator[Account]:
    with new_account(folder, SETTINGS) as account:
        shutil.copy(folder / "monitor.toml", clone / "monitor.toml")
        found = dataclasses.replace(account, checkout=clone)
        deployed = found.run("deploy", "prod", "--bootstrap")
        assert "nobody-is-notified" in deployed.stdout + deployed.stderr, deployed.stdout + deployed.stderr
        for topic in (names.ALERTS_TOPIC, names.OPERATIONS_TOPIC):
            found.subscribe(topic, "a-person")
        yield found


def state(account: Account, stack: str = names.LAMBDA_STACK) -> str:
    (found,) = account.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return str(found["StackStatus"])


def live(account: Account, function: str = names.SCANNER) -> str:
    found = account.client("lambda").get_alias(FunctionName=function, Name=names.LIVE)
    return str(found["FunctionVersion"])


@contextmanager
def spoiled(handler: Path) -> Iterator[None]:
    """A function fails at its first line meanwhile."""
    text = handler.read_text()
    line = text.index("\n", text.index(") -> ", text.index("\ndef handler(")))
    handler.write_text(f"{text[: line + 1]}{_FAILS}{text[line + 1 :]}")
    yield
    handler.write_text(text)


def scans(account: Account) -> AbstractContextManager[None]:
    """The scanner is called every second, as by a schedule."""
    scan = {"FunctionName": names.SCANNER, "Qualifier": names.LIVE, "Payload": b'{"polls": 1}'}
    return called_every(1, partial(account.client("lambda").invoke, **scan))


def test_a_bad_version_is_taken_back_and_so_it_is_when_it_is_tried_again(prod: Account) -> None:
    """CodeDeploy guide, "Monitoring deployments with Amazon CloudWatch alarms in CodeDeploy"; CloudFormation reference,
    UpdatePolicy, CodeDeployLambdaAliasUpdate. The second one must not end with "A version for this Lambda function
    exists" (re:Post, "resolve the error A version for this Lambda function exists")."""
    assert prod.checkout is not None
    before = live(prod)
    with spoiled(prod.checkout / "producers" / "handler.py"), scans(prod):
        for _ in range(2):
            failed = prod.run("deploy", "prod")
            said = failed.stdout + failed.stderr
            assert failed.returncode != 0, said
            assert "stopped and rolled back: the alarm stock-scanner-version-" in said, said
            assert "A version for this Lambda function exists" not in said
            assert (state(prod), live(prod)) == ("UPDATE_ROLLBACK_COMPLETE", before)


def test_a_bad_detector_gets_no_call(prod: Account) -> None:
    """CodeDeploy guide, "AppSpec 'hooks' section for an AWS Lambda deployment": BeforeAllowTraffic."""
    assert prod.checkout is not None
    before = live(prod, names.DETECTOR)
    with spoiled(prod.checkout / "consumers" / "detector" / "handler.py"):
        failed = prod.run("deploy", "prod")
    assert failed.returncode != 0
    assert "BeforeAllowTraffic said Failed" in failed.stdout + failed.stderr, failed.stdout + failed.stderr
    assert (state(prod), live(prod, names.DETECTOR)) == ("UPDATE_ROLLBACK_COMPLETE", before)


def test_the_fix_goes_through_while_an_alarm_rings(prod: Account) -> None:
    """CodeDeploy guide, as above: it looks at its group's alarms, which are of the new version alone."""
    assert prod.checkout is not None
    before = live(prod)
    alarm = {"AlarmName": "stock-scanner-errors", "StateReason": "a drill"}
    handler = prod.checkout / "producers" / "handler.py"
    handler.write_text(f"{handler.read_text()}# mended\n")
    prod.client("cloudwatch").set_alarm_state(**alarm, StateValue="ALARM")
    with scans(prod):
        fixed = prod.run("deploy", "prod")
    prod.client("cloudwatch").set_alarm_state(**alarm, StateValue="OK")
    assert fixed.returncode == 0, fixed.stdout + fixed.stderr
    assert state(prod) == "UPDATE_COMPLETE"
    assert int(live(prod)) > int(before)


def test_a_second_region_needs_a_prefix_and_stands_beside_the_first_with_it(prod: Account) -> None:
    """S3 guide, "General purpose buckets overview": a name is taken for all regions and accounts; so it is for the
    domain of a user pool and roles of IAM only in their own scope (IAM guide, "Friendly names": of the account)."""
    west = dataclasses.replace(prod, region=WEST)
    bare = west.run("deploy", "bare", "--json")
    assert bare.returncode != 0
    remedies = [of["remedy"] for of in json.loads(bare.stdout)["missing"]]
    assert remedies[:2] == ["give this one a prefix of its own in monitor.toml"] * 2
    first = west.run("deploy", "west", "--bootstrap")
    assert "nobody-is-notified" in first.stdout + first.stderr, first.stdout + first.stderr
    tables = set(west.client("dynamodb").list_tables()["TableNames"])
    assert tables >= {f"west-{table}" for table in names.TABLES}
    again = west.run(
        "deploy", "west"
    )  # its proof is not shown here: the local AWS follows queues in one region
    assert (again.stdout + again.stderr).count("(no changes)") == len(names.STACKS), again.stderr
    same = prod.run("deploy", "prod")
    assert same.returncode == 0, same.stdout + same.stderr
    assert set(prod.client("dynamodb").list_tables()["TableNames"]) >= set(names.TABLES)


def test_destroyed_it_leaves_what_was_recorded_and_a_second_deployment_takes_it_over(prod: Account) -> None:
    """CloudFormation reference, DeletionPolicy: Retain; CloudFormation guide, "Import AWS resources into a
    CloudFormation stack automatically"."""
    assert prod.checkout is not None
    anomalies = {"TableName": names.ANOMALIES_TABLE, "Select": "COUNT"}
    count = prod.client("dynamodb").scan(**anomalies)["Count"]
    npm = [
        sys.executable,
        "-m",
        "localstack.node",
        "npm",
        "--prefix",
        str(prod.checkout),
        "exec",
        "--",
        "cdk",
    ]
    gone = subprocess.run(
        [*npm, "destroy", "--all", "--force", "-c", "deployment=prod", "-c", f"account={ACCOUNT}"],
        cwd=prod.checkout,
        env=aws_environment(prod.aws),
        capture_output=True,
        text=True,
        check=False,
    )
    assert gone.returncode == 0, gone.stdout + gone.stderr
    stacks = {of["StackName"] for of in prod.client("cloudformation").describe_stacks()["Stacks"]}
    assert not stacks & set(names.STACKS)
    assert prod.client("dynamodb").scan(**anomalies)["Count"] >= count
    plain = prod.run("deploy", "prod", "--json")
    assert plain.returncode != 0
    left = [of["what"] for of in json.loads(plain.stdout)["missing"]]
    assert [of.rpartition(": ")[2] for of in left] == [
        "left over from an earlier deployment, and of no stack"
    ] * 2
    assert state_or_none(prod) is None, "nothing was changed"
    adopted = prod.run("deploy", "prod", "--adopt")
    assert "nobody-is-notified" in adopted.stdout + adopted.stderr, adopted.stdout + adopted.stderr
    assert state(prod, names.STORAGE_STACK) in {"CREATE_COMPLETE", "IMPORT_COMPLETE"}
    for topic in (names.ALERTS_TOPIC, names.OPERATIONS_TOPIC):
        prod.subscribe(topic, "a-person")
    again = prod.run("deploy", "prod")
    assert again.returncode == 0, again.stdout + again.stderr
    assert prod.client("dynamodb").scan(**anomalies)["Count"] >= count


def state_or_none(account: Account) -> str | None:
    found = account.client("cloudformation").describe_stacks()["Stacks"]
    return next((of["StackStatus"] for of in found if of["StackName"] == names.STORAGE_STACK), None)
