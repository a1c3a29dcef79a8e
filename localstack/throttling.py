"""Throttled invocations come back as AWS brings them back; MiniStack answers the 429 and leaves it at that.

It counts what runs and throttles beyond the account's concurrency (`LAMBDA_ACCOUNT_CONCURRENCY`) or a function's own.
A direct caller gets TooManyRequestsException, and the mapping runner waits, as on AWS. Here is what it leaves out:

- An asynchronous event is kept: "For throttling errors (429) and system errors (500-series), Lambda returns the event
  to the queue and attempts to run the function again for up to 6 hours by default. The retry interval increases
  exponentially from 1 second after the first attempt to a maximum of 5 minutes" (Lambda guide, "How Lambda handles
  errors and retries with asynchronous invocation"). The retries of errors are not used up by it.
- A batch of a queue is kept: "Lambda continues to retry the message until the message's timestamp exceeds your queue's
  visibility timeout" (Lambda guide, "Handling errors for an SQS event source in Lambda", Backoff strategy). MiniStack
  leaves it to the end of that timeout.
- A function's own concurrency is that of all its versions and aliases ("Reserved concurrency applies to the entire
  function, including versions and aliases", Lambda guide, "Configuring reserved concurrency"); MiniStack looks for it
  at the version that is invoked.
- A caller of the API gets a 500: "If the Lambda API rejects the invocation request, API Gateway returns a 500 error
  code" (Lambda guide, "Invoking a Lambda function using an Amazon API Gateway endpoint", Handling errors).
"""

from __future__ import annotations

import contextvars
import json
import threading
import time
from functools import partial
from types import FunctionType
from typing import Any

from ministack.services import eventbridge, lambda_svc, sqs

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 300.0
AGE_SECONDS = 6 * 3600
"""How long Lambda keeps an asynchronous event, unless the function's MaximumEventAgeInSeconds says less."""
_INTERNAL = {
    "statusCode": 500,
    "headers": {"Content-Type": "application/json"},
    "body": json.dumps({"message": "Internal server error"}),
}
Json = dict[str, Any]


def throttle_as_lambda_does() -> None:
    """Let events wait for their turn, API Gateway answer for a function that has none, and limits hold for aliases."""
    asynchronous: FunctionType = lambda_svc.invoke_async_with_retry
    lambda_svc.invoke_async_with_retry = FunctionType(
        asynchronous.__code__, {**vars(lambda_svc), "_execute_function": when_free}
    )
    eventbridge._dispatch_to_lambda = _dispatch
    batch: FunctionType = lambda_svc._run_sqs_batch

    def of_queue(mapping: Json, function: Json, event: Json, messages: list[Json], *queue: str) -> None:
        visible = float(sqs._queues[queue[0]]["attributes"]["VisibilityTimeout"])
        executes = {"_execute_function": partial(when_free, seconds=visible)}
        FunctionType(batch.__code__, {**vars(lambda_svc), **executes})(
            mapping, function, event, messages, *queue
        )

    lambda_svc._run_sqs_batch = of_queue
    lambda_svc._reserved_concurrency = _reserved
    shape = lambda_svc.lambda_execute_result_to_api_proxy_response

    def shaped(result: Json) -> tuple[Json | None, str | None]:
        return (dict(_INTERNAL), None) if result.get("throttle") else shape(result)

    lambda_svc.lambda_execute_result_to_api_proxy_response = shaped


def when_free(function: Json, event: Json, seconds: float | None = None) -> Json:
    """Execute a function as soon as its concurrency lets it; return the last throttle if that takes too long.

    `seconds` is how long that is, without it the age of an asynchronous event.
    """
    oldest = time.monotonic() + (_age_seconds(function) if seconds is None else seconds)
    pause = FIRST_SECONDS
    while True:
        result: Json = lambda_svc._execute_function_with_config_scope(function, event)
        if not result.get("throttle") or time.monotonic() + pause > oldest:
            return result
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_SECONDS)


def _age_seconds(function: Json) -> float:
    """Return how long an event is kept, by the settings of the alias or version that is invoked."""
    arn = function["config"]["FunctionArn"]
    base, _, _ = lambda_svc._get_base_func_record_for_ref(arn)
    qualifier = arn.partition(":function:")[2].partition(":")[2]
    settings = lambda_svc._event_invoke_config(base or {}, qualifier or None) or {}
    return float(settings.get("MaximumEventAgeInSeconds", AGE_SECONDS))


def _reserved(_function: Json, config: Json) -> int | None:
    """Return what the function has reserved, whichever version of it is invoked."""
    reserved: int | None = (lambda_svc._functions.get(config["FunctionName"]) or {}).get("concurrency")
    return reserved


def _dispatch(arn: str, payload: str) -> None:
    """Invoke the target of a rule: EventBridge does it asynchronously."""
    function, config, _ = lambda_svc._get_func_record_for_ref(arn)
    if not function or not config:
        return
    record = {**function, "config": {**config, "FunctionArn": arn}}
    context = contextvars.copy_context()  # the account and region of the request
    threading.Thread(target=context.run, args=(when_free, record, json.loads(payload)), daemon=True).start()
