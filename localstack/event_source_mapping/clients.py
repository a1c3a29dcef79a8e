"""boto3 clients for one explicit endpoint."""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import CredentialProvider, DeferredRefreshableCredentials

from producers.errors import MonitorError

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.client import CloudWatchClient
    from mypy_boto3_kinesis.client import KinesisClient
    from mypy_boto3_lambda.client import LambdaClient
    from mypy_boto3_logs.client import CloudWatchLogsClient
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sns.client import SNSClient
    from mypy_boto3_sqs.client import SQSClient

LONGEST_INVOCATION_SECONDS = 900
MOST_CONNECTIONS = 64
_SESSION = timedelta(hours=1)
"""STS API reference, AssumeRole: how long a session lasts, unless it is asked for another time."""


class EndpointError(MonitorError, ValueError):
    """The endpoint is not one this runner may talk to."""


@dataclass(frozen=True)
class Clients:
    """One client per service; thread safe, as boto3's clients are."""

    region: str
    kinesis: "KinesisClient"
    functions: "LambdaClient"
    sqs: "SQSClient"
    sns: "SNSClient"
    s3: "S3Client"
    cloudwatch: "CloudWatchClient"
    logs: "CloudWatchLogsClient"
    as_role: "Callable[[str], Clients] | None" = None

    def of_role(self, role_arn: str) -> "Clients":
        """Return clients with a role's credentials.

        Lambda guide, "Defining Lambda function permissions with an execution role": an event source mapping reads the
        source, and writes what is discarded, with the permissions of the function's role.
        """
        return self.as_role(role_arn) if self.as_role else self

    def role_of(self, function_arn: str) -> str:
        """Return the ARN of a function's role."""
        # Not GetFunctionConfiguration, which LocalStack 4.9 does not answer for an alias.
        return self.functions.get_function(FunctionName=function_arn)["Configuration"]["Role"]


class _RoleProvider(CredentialProvider):
    """A session of a role, renewed before it ends."""

    METHOD = "assume-role-of-function"

    def __init__(self, session: boto3.session.Session, endpoint_url: str, role_arn: str) -> None:
        super().__init__()
        self._sts = session.client("sts", endpoint_url=endpoint_url)
        self._role_arn = role_arn

    def load(self) -> DeferredRefreshableCredentials:
        """Return the credentials, made at their first use."""
        return DeferredRefreshableCredentials(self._assume, self.METHOD)

    def _assume(self) -> dict[str, str]:
        given = self._sts.assume_role(RoleArn=self._role_arn, RoleSessionName="event-source-mapping")
        found = given["Credentials"]
        # By our own clock alone: where one is set forward meanwhile, what is new would count as expired.
        expires = datetime.now(UTC) + _SESSION / 2
        return {
            "access_key": found["AccessKeyId"],
            "secret_key": found["SecretAccessKey"],
            "token": found["SessionToken"],
            "expiry_time": expires.isoformat(),
        }


def connect(endpoint_url: str) -> Clients:
    """Make the clients. Credentials and region are the environment's, or "test" and us-east-1.

    Raises
    ------
    EndpointError
        for something that is no http(s) URL, and for AWS itself, which runs mappings without our help.
    """
    parts = urlsplit(endpoint_url)
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not host:
        raise EndpointError(f"--endpoint-url {endpoint_url!r}: expected http://host:port")
    if host.endswith(("amazonaws.com", "amazonaws.com.cn", "api.aws")):
        raise EndpointError(
            f"--endpoint-url {endpoint_url!r} is AWS, which runs event source mappings itself"
        )
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    session = boto3.session.Session(
        aws_access_key_id=os.environ.get("AWS_ACCESS_KEY_ID", "test"),
        aws_secret_access_key=os.environ.get("AWS_SECRET_ACCESS_KEY", "test"),
        region_name=region,
    )

    @functools.cache
    def as_role(role_arn: str) -> Clients:
        core = botocore.session.get_session()
        provider = _RoleProvider(session, endpoint_url, role_arn)
        core.get_component("credential_provider").insert_before("env", provider)
        return _clients(boto3.session.Session(botocore_session=core, region_name=region), endpoint_url, None)

    return _clients(session, endpoint_url, as_role)


def _clients(
    session: boto3.session.Session, endpoint_url: str, as_role: Callable[[str], Clients] | None
) -> Clients:
    # Retrying is the runner's own business: it knows what may wait and what may not be repeated.
    quick = Config(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=2,
        read_timeout=20,
        max_pool_connections=MOST_CONNECTIONS,
        parameter_validation=False,
    )
    patient = quick.merge(Config(read_timeout=LONGEST_INVOCATION_SECONDS + 10))
    path_style = quick.merge(Config(s3={"addressing_style": "path"}))
    return Clients(
        region=session.region_name,
        kinesis=session.client("kinesis", endpoint_url=endpoint_url, config=quick),
        functions=session.client("lambda", endpoint_url=endpoint_url, config=patient),
        sqs=session.client("sqs", endpoint_url=endpoint_url, config=quick),
        sns=session.client("sns", endpoint_url=endpoint_url, config=quick),
        s3=session.client("s3", endpoint_url=endpoint_url, config=path_style),
        cloudwatch=session.client("cloudwatch", endpoint_url=endpoint_url, config=quick),
        logs=session.client("logs", endpoint_url=endpoint_url, config=quick),
        as_role=as_role,
    )
