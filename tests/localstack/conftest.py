"""A private MiniStack, and the event source mapping runner beside it."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar

import pytest

from localstack import emulator
from localstack.settings import LocalSettings
from stream_infra.operations.endpoints import Endpoints
from tests.aws import MINISTACK
from tests.consumers.kit import LambdaEvent
from tests.guard import guarded
from tests.ports import free_port

REPOSITORY = Path(__file__).parents[2]
ACCOUNT = "000000000000"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
"""Of a role that functions have."""
_HANDLER = """
import base64, json, os, time

def payload(record):
    return json.loads(base64.b64decode(record["kinesis"]["data"]))

def handler(event, context):
    started = time.time()
    with open(os.environ["DELIVERIES"], "a") as file:
        file.write(json.dumps({{"started": started, "event": event}}) + "\\n")
    {body}
"""


T = TypeVar("T")


class Delivery(TypedDict):
    """An invocation of a function: when it began, in seconds since the epoch, and its event."""

    started: float
    event: LambdaEvent


@dataclass
class Lab:
    """What a test needs of a local AWS: streams, functions that note their events, mappings."""

    url: str
    region: str
    directory: Path
    ready_file: Path

    @property
    def aws(self) -> Endpoints:
        """Clients of it."""
        return Endpoints(None, None, self.url, None)

    def stream(self, name: str, shards: int = 1) -> str:
        kinesis = self.aws.client("kinesis")
        kinesis.create_stream(StreamName=name, ShardCount=shards)
        self.eventually(
            lambda: (
                kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamStatus"]
                == "ACTIVE"
            )
        )
        return f"arn:aws:kinesis:{self.region}:{ACCOUNT}:stream/{name}"

    def function(self, name: str, body: str) -> str:
        package = io.BytesIO()
        with zipfile.ZipFile(package, "w") as archive:
            archive.writestr("index.py", _HANDLER.format(body=body))
        answer = self.aws.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.11",
            Role=f"arn:aws:iam::{ACCOUNT}:role/esm-role",
            Handler="index.handler",
            Code={"ZipFile": package.getvalue()},
            Environment={"Variables": {"DELIVERIES": str(self._deliveries_file(name))}},
            Timeout=30,
        )
        return str(answer["FunctionArn"])

    def mapping(self, name: str, stream_arn: str, **settings: Any) -> str:
        """Create a mapping, disabled so that the emulator's own poller stays out of it."""
        answer = self.aws.client("lambda").create_event_source_mapping(
            **{"StartingPosition": "TRIM_HORIZON", "BatchSize": 100, **settings},
            FunctionName=name,
            EventSourceArn=stream_arn,
            Enabled=False,
        )
        return str(answer["UUID"])

    def put(self, name: str, *records: tuple[str, bytes]) -> None:
        self.aws.client("kinesis").put_records(
            StreamName=name, Records=[{"PartitionKey": key, "Data": data} for key, data in records]
        )

    def deliveries(self, name: str) -> list[Delivery]:
        """The invocations so far: {"started": epoch seconds, "event": the Lambda event}."""
        file = self._deliveries_file(name)
        whole = file.read_text().splitlines(keepends=True) if file.exists() else []
        return [json.loads(line) for line in whole if line.endswith("\n")]  # another may be half written

    def metric(
        self,
        name: str,
        metric: str,
        statistic: Literal["Sum", "Maximum"] = "Sum",
        *,
        namespace: str = "AWS/Lambda",
        dimensions: dict[str, str] | None = None,
    ) -> float:
        """A metric of a function (or of other dimensions) over the last half hour; 0 without data."""
        chosen = {"FunctionName": name} if dimensions is None else dimensions
        now = datetime.now(UTC)
        answer = self.aws.client("cloudwatch").get_metric_statistics(
            Namespace=namespace,
            MetricName=metric,
            Dimensions=[{"Name": key, "Value": value} for key, value in chosen.items()],
            StartTime=now - timedelta(minutes=30),
            EndTime=now + timedelta(minutes=1),
            Period=3600,
            Statistics=[statistic],
        )
        return float(sum(point[statistic] for point in answer["Datapoints"]))

    def await_polling(self, *uuids: str) -> None:
        def polling() -> bool:
            return self.ready_file.exists() and set(uuids) <= set(
                json.loads(self.ready_file.read_text())["mappings"]
            )

        self.eventually(polling)

    def eventually(self, check: Callable[[], T], seconds: float = 20.0) -> T:
        """The first true answer of `check`; fails after some seconds."""
        deadline = time.monotonic() + seconds
        while True:
            answer = check()
            if answer:
                return answer
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
            time.sleep(0.05)

    def _deliveries_file(self, name: str) -> Path:
        return self.directory / f"{name}.jsonl"


@pytest.fixture(scope="package")
def ministack_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of a MiniStack that only the tests of this folder use."""
    directory = tmp_path_factory.mktemp("ministack")
    port = free_port()
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "LAMBDA_EXECUTOR": "local",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "STATE_DIR": str(directory / "state"),
        "S3_DATA_DIR": str(directory / "s3"),
    }
    with (directory / "ministack.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *MINISTACK], env=environment, stdout=log, stderr=log, cwd=directory
        )
    try:
        _await_health(f"http://127.0.0.1:{port}/_ministack/health", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="package")
def strict_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of a local AWS as `make up` starts it, which judges rights and sizes."""
    settings = LocalSettings(tmp_path_factory.mktemp("strict"), free_port(), free_port(), None)
    with guarded(settings.directory):
        emulator.start(settings)
        yield settings.aws
        assert emulator.emulator(settings).stop()


def _await_health(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, "MiniStack ended at once"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.1)
    pytest.fail("MiniStack did not answer within 30 s")


class Runner:
    """The runner as a user starts it, with its log in a file."""

    def __init__(self, lab: Lab, *arguments: str) -> None:
        self.log = lab.directory / "runner.log"
        kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "localstack.event_source_mapping",
                    "--endpoint-url",
                    lab.url,
                    "--include-disabled",
                    "--ready-file",
                    str(lab.ready_file),
                    *arguments,
                ],
                cwd=REPOSITORY,
                stderr=log,
                env={**kept, "AWS_REGION": lab.region},
            )

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and give the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=15)


@pytest.fixture(scope="package")
def lab(ministack_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A region in which one runner drives every disabled mapping for all tests of this folder."""
    directory = tmp_path_factory.mktemp("lab")
    lab = Lab(ministack_url, "us-east-1", directory, directory / "ready.json")
    runner = Runner(lab)
    yield lab
    assert runner.stop() == 0, runner.log.read_text()


@pytest.fixture
def start_runner() -> Iterator[Callable[..., Runner]]:
    """Starts runners that a test stops itself; ends what is left over."""
    started: list[Runner] = []

    def start(lab: Lab, *arguments: str) -> Runner:
        started.append(Runner(lab, *arguments))
        return started[-1]

    yield start
    for runner in started:
        if runner.process.poll() is None:
            runner.process.kill()
            runner.process.wait()


@pytest.fixture
def own_lab(ministack_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A region of its own, for tests that start and stop runners."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    return Lab(ministack_url, "eu-west-1", tmp_path, tmp_path / "ready.json")
