"""A local AWS with the shipped detector in it, and a proxy between the two that fails on purpose."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import pytest

from localstack.node import find_node
from localstack.settings import port_is_free
from stream_infra import names
from stream_infra.cdk.bundling import bundle
from stream_infra.operations.endpoints import Endpoints
from tests.aws import MINISTACK, create_table
from tests.consumers.faults.proxy import FUNCTION_TIMEOUT_SECONDS, Proxy
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[3]
ACCOUNT, REGION = "000000000000", "us-east-1"
BUCKET = names.data_bucket(ACCOUNT)
PARTITIONS = 4
SERVICES = ("DYNAMODB", "EVENTS", "S3", "SSM")


def _end(*processes: subprocess.Popen[bytes] | None) -> None:
    for process in processes:
        if process is not None and process.poll() is None:
            process.terminate()
            process.wait(timeout=60)


if TYPE_CHECKING:
    from mypy_boto3_events.type_defs import InputTransformerTypeDef
    from mypy_boto3_lambda.literals import RuntimeType

T = TypeVar("T")


@dataclass
class Lab:
    """A local AWS, the runner that drives the mapping, and the detector behind the proxy.

    The streams are kinesis-local's, which keeps what a shard holds when it is split or merged (MiniStack drops it).
    They are durable, as on AWS: they run on when the rest is started anew.
    """

    directory: Path
    emulator_url: str = field(default_factory=lambda: f"http://127.0.0.1:{free_port()}")
    emulator: subprocess.Popen[bytes] | None = None
    runner: subprocess.Popen[bytes] | None = None
    kinesis: subprocess.Popen[bytes] | None = None
    front: Proxy | None = None

    @property
    def url(self) -> str:
        """Where all services are."""
        assert self.front is not None
        return self.front.url

    @property
    def aws(self) -> Endpoints:
        """Clients of them."""
        return Endpoints(None, None, self.url, None)

    def start_streams(self) -> None:
        """Start Kinesis, and what makes one AWS of the two."""
        port = free_port()
        environment = {
            **os.environ,
            "KINESIS_MOCK_PLAIN_PORT": str(port),
            "KINESIS_MOCK_TLS_PORT": str(free_port()),
            "SPLIT_SHARD_DURATION": "2s",
            "MERGE_SHARDS_DURATION": "2s",
            "NODE_OPTIONS": "",
        }
        command = [
            str(find_node().binary),
            "--require",
            str(ROOT / "tests/e2e/hostmode/loopback.cjs"),
            "main.js",
        ]
        with (self.directory / "kinesis.log").open("a") as log:
            self.kinesis = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, cwd=ROOT / "node_modules/kinesis-local"
            )
        self.front = Proxy(self.emulator_url, 0, f"http://127.0.0.1:{port}")
        self.eventually(lambda: not port_is_free(port), 60)

    def start(self) -> None:
        """Start what does not run; its data is as it was."""
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
            "GATEWAY_PORT": self.emulator_url.rpartition(":")[2],
            "BIND_HOST": "127.0.0.1",
            "LAMBDA_EXECUTOR": "local",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "LOG_LEVEL": "WARNING",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self.directory / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self.directory / "s3"),
            "TMPDIR": str(self.directory),
        }
        with (self.directory / "ministack.log").open("a") as log:
            command = [sys.executable, *MINISTACK]
            self.emulator = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, cwd=self.directory
            )
        self.eventually(self._answers, 60)

    def run(self) -> None:
        """Start the mapping runner."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        command = [sys.executable, "-m", "localstack.event_source_mapping", "--endpoint-url", self.url]
        command += ["--include-disabled", "--state", str(self.directory / "checkpoints.json")]
        with (self.directory / "runner.log").open("a") as log:
            self.runner = subprocess.Popen(command, cwd=ROOT, stderr=log, env={**kept, "AWS_REGION": REGION})

    def stop(self) -> None:
        """Stop the runner and the emulator."""
        _end(self.runner, self.emulator)

    def close(self) -> None:
        """Stop everything."""
        _end(self.runner, self.emulator, self.kinesis)
        if self.front is not None:
            self.front.close()

    def reshard(self, split: bool) -> None:
        """Split the shard of the lowest hash keys in the middle, or merge it with its neighbour."""
        kinesis = self.aws.client("kinesis")
        shards = kinesis.list_shards(StreamName=names.STREAM)["Shards"]
        is_open = [shard for shard in shards if "EndingSequenceNumber" not in shard["SequenceNumberRange"]]
        first, second, *_ = sorted(is_open, key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))
        if split:
            middle = int(first["HashKeyRange"]["EndingHashKey"]) // 2 + 1
            kinesis.split_shard(
                StreamName=names.STREAM, ShardToSplit=first["ShardId"], NewStartingHashKey=str(middle)
            )
        else:
            kinesis.merge_shards(
                StreamName=names.STREAM, ShardToMerge=first["ShardId"], AdjacentShardToMerge=second["ShardId"]
            )

    def _answers(self) -> bool:
        assert self.emulator is not None
        assert self.emulator.poll() is None, "MiniStack ended at once"
        try:
            with urllib.request.urlopen(f"{self.emulator_url}/_ministack/health", timeout=1):
                return True
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return False

    @staticmethod
    def eventually(look: Callable[[], T], seconds: float) -> T:
        deadline = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
            time.sleep(0.1)
        return found

    def deploy(self, proxy: Proxy, record_age_seconds: int = 21_600) -> None:
        """All that the detector needs, and the detector, with a mapping as on AWS."""
        dynamodb = self.aws.client("dynamodb")
        for table, keys in (
            (names.WINDOWS_TABLE, ("pk", "sk")),
            (names.CHARTS_TABLE, ("pk", "sk")),
            (names.ANOMALIES_TABLE, ("ticker", "timestamp")),
        ):
            create_table(table, *keys, client=dynamodb)
        self.aws.client("s3").create_bucket(Bucket=BUCKET)
        self.aws.client("ssm").put_parameter(Name=names.THRESHOLD_PARAMETER, Value="2.5", Type="String")
        self._bus()
        self.aws.client("kinesis").create_stream(StreamName=names.STREAM, ShardCount=2)
        self.aws.client("kinesis").get_waiter("stream_exists").wait(
            StreamName=names.STREAM, WaiterConfig={"Delay": 1}
        )
        package = io.BytesIO()
        folder = bundle(ROOT, names.DETECTOR, "local")
        with zipfile.ZipFile(package, "w") as archive:
            for path in folder.rglob("*"):
                archive.write(path, path.relative_to(folder))
        functions = self.aws.client("lambda")
        functions.create_function(
            FunctionName=names.DETECTOR,
            Runtime=cast("RuntimeType", f"python3.{sys.version_info.minor}"),
            Role=f"arn:aws:iam::{ACCOUNT}:role/detector",
            Handler="consumers.detector.handler.handler",
            Code={"ZipFile": package.getvalue()},
            Timeout=FUNCTION_TIMEOUT_SECONDS,
            MemorySize=1024,
            Environment={
                "Variables": {
                    "PARTITIONS": str(PARTITIONS),
                    "ANOMALIES_TABLE": names.ANOMALIES_TABLE,
                    "WINDOWS_TABLE": names.WINDOWS_TABLE,
                    "CHARTS_TABLE": names.CHARTS_TABLE,
                    "DATA_BUCKET": BUCKET,
                    "BUS_NAME": names.BUS,
                    "POWERTOOLS_SERVICE_NAME": names.DETECTOR,
                    "POWERTOOLS_METRICS_NAMESPACE": "StockMonitor",
                    **{f"AWS_ENDPOINT_URL_{service}": proxy.url for service in SERVICES},
                }
            },
        )
        functions.create_event_source_mapping(
            FunctionName=names.DETECTOR,
            EventSourceArn=f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{names.STREAM}",
            StartingPosition="TRIM_HORIZON",
            BatchSize=20,  # many invocations
            Enabled=False,
            FunctionResponseTypes=["ReportBatchItemFailures"],
            BisectBatchOnFunctionError=True,
            MaximumRecordAgeInSeconds=record_age_seconds,
            DestinationConfig={"OnFailure": {"Destination": f"arn:aws:s3:::{BUCKET}"}},
        )

    def announce_failed_batches(self) -> None:
        """The dead-letter queue, and the rule that fills it, as in `stream_infra.cdk.stacks.storage`."""
        events, sqs = self.aws.client("events"), self.aws.client("sqs")
        queue = sqs.create_queue(QueueName=names.DEAD_LETTER_QUEUE)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.aws.client("s3").put_bucket_notification_configuration(
            Bucket=BUCKET, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        pattern = {
            "source": ["aws.s3"],
            "detail-type": ["Object Created"],
            "detail": {"object": {"key": [{"prefix": names.FAILED_BATCHES_PREFIX}]}},
        }
        template = (
            '{"Records":[{"eventSource":"aws:s3","s3":{"bucket":{"name":<bucket>},"object":{"key":<key>}}}]}'
        )
        transformer: InputTransformerTypeDef = {
            "InputPathsMap": {"bucket": "$.detail.bucket.name", "key": "$.detail.object.key"},
            "InputTemplate": template,
        }
        events.put_rule(Name=names.FAILED_BATCH_RULE, EventPattern=json.dumps(pattern))
        events.put_targets(
            Rule=names.FAILED_BATCH_RULE,
            Targets=[{"Id": "queue", "Arn": arn, "InputTransformer": transformer}],
        )

    def _bus(self) -> None:
        events, sqs = self.aws.client("events"), self.aws.client("sqs")
        events.create_event_bus(Name=names.BUS)
        queue = sqs.create_queue(QueueName="told")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        pattern = json.dumps({"source": ["stock-monitor"], "detail-type": ["AnomalyDetected"]})
        events.put_rule(Name="all", EventBusName=names.BUS, EventPattern=pattern)
        events.put_targets(Rule="all", EventBusName=names.BUS, Targets=[{"Id": "queue", "Arn": arn}])


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A local AWS of this test alone."""
    lab = Lab(tmp_path)
    try:
        lab.start_streams()
        lab.start()
        yield lab
    finally:
        lab.close()


@pytest.fixture
def proxy(lab: Lab) -> Iterator[Proxy]:
    """What the detector takes for AWS."""
    proxy = Proxy(lab.emulator_url, seed=20_261_124)
    yield proxy
    proxy.close()
