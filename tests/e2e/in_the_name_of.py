"""Clients with the credentials of a function's role: each call is judged by the policies that were deployed."""

from __future__ import annotations

from typing import Any

import boto3

from localstack.settings import REGION
from tests.e2e.monitor import Monitor

LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
"""Lambda writes logs in a function's name (`localstack.function_logs`). Of a program's call MiniStack asks for a right
to the group where AWS asks for one to its streams (Service Authorization Reference, "CloudWatch Logs").
"""


class InTheNameOf:
    """Clients with the credentials of a function's role."""

    def __init__(self, monitor: Monitor, function: str) -> None:
        role = monitor.client("lambda").get_function(FunctionName=function)["Configuration"]["Role"]
        self.name = str(role.rsplit("/", 1)[1])
        given = monitor.client("sts").assume_role(RoleArn=role, RoleSessionName="aws-itself")["Credentials"]
        self._url = monitor.aws
        self._session = boto3.session.Session(
            given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name=REGION
        )

    def client(self, service: str) -> Any:
        return self._session.client(service, endpoint_url=self._url)  # type: ignore[call-overload]
