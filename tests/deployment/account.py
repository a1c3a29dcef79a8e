"""An account of a local AWS, and somebody who deploys to it by the command alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import boto3

from localstack import emulator
from localstack.settings import ACCOUNT, REGION, LocalSettings, aws_environment
from tests.guard import guarded
from tests.ports import free_port


@dataclass(frozen=True)
class Account:
    """An account of a local AWS, a folder with the settings of its deployment, and a terminal in that folder."""

    aws: LocalSettings
    folder: Path
    checkout: Path | None = None
    """Of the monitor, in place of the one that is tested."""
    region: str = REGION

    def client(self, service: str) -> Any:
        session = boto3.session.Session("test", "test", region_name=self.region)
        return session.client(service, endpoint_url=self.aws.aws)  # type: ignore[call-overload]

    def output(self, stack: str, key: str) -> str:
        (found,) = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        return next(str(of["OutputValue"]) for of in found["Outputs"] if of["OutputKey"] == key)

    def terminal(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `stock-monitor …` with the credentials of this account."""
        region = {"AWS_DEFAULT_REGION": self.region, "AWS_REGION": self.region}
        program = [str(Path(sys.executable).with_name("stock-monitor"))]
        if self.checkout:
            program = [sys.executable, "-c", "from stream_infra.cli.main import main; main()"]
        return subprocess.Popen(
            [*program, *arguments],
            cwd=self.checkout or self.folder,
            env=aws_environment(self.aws) | region | {"XDG_STATE_HOME": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, seconds: float = 900) -> subprocess.CompletedProcess[str]:
        with self.terminal(*arguments) as program:
            try:
                out, error = program.communicate(timeout=seconds)
            finally:
                program.kill()
        return subprocess.CompletedProcess(program.args, program.returncode, out, error)

    def subscribe(self, topic: str, queue: str) -> None:
        """Let a queue get what a topic says, as a person who followed the link in AWS's email."""
        sqs, arn = self.client("sqs"), f"arn:aws:sqs:{self.region}:{ACCOUNT}:{queue}"
        may = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = {"Version": "2012-10-17", "Statement": [{**may, "Resource": arn}]}
        sqs.create_queue(QueueName=queue, Attributes={"Policy": json.dumps(policy)})
        topic_arn = f"arn:aws:sns:{self.region}:{ACCOUNT}:{topic}"
        self.client("sns").subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=arn)

    def invitation(self, email: str) -> str:
        """Return the temporary password in the email that Cognito sent."""
        with urlopen(f"{self.aws.aws}/_ministack/ses/messages", timeout=20) as answer:
            sent = json.load(answer)["messages"][ACCOUNT]
        (text,) = (of["BodyText"] for of in sent if of["To"] == [email])
        return str(text.removesuffix(".").rpartition(" ")[2])


@contextmanager
def new_account(folder: Path, settings: str) -> Iterator[Account]:
    """Nothing is in it; `settings` are those of the folder's monitor.toml."""
    (folder / "monitor.toml").write_text(settings)
    aws = LocalSettings(folder / "aws", free_port(), free_port(), None)
    aws.directory.mkdir()
    with guarded(aws.directory):
        emulator.start(aws)
        try:
            yield Account(aws, folder)
        finally:
            stopped = emulator.emulator(aws).stop()
        assert stopped
