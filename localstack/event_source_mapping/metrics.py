"""Metrics on their way to CloudWatch: collected, grouped, cut into PutMetricData requests (pure)."""

import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from localstack.event_source_mapping.sender import Invocation

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import MetricDatumTypeDef

_VALUES_PER_DATUM = 150
_DATA_PER_REQUEST = 1_000
LAMBDA_NAMESPACE = "AWS/Lambda"


class Sample(NamedTuple):
    """One value of one metric at an epoch time in seconds."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    value: float
    unit: str
    timestamp: float


class MetricRequest(NamedTuple):
    """The arguments of one PutMetricData."""

    namespace: str
    data: "list[MetricDatumTypeDef]"


def lambda_sample(function_name: str, name: str, value: float, unit: str, timestamp: float) -> Sample:
    """Return a sample in AWS/Lambda under the function's name."""
    return Sample(LAMBDA_NAMESPACE, name, (("FunctionName", function_name),), value, unit, timestamp)


def requests(samples: Iterable[Sample]) -> Iterator[MetricRequest]:
    """Group samples by metric and minute and cut them to PutMetricData's limits (150 values, 1,000 data)."""
    groups: dict[tuple[Any, ...], list[Sample]] = defaultdict(list)
    for sample in samples:
        minute = int(sample.timestamp // 60)
        groups[(sample.namespace, sample.name, sample.dimensions, sample.unit, minute)].append(sample)
    by_namespace: dict[str, list[MetricDatumTypeDef]] = defaultdict(list)
    for group in groups.values():
        by_namespace[group[0].namespace].extend(_data(group))
    for namespace, data in by_namespace.items():
        for start in range(0, len(data), _DATA_PER_REQUEST):
            yield MetricRequest(namespace, data[start : start + _DATA_PER_REQUEST])


def _data(group: Sequence[Sample]) -> "Iterator[MetricDatumTypeDef]":
    counts = list(Counter(sample.value for sample in group).items())
    first = group[0]
    for start in range(0, len(counts), _VALUES_PER_DATUM):
        part = counts[start : start + _VALUES_PER_DATUM]
        yield {
            "MetricName": first.name,
            "Dimensions": [{"Name": name, "Value": value} for name, value in first.dimensions],
            "Timestamp": datetime.fromtimestamp(max(sample.timestamp for sample in group), UTC),
            "Unit": first.unit,  # type: ignore[typeddict-item]  # EMF lines bring their own
            "Values": [value for value, _ in part],
            "Counts": [float(count) for _, count in part],
        }


class Execution(NamedTuple):
    """One execution of a function, from an Invoke call or from its log."""

    ended: float
    duration_ms: float
    failed: bool


class InvocationLedger:
    """Executions of functions that CloudWatch should have counted.

    Emulators differ: some count Invoke calls, some not even those, and few count what schedules and queues
    start. So executions wait here until it is known how many the endpoint counted itself; `missing` gives
    the rest. Thread safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Execution]] = defaultdict(list)
        self._expected: Counter[str] = Counter()

    def add(self, function_name: str, execution: Execution) -> None:
        """Record that an execution took place."""
        with self._lock:
            self._waiting[function_name].append(execution)
            self._expected[function_name] += 1

    def active(self) -> list[str]:
        """Functions with executions whose counting is open."""
        with self._lock:
            return [name for name, waiting in self._waiting.items() if waiting]

    def missing(self, function_name: str, counted: int) -> list[Execution]:
        """Return the executions to publish, given that the endpoint has counted `counted` since the start."""
        with self._lock:
            waiting = self._waiting.pop(function_name, [])
            gap = self._expected[function_name] - counted
            return waiting[-gap:] if gap > 0 else []

    def restart(self) -> None:
        """Count from now on: keeps the range short that the endpoint has to sum up."""
        with self._lock:
            self._expected = Counter({name: len(waiting) for name, waiting in self._waiting.items()})


class SampleBuffer:
    """Samples waiting for the next request; thread safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._samples: list[Sample] = []

    def add(self, samples: Iterable[Sample]) -> None:
        """Keep samples for the next request."""
        with self._lock:
            self._samples.extend(samples)

    def drain(self) -> list[Sample]:
        """Take all samples out."""
        with self._lock:
            taken, self._samples = self._samples, []
        return taken


def invocation_samples(invocation: Invocation, now: float) -> list[Sample]:
    """Return what a mapping's invocation gives besides the function's own counts: iterator age or a throttle."""
    name = invocation.function_name
    if invocation.throttled:
        return [lambda_sample(name, "Throttles", 1, "Count", now)]
    if invocation.outcome.kind == "not_invoked":
        return []
    return [lambda_sample(name, "IteratorAge", invocation.iterator_age_ms, "Milliseconds", now)]


def execution_samples(function_name: str, execution: Execution) -> list[Sample]:
    """Return the counts AWS keeps of every execution."""
    return [
        lambda_sample(function_name, "Invocations", 1, "Count", execution.ended),
        lambda_sample(function_name, "Errors", float(execution.failed), "Count", execution.ended),
        lambda_sample(function_name, "Duration", execution.duration_ms, "Milliseconds", execution.ended),
    ]
