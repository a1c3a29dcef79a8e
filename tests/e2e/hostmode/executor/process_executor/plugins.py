"""What LocalStack 4.9 finds by entry points: the executor `process` and the DynamoDB provider `moto`.

This module is imported by LocalStack only, in LocalStack's environment.
"""

# mypy: disable-error-code="import-not-found, misc, untyped-decorator, no-any-return"
# LocalStack is not in the environment that is type-checked.

from __future__ import annotations

import sys
from typing import Any

from localstack.aws.api.dynamodb import DynamodbApi
from localstack.config import GATEWAY_LISTEN
from localstack.services.lambda_.invocation.executor_endpoint import StatusErrorException
from localstack.services.lambda_.invocation.lambda_models import InvocationResult
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor
from localstack.services.moto import MotoFallbackDispatcher
from localstack.services.plugins import Service, aws_provider

from .environment import Environment, Function, StartError

_HOST = "127.0.0.1"


class ProcessExecutor(RuntimeExecutor):
    """One execution environment of one function version."""

    _environment: Environment | None = None

    def start(self, env_vars: dict[str, Any]) -> None:
        """Start the function's process; raises LocalStack's StatusErrorException if it does not come up."""
        function = self.function_version.config
        self._environment = Environment(
            Function(
                code=function.code.get_unzipped_code_location(),
                variables={key: str(value) for key, value in env_vars.items() if value is not None},
                timeout_seconds=function.timeout,
                memory_mb=function.memory_size,
            ),
            sys.executable,
        )
        try:
            self._environment.start()
        except StartError as error:
            raise StatusErrorException("the function did not start", payload=error.payload) from error

    def stop(self) -> None:
        """End the process and all it started."""
        if self._environment is not None:
            self._environment.close()

    def get_address(self) -> str:
        """Address of the function."""
        return _HOST

    def get_endpoint_from_executor(self) -> str:
        """Address of LocalStack as the function sees it."""
        return _HOST

    def get_runtime_endpoint(self) -> str:
        """URL that LocalStack's own runtime would call back; ours does not need it."""
        return f"http://{_HOST}:{GATEWAY_LISTEN[0].port}/_localstack_lambda/{self.id}"

    def invoke(self, payload: dict[str, str], function_timeout: int | None = None) -> Any:
        """Run one invocation to its end."""
        del function_timeout  # it is in the function's configuration
        if self._environment is None:
            raise RuntimeError("invoke before start")
        answer = self._environment.invoke(
            payload["invoke-id"], payload["invoked-function-arn"], payload["payload"].encode()
        )
        return InvocationResult(payload["invoke-id"], answer.body, is_error=answer.is_error, logs=answer.log)

    def get_logs(self) -> str:
        """What the process wrote during the last invocation."""
        return self._environment.output() if self._environment else ""

    @classmethod
    def prepare_version(cls, function_version: Any) -> None:
        """Unpack the code."""
        if function_version.config.code:
            function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: Any) -> None:
        """Nothing to undo: LocalStack deletes the code itself."""


class ProcessExecutorPlugin(RuntimeExecutorPlugin):
    """LAMBDA_RUNTIME_EXECUTOR=process."""

    name = "process"

    def load(self, *_: object, **__: object) -> type[ProcessExecutor]:
        """Give LocalStack the executor."""
        return ProcessExecutor


@aws_provider(api="dynamodb", name="moto")
def dynamodb() -> Service:
    """PROVIDER_OVERRIDE_DYNAMODB=moto: moto's DynamoDB, as LocalStack answers a dozen other services.

    LocalStack's own DynamoDB is Amazon's DynamoDB Local: a download under a licence that is the user's to accept.
    """
    return Service.for_provider(DynamodbApi(), dispatch_table_factory=MotoFallbackDispatcher)
