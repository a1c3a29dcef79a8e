"""boto3 clients for one explicit endpoint."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

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
        region=region,
        kinesis=session.client("kinesis", endpoint_url=endpoint_url, config=quick),
        functions=session.client("lambda", endpoint_url=endpoint_url, config=patient),
        sqs=session.client("sqs", endpoint_url=endpoint_url, config=quick),
        sns=session.client("sns", endpoint_url=endpoint_url, config=quick),
        s3=session.client("s3", endpoint_url=endpoint_url, config=path_style),
        cloudwatch=session.client("cloudwatch", endpoint_url=endpoint_url, config=quick),
        logs=session.client("logs", endpoint_url=endpoint_url, config=quick),
    )
