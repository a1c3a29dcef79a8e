"""A local AWS with the shipped detector in it, and a proxy between the two that fails on purpose."""

from __future__ import annotations

import http.client
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from localstack.node import find_node
from localstack.settings import free_port, port_is_free
from stream_infra import names
from stream_infra.cdk.bundling import bundle
from stream_infra.cdk.stacks.storage import FAILED_BATCHES_PREFIX

ROOT = Path(__file__).resolve().parents[3]
ACCOUNT, REGION = "000000000000", "us-east-1"
BUCKET = names.data_bucket(ACCOUNT)
PARTITIONS = 4
SERVICES = ("DYNAMODB", "EVENTS", "S3", "SSM")
FUNCTION_TIMEOUT_SECONDS = 60
FORWARD_TIMEOUT_SECONDS = FUNCTION_TIMEOUT_SECONDS + 30
FAULTS = ("throttle", "error", "refuse", "drop-answer", "partial", "kill", "kill-after")


class Proxy:
    """Forwards requests to the local AWS; what fails, and how, is drawn from a seed.

    A fault lasts for several requests of an operation: single ones are mended by the client's own retries.
    `kinesis` is where the streams are.
    """

    def __init__(self, upstream: str, seed: int, kinesis: str | None = None) -> None:
        self.upstream, self.kinesis = urlsplit(upstream), urlsplit(kinesis or upstream)
        self.is_down = False
        self.share = 0.0
        self.injected: Counter[str] = Counter()
        self._rng = random.Random(seed)
        self._lock = threading.Lock()
        self._left: Counter[str] = Counter()
        self._how: dict[str, str] = {}
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                proxy.serve(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_one  # noqa: N815

            def log_message(self, *_of: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fault(self, operation: str) -> str | None:
        with self._lock:
            if self.is_down:
                how: str | None = "refuse"
            elif self._left[operation]:
                self._left[operation] -= 1
                how = self._how[operation]
            elif self._rng.random() < self.share:
                how = self._how[operation] = self._rng.choice(FAULTS)
                self._left[operation] = 0 if how.startswith("kill") else self._rng.randrange(12)
            else:
                return None
            self.injected[f"{how} {operation}"] += 1
            return how

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        operation = request.headers.get("X-Amz-Target", f"S3.{request.command}").rpartition(".")[2]
        how = self.fault(operation)
        if how == "kill":
            kill_owner(request.client_address[1])
        if how in {"refuse", "kill"}:
            request.close_connection = True
        elif how == "throttle":
            name = "ProvisionedThroughputExceededException"
            self._answer(
                request,
                400,
                json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{name}", "message": ""}),
            )
        elif how == "error":
            self._answer(request, 500, json.dumps({"__type": "InternalServerError", "message": ""}))
        elif how == "partial" and operation in {"BatchWriteItem", "PutEvents"}:
            self._partial(request, operation, json.loads(body))
        else:
            status, headers, answer = self._forward(request, body)
            if how == "kill-after":
                kill_owner(request.client_address[1])
            if how in {"drop-answer", "kill-after"}:
                request.close_connection = True
            else:
                self._answer(request, status, answer, headers)

    def _partial(self, request: BaseHTTPRequestHandler, operation: str, asked: Any) -> None:
        """Half of a batch goes through."""
        if operation == "PutEvents":
            entries = asked["Entries"]
            status, _, answer = self._forward(request, json.dumps({"Entries": entries[::2]}).encode())
            done = iter(json.loads(answer)["Entries"]) if status == 200 else iter(())
            failed = {"ErrorCode": "ThrottlingException", "ErrorMessage": "injected"}
            results = [next(done, failed) if i % 2 == 0 else failed for i in range(len(entries))]
            count = sum("ErrorCode" in result for result in results)
            self._answer(request, 200, json.dumps({"FailedEntryCount": count, "Entries": results}))
            return
        ((table, requests),) = asked["RequestItems"].items()
        if requests[::2]:
            forwarded = json.dumps({"RequestItems": {table: requests[::2]}}).encode()
            status, headers, answer = self._forward(request, forwarded)
            if status != 200:
                self._answer(request, status, answer, headers)
                return
        left = {table: requests[1::2]} if requests[1::2] else {}
        self._answer(request, 200, json.dumps({"UnprocessedItems": left}))

    def _forward(
        self, request: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        is_kinesis = request.headers.get("X-Amz-Target", "").startswith("Kinesis_")
        upstream = self.kinesis if is_kinesis else self.upstream
        connection = http.client.HTTPConnection(
            str(upstream.hostname), upstream.port, timeout=FORWARD_TIMEOUT_SECONDS
        )
        kept = {k: v for k, v in request.headers.items() if k.lower() not in {"content-length", "expect"}}
        try:
            connection.request(
                request.command, request.path, body, {**kept, "Content-Length": str(len(body))}
            )
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        except OSError:
            return 503, [], b"{}"
        finally:
            connection.close()

    @staticmethod
    def _answer(
        request: BaseHTTPRequestHandler,
        status: int,
        body: str | bytes,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        data = body.encode() if isinstance(body, str) else body
        request.send_response(status)
        for name, value in headers:
            if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        try:
            request.wfile.write(data)
        except OSError:
            request.close_connection = True


def kill_owner(port: int) -> None:
    """Kill the process at the other end of a connection, a function in the middle of its batch."""
    connections = Path("/proc/net/tcp").read_text().splitlines()[1:]
    inodes = {f"socket:[{of[9]}]" for of in map(str.split, connections) if of[1].endswith(f":{port:04X}")}
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            is_owner = str(link.readlink()) in inodes
        except OSError:
            continue
        pid = int(link.parts[2])
        if is_owner and pid != os.getpid() and b"_worker.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
            return


def _end(*processes: subprocess.Popen[bytes] | None) -> None:
    for process in processes:
        if process is not None and process.poll() is None:
            process.terminate()
            process.wait(timeout=60)


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

    def client(self, service: str) -> Any:
        make: Any = boto3.client
        return make(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

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
            command = [sys.executable, "-m", "ministack"]
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
        kinesis = self.client("kinesis")
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
    def eventually(look: Callable[[], Any], seconds: float) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
            time.sleep(0.1)
        return found

    def deploy(self, proxy: Proxy, record_age_seconds: int = 21_600) -> None:
        """All that the detector needs, and the detector, with a mapping as on AWS."""
        dynamodb = self.client("dynamodb")
        for table, keys in (
            (names.WINDOWS_TABLE, ("pk", "sk")),
            (names.CHARTS_TABLE, ("pk", "sk")),
            (names.ANOMALIES_TABLE, ("ticker", "timestamp")),
        ):
            dynamodb.create_table(
                TableName=table,
                KeySchema=[
                    {"AttributeName": k, "KeyType": t} for k, t in zip(keys, ("HASH", "RANGE"), strict=True)
                ],
                AttributeDefinitions=[{"AttributeName": k, "AttributeType": "S"} for k in keys],
                BillingMode="PAY_PER_REQUEST",
            )
        self.client("s3").create_bucket(Bucket=BUCKET)
        self.client("ssm").put_parameter(Name=names.THRESHOLD_PARAMETER, Value="2.5", Type="String")
        self._bus()
        self.client("kinesis").create_stream(StreamName=names.STREAM, ShardCount=2)
        self.client("kinesis").get_waiter("stream_exists").wait(
            StreamName=names.STREAM, WaiterConfig={"Delay": 1}
        )
        package = io.BytesIO()
        folder = bundle(ROOT, names.DETECTOR, "local")
        with zipfile.ZipFile(package, "w") as archive:
            for path in folder.rglob("*"):
                archive.write(path, path.relative_to(folder))
        functions = self.client("lambda")
        functions.create_function(
            FunctionName=names.DETECTOR,
            Runtime=f"python3.{sys.version_info.minor}",
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
        events, sqs = self.client("events"), self.client("sqs")
        queue = sqs.create_queue(QueueName=names.DEAD_LETTER_QUEUE)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.client("s3").put_bucket_notification_configuration(
            Bucket=BUCKET, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        pattern = {
            "source": ["aws.s3"],
            "detail-type": ["Object Created"],
            "detail": {"object": {"key": [{"prefix": FAILED_BATCHES_PREFIX}]}},
        }
        template = (
            '{"Records":[{"eventSource":"aws:s3","s3":{"bucket":{"name":<bucket>},"object":{"key":<key>}}}]}'
        )
        transformer = {
            "InputPathsMap": {"bucket": "$.detail.bucket.name", "key": "$.detail.object.key"},
            "InputTemplate": template,
        }
        events.put_rule(Name=names.FAILED_BATCH_RULE, EventPattern=json.dumps(pattern))
        events.put_targets(
            Rule=names.FAILED_BATCH_RULE,
            Targets=[{"Id": "queue", "Arn": arn, "InputTransformer": transformer}],
        )

    def _bus(self) -> None:
        events, sqs = self.client("events"), self.client("sqs")
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
