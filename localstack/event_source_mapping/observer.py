"""Publishes metrics as AWS would, reads embedded metrics out of logs, and keeps alarms moving."""

import base64
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime

from botocore.exceptions import BotoCoreError, ClientError

from localstack.event_source_mapping.alarms import quiet_alarms
from localstack.event_source_mapping.clients import Clients
from localstack.event_source_mapping.log_follower import LogFollower
from localstack.event_source_mapping.log_lines import ExecutionReader, embedded_metrics
from localstack.event_source_mapping.metrics import (
    LAMBDA_NAMESPACE,
    Execution,
    InvocationLedger,
    Sample,
    SampleBuffer,
    execution_samples,
    invocation_samples,
    lambda_sample,
    requests,
)
from localstack.event_source_mapping.sender import Invocation

logger = logging.getLogger(__name__)

_FLUSH_SECONDS = 5.0
_ALARM_SECONDS = 10.0
_RECOUNT_SECONDS = 1_800.0
# A function's log lines may be there a moment before the endpoint counts its execution.
_SETTLE_SECONDS = 1.0
_HEARTBEAT_NAMESPACE = "EventSourceMappingRunner"


class Observer:
    """A thread of its own: slow metrics never hold up records."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._driven: Callable[[], frozenset[str]] = frozenset
        self._started = time.time()
        self._buffer = SampleBuffer()
        self._ledger = InvocationLedger()
        self._logs = LogFollower(clients.logs, self._started)
        self._readers: dict[tuple[str, str], ExecutionReader] = defaultdict(ExecutionReader)
        self._counting_since = self._started
        self._next_alarms = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)

    def start(self, driven: Callable[[], frozenset[str]]) -> None:
        """Begin to publish. `driven` names the functions whose invocations are reported to `on_invocation`."""
        self._driven = driven
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Publish what is left, for at most `timeout` seconds."""
        self._stop.set()
        self._thread.join(timeout)

    def on_invocation(self, invocation: Invocation) -> None:
        """Take note of an invocation by a mapping."""
        now = time.time()
        self._buffer.add(invocation_samples(invocation, now))
        if invocation.outcome.kind != "not_invoked":
            failed = invocation.outcome.kind == "failed"
            self._ledger.add(invocation.function_name, Execution(now, invocation.duration_ms, failed))
        if invocation.log_tail:
            lines = base64.b64decode(invocation.log_tail).decode("utf-8", "replace").splitlines()
            self._buffer.add(sample for line in lines for sample in embedded_metrics(line, now))

    def on_undelivered(self, function_name: str) -> None:
        """Take note of records that no destination took."""
        self._buffer.add(
            [lambda_sample(function_name, "DestinationDeliveryFailures", 1, "Count", time.time())]
        )

    def _run(self) -> None:
        reachable = True
        while not self._stop.wait(_FLUSH_SECONDS):
            try:
                self.observe(time.time())
            except (BotoCoreError, ClientError) as error:
                if reachable:
                    logger.warning("metrics_unpublished error=%s", error)
                reachable = False
            else:
                reachable = True
        try:
            self._publish(time.time())
        except (BotoCoreError, ClientError) as error:
            logger.warning("metrics_unpublished error=%s", error)

    def observe(self, now: float) -> None:
        """Read logs, publish metrics and look at alarms once."""
        self._read_logs(now)
        self._publish(now)
        if now >= self._next_alarms:
            self._next_alarms = now + _ALARM_SECONDS
            self._move_alarms(now)

    def _read_logs(self, now: float) -> None:
        for name in set(self._logs.function_names()) - self._driven():
            for line in self._logs.new_lines(name, now - _SETTLE_SECONDS):
                self._buffer.add(embedded_metrics(line.message, line.at))
                for execution in self._readers[(name, line.stream)].read([(line.at, line.message)]):
                    self._ledger.add(name, execution)
                    del self._readers[(name, line.stream)]

    def _publish(self, now: float) -> None:
        for name in self._ledger.active():
            for execution in self._ledger.missing(name, self._counted(name, now)):
                self._buffer.add(execution_samples(name, execution))
        samples = self._buffer.drain()
        if not samples:
            # Some emulators evaluate alarms only when a metric is put.
            samples = [Sample(_HEARTBEAT_NAMESPACE, "Heartbeat", (), 1, "Count", now)]
        try:
            for request in requests(samples):
                self._clients.cloudwatch.put_metric_data(Namespace=request.namespace, MetricData=request.data)
        except (BotoCoreError, ClientError):
            self._buffer.add(samples)
            raise
        if now - self._counting_since > _RECOUNT_SECONDS:
            self._counting_since = now
            self._ledger.restart()

    def _counted(self, function_name: str, now: float) -> int:
        answer = self._clients.cloudwatch.get_metric_statistics(
            Namespace=LAMBDA_NAMESPACE,
            MetricName="Invocations",
            Dimensions=[{"Name": "FunctionName", "Value": function_name}],
            StartTime=datetime.fromtimestamp(self._counting_since, UTC),
            EndTime=datetime.fromtimestamp(now + 60, UTC),
            Period=3600,
            Statistics=["Sum"],
        )
        return int(sum(point["Sum"] for point in answer["Datapoints"]))

    def _move_alarms(self, now: float) -> None:
        for alarm_name, state in quiet_alarms(self._clients.cloudwatch, now):
            self._clients.cloudwatch.set_alarm_state(
                AlarmName=alarm_name, StateValue=state, StateReason="No data within the evaluation range"
            )
