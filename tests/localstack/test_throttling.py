"""The local AWS is a new account: ten functions run at once, and what is more is throttled as Lambda throttles."""

from __future__ import annotations

import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from ministack.services import eventbridge, lambda_svc, sqs

from localstack import published_limits, throttling
from localstack.emulator import CONCURRENCY
from localstack.settings import ACCOUNT, REGION
from tests.localstack.conftest import TRUST, Lab

CODE = """
import pathlib, time

def handler(event, context):
    folder = pathlib.Path(event["folder"])
    (folder / event["name"]).touch()
    while not (folder / "go").exists():
        time.sleep(0.02)
    return event["name"]
"""


def client(url: str, service: str) -> Any:
    session = boto3.session.Session("test", "test", region_name=REGION)
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=2 * CONCURRENCY)
    return session.client(service, endpoint_url=url, config=config)  # type: ignore[call-overload]


def reason(throttled: pytest.ExceptionInfo[ClientError]) -> object:
    """Which limit was reached: a member of TooManyRequestsException of its own."""
    return dict(throttled.value.response)["Reason"]


@pytest.fixture(scope="module")
def waiting(strict_url: str) -> str:
    """A function that says that it runs, and ends when its folder holds a file `go`; with an alias."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("index.py", CODE)
    role = client(strict_url, "iam").create_role(
        RoleName="waiting", AssumeRolePolicyDocument=json.dumps(TRUST)
    )
    functions = client(strict_url, "lambda")
    functions.create_function(
        FunctionName="waiting",
        Runtime="python3.11",
        Role=role["Role"]["Arn"],
        Handler="index.handler",
        Code={"ZipFile": package.getvalue()},
        Timeout=60,
    )
    version = functions.publish_version(FunctionName="waiting")["Version"]
    functions.create_alias(FunctionName="waiting", Name="live", FunctionVersion=version)
    return "waiting"


def test_what_is_more_than_ten_at_once_is_throttled_and_asynchronous_events_wait(
    strict_url: str, waiting: str, tmp_path: Path
) -> None:
    """Lambda guide, "Lambda quotas" (new accounts have less than 1,000), "Troubleshoot invocation issues" (429
    TooManyRequestsException, ConcurrentInvocationLimitExceeded) and "How Lambda handles errors and retries with
    asynchronous invocation": a throttled event goes back to its queue.
    """
    eventually = Lab(strict_url, REGION, tmp_path, tmp_path).eventually
    functions, events = client(strict_url, "lambda"), client(strict_url, "events")
    account = functions.get_account_settings()["AccountLimit"]
    assert account["ConcurrentExecutions"] == account["UnreservedConcurrentExecutions"] == CONCURRENCY == 10
    events.put_rule(Name="waiting", EventPattern=json.dumps({"source": ["waiting"]}))
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{waiting}:live"
    events.put_targets(Rule="waiting", Targets=[{"Id": "1", "Arn": arn, "InputPath": "$.detail"}])

    def payload(name: str) -> str:
        return json.dumps({"folder": str(tmp_path), "name": name})

    def invoke(name: str, kind: str = "RequestResponse") -> Any:
        return functions.invoke(FunctionName=arn, InvocationType=kind, Payload=payload(name))

    with ThreadPoolExecutor(CONCURRENCY) as pool:
        answers = [pool.submit(invoke, str(number)) for number in range(CONCURRENCY)]
        try:
            eventually(lambda: len(list(tmp_path.iterdir())) == CONCURRENCY)
            with pytest.raises(ClientError) as throttled:
                invoke("eleventh")
            assert throttled.value.response["Error"]["Code"] == "TooManyRequestsException"
            assert reason(throttled) == "ConcurrentInvocationLimitExceeded"
            assert throttled.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
            assert invoke("event", "Event")["StatusCode"] == 202
            entry = {"Source": "waiting", "DetailType": "d", "Detail": payload("of a rule")}
            assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
            assert len(list(tmp_path.iterdir())) == CONCURRENCY
        finally:
            (tmp_path / "go").touch()
        assert {json.load(answer.result()["Payload"]) for answer in answers} == set(map(str, range(10)))
    eventually(lambda: {"event", "of a rule"} <= {path.name for path in tmp_path.iterdir()})


def test_nothing_can_be_reserved_in_an_account_of_ten(strict_url: str, waiting: str) -> None:
    """Lambda guide, "Configuring reserved concurrency": 100 stay unreserved, and all of an account that has less.

    The message and the 10 are those of accounts: https://github.com/DataDog/datadog-serverless-functions/pull/621.
    0 takes nothing from others, and stops the function.
    """
    functions = client(strict_url, "lambda")
    with pytest.raises(ClientError, match=r"below its minimum value of \[10\]") as rejected:
        functions.put_function_concurrency(FunctionName=waiting, ReservedConcurrentExecutions=1)
    assert rejected.value.response["Error"]["Code"] == "InvalidParameterValueException"
    functions.put_function_concurrency(FunctionName=waiting, ReservedConcurrentExecutions=0)
    for name in (waiting, f"{waiting}:live"):
        with pytest.raises(ClientError) as throttled:
            functions.invoke(FunctionName=name, Payload=b"{}")
        assert reason(throttled) == "ReservedFunctionConcurrentInvocationLimitExceeded"
    functions.delete_function_concurrency(FunctionName=waiting)


@pytest.mark.parametrize(
    ("limit", "unreserved", "reserved", "wanted", "least"),
    [(1000, 1000, 0, 901, 100), (1000, 500, 100, 501, 100), (50, 50, 0, 1, 50)],
)
def test_what_stays_unreserved_has_a_least(
    limit: int, unreserved: int, reserved: int, wanted: int, least: int
) -> None:
    """Lambda guide, "Configuring reserved concurrency"; what the function has already is given back first.

    An account of 50 says so: https://github.com/aws-samples/s3-to-lambda-patterns/issues/36.
    """
    excess = published_limits.excessive_reservation(limit, unreserved, reserved, wanted)
    assert excess
    assert f"[{least}]" in excess.message
    assert published_limits.excessive_reservation(limit, unreserved, reserved, wanted - 1) is None


@pytest.fixture
def throttled(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A function that is always throttled, and the seconds between the attempts, which pass at once."""
    now, pauses = [0.0], list[float]()
    for module, name in (
        (lambda_svc, "invoke_async_with_retry"),
        (lambda_svc, "_run_sqs_batch"),
        (lambda_svc, "_reserved_concurrency"),
        (lambda_svc, "lambda_execute_result_to_api_proxy_response"),
        (eventbridge, "_dispatch_to_lambda"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))
    throttling.throttle_as_lambda_does()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr("localstack.throttling.time.sleep", sleep)
    monkeypatch.setattr("localstack.throttling.time.monotonic", lambda: now[0])
    monkeypatch.setattr(
        lambda_svc, "_execute_function_with_config_scope", lambda _function, _event: {"throttle": True}
    )
    return pauses


def test_a_throttled_event_is_tried_for_six_hours_with_growing_pauses(throttled: list[float]) -> None:
    """Lambda guide, "How Lambda handles errors and retries with asynchronous invocation": from 1 s to 5 minutes."""
    assert throttling.when_free({"config": {"FunctionArn": f"{REGION}:function:none:live"}}, {})["throttle"]
    assert throttled[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert 6 * 3600 - 300 < sum(throttled) <= 6 * 3600


def test_a_throttled_batch_of_a_queue_is_tried_until_its_visibility_ends(
    throttled: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda guide, "Handling errors for an SQS event source in Lambda", Backoff strategy for failed invocations."""
    monkeypatch.setitem(sqs._queues, "url", {"attributes": {"VisibilityTimeout": "60"}})
    lambda_svc._run_sqs_batch({"UUID": "1", "FunctionName": "none"}, {"config": {}}, {}, [], "url", "queue")
    assert throttled == [1, 2, 4, 8, 16]


def test_a_caller_of_the_api_gets_an_internal_error(throttled: list[float]) -> None:
    """Lambda guide, "Invoking a Lambda function using an Amazon API Gateway endpoint", Handling errors: 500."""
    answer, _ = lambda_svc.lambda_execute_result_to_api_proxy_response({"throttle": True})
    assert answer["statusCode"] == 500
    assert not throttled
