"""Invokes the function, and sends what is discarded to the on-failure destination."""

import json
import logging
import time
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from localstack.event_source_mapping.batch import Batch, Discarded, InvocationOutcome
from localstack.event_source_mapping.clients import Clients
from localstack.event_source_mapping.failures import failure_message, s3_key, s3_object
from localstack.event_source_mapping.records import event_bytes
from localstack.event_source_mapping.settings import MappingSettings

logger = logging.getLogger(__name__)

_THROTTLED = {"TooManyRequestsException", "ThrottlingException"}
_REJECTED_EVENT = {"RequestTooLargeException", "InvalidRequestContentException", "413"}
_DELIVERY_ATTEMPTS = 5


class Invocation(NamedTuple):
    """What the metrics need to know of one attempt to invoke. Ages and durations in milliseconds."""

    function_name: str
    duration_ms: float
    iterator_age_ms: float
    outcome: InvocationOutcome
    throttled: bool
    log_tail: str


class Sender:
    """The I/O of one mapping's shard workers."""

    def __init__(
        self,
        clients: Clients,
        on_invocation: Callable[[Invocation], None],
        on_undelivered: Callable[[str], None],
    ) -> None:
        self._clients = clients
        self._on_invocation = on_invocation
        self._on_undelivered = on_undelivered

    def invoke(self, batch: Batch, settings: MappingSettings) -> InvocationOutcome:
        """Invoke the function with a batch and wait for its answer. Never raises for what AWS answers."""
        started = time.time()
        outcome, throttled, log_tail = self._call(batch, settings)
        self._on_invocation(
            Invocation(
                function_name=settings.function_name,
                duration_ms=(time.time() - started) * 1000,
                iterator_age_ms=max(0.0, (started - batch.records[-1].arrival) * 1000),
                outcome=outcome,
                throttled=throttled,
                log_tail=log_tail,
            )
        )
        return outcome

    def _call(self, batch: Batch, settings: MappingSettings) -> tuple[InvocationOutcome, bool, str]:
        try:
            response = self._clients.functions.invoke(
                FunctionName=settings.function_arn,
                InvocationType="RequestResponse",
                LogType="Tail",
                Payload=event_bytes(batch.records),
            )
            payload = response["Payload"].read()
        except ClientError as error:
            return self._rejected(error, settings)
        except BotoCoreError as error:
            logger.warning("endpoint_unavailable function=%s error=%s", settings.function_name, error)
            return InvocationOutcome("not_invoked"), False, ""
        function_error = response.get("FunctionError")
        outcome = InvocationOutcome(
            kind="failed" if function_error else "answered",
            payload=payload,
            function_error=function_error,
            status_code=response["StatusCode"],
            executed_version=response.get("ExecutedVersion", "$LATEST"),
            request_id=response["ResponseMetadata"].get("RequestId", ""),
        )
        return outcome, False, response.get("LogResult", "")

    def _rejected(self, error: ClientError, settings: MappingSettings) -> tuple[InvocationOutcome, bool, str]:
        code = error.response["Error"]["Code"]
        status = error.response["ResponseMetadata"].get("HTTPStatusCode", 500)
        if code in _REJECTED_EVENT:
            logger.error("event_rejected function=%s code=%s", settings.function_name, code)
            return InvocationOutcome("failed", status_code=status, function_error=code), False, ""
        throttled = code in _THROTTLED or status == 429
        if not throttled:
            logger.warning("not_invoked function=%s code=%s error=%s", settings.function_name, code, error)
        return InvocationOutcome("not_invoked", status_code=status), throttled, ""

    def discard(self, discarded: Discarded, settings: MappingSettings, shard_id: str) -> None:
        """Send discarded records to the mapping's destination.

        A destination that rejects them for some seconds loses them, as on AWS: an error line and the metric
        DestinationDeliveryFailures say so.
        """
        logger.warning(
            "discarded mapping=%s shard=%s condition=%s records=%d first=%s invokes=%d",
            settings.uuid,
            shard_id,
            discarded.condition,
            len(discarded.records),
            discarded.records[0].sequence_number,
            discarded.batch.invokes,
        )
        if settings.on_failure_destination is None:
            return
        now = time.time()
        message = failure_message(discarded, settings, shard_id, now, str(uuid.uuid4()))
        key = s3_key(settings.uuid, shard_id, now, str(uuid.uuid4()))
        for attempt in range(_DELIVERY_ATTEMPTS):
            try:
                clients = self._clients.of_role(self._clients.role_of(settings.function_arn))
                _deliver(clients, settings.on_failure_destination, message, discarded, key)
            except (BotoCoreError, ClientError) as error:
                logger.error(
                    "destination_failed destination=%s attempt=%d error=%s",
                    settings.on_failure_destination,
                    attempt + 1,
                    error,
                )
                time.sleep(0.2 * 2**attempt)
            else:
                return
        self._on_undelivered(settings.function_name)


def _deliver(clients: Clients, arn: str, message: dict[str, Any], discarded: Discarded, key: str) -> None:
    service, account, resource = arn.split(":")[2], arn.split(":")[4], arn.split(":", 5)[5]
    if service == "s3":
        clients.s3.put_object(
            Bucket=resource.split("/")[0], Key=key, Body=s3_object(message, discarded.records)
        )
    elif service == "sns":
        clients.sns.publish(TopicArn=arn, Message=json.dumps(message))
    else:
        url = clients.sqs.get_queue_url(QueueName=resource, QueueOwnerAWSAccountId=account)["QueueUrl"]
        clients.sqs.send_message(QueueUrl=url, MessageBody=json.dumps(message))
