"""What CloudWatch knows of functions, and what follows: alarms, and their notifications."""

import itertools
import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from localstack.event_source_mapping.log_lines import ExecutionReader, embedded_metrics
from localstack.event_source_mapping.metrics import Execution, InvocationLedger, Sample, requests
from tests.consumers.kit import KinesisPart
from tests.localstack.conftest import Lab, Runner

TOLD = """print(json.dumps({"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [
        {"Namespace": "EsmTest", "Dimensions": [["service"], []], "Metrics": [{"Name": "Ticks", "Unit": "Count"}]}]},
        "service": "detector", "Ticks": [3, 4]}))"""


def alarm(lab: Lab, name: str, metric: str, topic: str) -> None:
    lab.aws.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="AWS/Lambda",
        MetricName=metric,
        Dimensions=[{"Name": "FunctionName", "Value": name}],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
        AlarmActions=[topic],
    )


def test_errors_of_a_mapping_raise_an_alarm_that_tells_its_topic(
    own_lab: Lab, start_runner: Callable[..., Runner]
) -> None:
    """In a region of its own: MiniStack's alarms look at a metric under all dimensions."""
    sqs, sns, name = own_lab.aws.client("sqs"), own_lab.aws.client("sns"), "esm-alarmed"
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    stream = own_lab.stream(name)
    own_lab.function(name, "raise ValueError('always')")
    alarm(own_lab, name, "Errors", topic)
    own_lab.mapping(name, stream, MaximumRetryAttempts=1)
    start_runner(own_lab)
    own_lab.put(name, ("key", b"poison"))

    def told() -> Any:
        messages = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages")
        return messages and json.loads(json.loads(messages[0]["Body"])["Message"])

    message = own_lab.eventually(told, seconds=40)
    assert (message["AlarmName"], message["NewStateValue"]) == (name, "ALARM")
    for metric in ("Errors", "Invocations"):

        def both(of: str = metric) -> bool:
            return own_lab.metric(name, of) == 2

        own_lab.eventually(both)
    own_lab.eventually(lambda: 0 < own_lab.metric(name, "IteratorAge", "Maximum") < 60_000)


def test_embedded_metrics_of_a_mappings_function_are_metrics(lab: Lab) -> None:
    stream = lab.stream("esm-emf")
    lab.function("esm-emf", TOLD)
    lab.mapping("esm-emf", stream)
    lab.put("esm-emf", ("key", b"record"))

    def ticks() -> float:
        return float(lab.metric("", "Ticks", namespace="EsmTest", dimensions={"service": "detector"}))

    lab.eventually(lambda: ticks() == 7.0, seconds=40)
    listed = lab.aws.client("cloudwatch").list_metrics(Namespace="EsmTest")["Metrics"]
    assert sorted(len(metric["Dimensions"]) for metric in listed) == [0, 1]


def test_reserved_concurrency_throttles_and_every_batch_comes_through_in_order(lab: Lab) -> None:
    """Lambda guide, "Configuring reserved concurrency": at its limit, a function's invocations are throttled."""
    stream = lab.stream("esm-reserved", shards=4)
    lab.function("esm-reserved", "time.sleep(0.3)")
    lab.aws.client("lambda").put_function_concurrency(
        FunctionName="esm-reserved", ReservedConcurrentExecutions=1
    )
    lab.put("esm-reserved", *[(str(number % 8), str(number).encode()) for number in range(32)])
    lab.mapping("esm-reserved", stream, BatchSize=4, MaximumRetryAttempts=0)

    def delivered() -> list[KinesisPart]:
        return [
            record["kinesis"]
            for delivery in lab.deliveries("esm-reserved")
            for record in delivery["event"]["Records"]
        ]

    lab.eventually(lambda: len(delivered()) >= 32, seconds=60)
    started = sorted(delivery["started"] for delivery in lab.deliveries("esm-reserved"))
    gaps = [later - earlier for earlier, later in itertools.pairwise(started)]
    assert min(gaps) >= 0.25, "two at once"
    numbers = [(record["partitionKey"], record["sequenceNumber"]) for record in delivered()]
    assert len(set(numbers)) == len(numbers) == 32, "throttles cost no retries, and nothing came twice"
    for key in {key for key, _ in numbers}:
        of_key = [int(number) for other, number in numbers if other == key]
        assert of_key == sorted(of_key)
    lab.eventually(lambda: lab.metric("esm-reserved", "Throttles"), seconds=30)


def test_a_line_that_is_no_embedded_metric_is_none() -> None:
    for line in (
        "",
        "text",
        '{"a": 1}',
        '{"_aws": 5}',
        '{"_aws": {"CloudWatchMetrics": null}}',
        '{"_aws": {',
    ):
        assert embedded_metrics(line, 0.0) == []


def test_text_before_an_embedded_metric_is_skipped() -> None:
    header = {"CloudWatchMetrics": [{"Namespace": "N", "Metrics": [{"Name": "M"}, {"Name": "absent"}]}]}
    line = "2026-11-24 INFO " + json.dumps({"_aws": header, "M": 2, "absent": "text"})
    assert embedded_metrics(line, 5.0) == [Sample("N", "M", (), 2.0, "None", 5.0)]


def test_executions_are_read_from_logs_with_their_failures() -> None:
    report = "REPORT RequestId: 1\tDuration: 12.5 ms\tBilled Duration: 13 ms"
    lines = [
        *("START RequestId: 1", report),
        *("START RequestId: 2", "Traceback (most recent call last):", report),
        *("START RequestId: 3", "2026 3 Task timed out after 3.00 seconds", report),
        *("START RequestId: 4", "a line", report),
    ]
    found = list(ExecutionReader().read(enumerate(lines)))
    assert [execution.failed for execution in found] == [False, True, True, False]
    assert {execution.duration_ms for execution in found} == {12.5}


@given(
    executions=st.lists(st.sampled_from(["run", "count", "publish"]), max_size=60),
)
def test_every_execution_is_counted_once_whoever_counts_it(executions: list[str]) -> None:
    ledger, counted, run = InvocationLedger(), 0, 0
    for what in [*executions, "publish"]:
        if what == "run":
            run += 1
            ledger.add("f", Execution(0.0, 1.0, failed=False))
        elif what == "count":
            counted = min(counted + 1, run)
        else:
            counted += len(ledger.missing("f", counted))
    assert counted == run


@given(values=st.lists(st.floats(0, 1e6), min_size=1, max_size=400), limit=st.integers(0, 3))
def test_put_metric_data_keeps_every_value_within_its_limits(values: list[float], limit: int) -> None:
    samples = [
        Sample("N", f"M{index % (limit + 1)}", (), value, "Count", 0.0) for index, value in enumerate(values)
    ]
    data = [datum for request in requests(samples) for datum in request.data]
    assert all(len(datum["Values"]) <= 150 for datum in data)
    assert sum(sum(datum["Counts"]) for datum in data) == len(values)
