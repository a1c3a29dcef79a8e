"""Where the monitor is: the one on this machine, or, only with ``--aws``, the one on AWS."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload
from urllib.parse import urlsplit

from stream_infra import names
from stream_infra.operations.errors import InputError, NotDeployedError, NotRunningError

if TYPE_CHECKING:
    from boto3 import Session
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

    from producers.watch_list import WatchListReader

FILE = "endpoints.json"
LOCAL_REGION = "us-east-1"
_NOT_RUNNING = "the local monitor is not running: make up, or pass --aws for the one on AWS"
_DASHBOARD = names.DASHBOARD_STACK, "Url"
_API, _API_ID = (names.API_STACK, "ApiUrl"), (names.API_STACK, "ApiId")


@dataclass(frozen=True)
class SignInAddress:
    """Where people sign in: URL without a slash at its end, and the client that the command line is there."""

    domain: str
    client_id: str


@dataclass(frozen=True)
class Endpoints:
    """Addresses of one monitor.

    Attributes
    ----------
    dashboard
        URL of the dashboard, with a slash at its end; None if it is not deployed.
    api
        URL of the REST API without a slash at its end; None if it is not deployed.
    aws
        URL of the local AWS; None for AWS itself.
    outbox
        URL of the page of emails and SMS that a local topic would have sent; None on AWS.
    directory
        The folder that holds the local monitor's files; None if there is none.
    sign_in
        Where people sign in; None where there is no sign-in.
    """

    dashboard: str | None
    api: str | None
    aws: str | None
    outbox: str | None
    directory: Path | None = None
    sign_in: SignInAddress | None = None

    @overload
    def client(self, service: Literal["athena"]) -> Any: ...
    @overload
    def client(self, service: Literal["cloudformation"]) -> CloudFormationClient: ...
    @overload
    def client(self, service: Literal["cloudwatch"]) -> CloudWatchClient: ...
    @overload
    def client(self, service: Literal["dynamodb"]) -> DynamoDBClient: ...
    @overload
    def client(self, service: Literal["events"]) -> EventBridgeClient: ...
    @overload
    def client(self, service: Literal["iam"]) -> Any: ...
    @overload
    def client(self, service: Literal["secretsmanager"]) -> Any: ...
    @overload
    def client(self, service: Literal["sts"]) -> Any: ...
    @overload
    def client(self, service: Literal["kinesis"]) -> KinesisClient: ...
    @overload
    def client(self, service: Literal["lambda"]) -> LambdaClient: ...
    @overload
    def client(self, service: Literal["logs"]) -> CloudWatchLogsClient: ...
    @overload
    def client(self, service: Literal["s3"]) -> S3Client: ...
    @overload
    def client(self, service: Literal["sns"]) -> SNSClient: ...
    @overload
    def client(self, service: Literal["sqs"]) -> SQSClient: ...
    @overload
    def client(self, service: Literal["ssm"]) -> SSMClient: ...
    def client(self, service: Any) -> Any:
        """Return a boto3 client of this monitor's AWS; the local one gets credentials that AWS would reject."""
        # `make up` deploys to this one region, whatever the person's own is.
        region = None if self.directory is None else LOCAL_REGION
        return _client(service, self.aws, region)

    def account(self) -> str:
        """Return the number of the account that the monitor is in."""
        return str(self.client("sts").get_caller_identity()["Account"])

    def as_dict(self) -> dict[str, Any]:
        """Return the addresses as JSON-able values."""
        addresses = asdict(self)
        del addresses["directory"], addresses["sign_in"]
        return addresses


def watch_list(client: Callable[[Any], Any]) -> WatchListReader:
    """Return what reads the watch list by clients of the monitor's AWS: `Endpoints.client`, or one like it."""
    from producers.watch_list import WatchListReader  # noqa: PLC0415  not every command needs it

    return WatchListReader(client("ssm"), client("s3"), names.TICKER_PARAMETER, lambda: 0)


def resolve(aws: bool, environment: Mapping[str, str] = os.environ, start: Path | None = None) -> Endpoints:
    """Find the monitor to talk to.

    Parameters
    ----------
    aws
        The one on AWS, found by its stacks' outputs with the credentials of the environment. Otherwise
        the one on this machine: at ``AWS_ENDPOINT_URL`` if that is set, else as ``make up`` left it in
        endpoints.json of the folder ``STOCK_MONITOR_DIR``, or without that of ``.local`` in `start` (the current
        directory) or a directory above it.

    Raises
    ------
    NotRunningError
        There is no local monitor.
    NotDeployedError
        The stacks are not on AWS.
    InputError
        ``AWS_ENDPOINT_URL`` is AWS itself, or the file is damaged.
    """
    if aws:
        return _from_outputs(None)
    path = _find_file(environment.get("STOCK_MONITOR_DIR"), start or Path.cwd())
    local = _read(path) if path else None
    url = environment.get("AWS_ENDPOINT_URL", "").rstrip("/")
    if not url:
        if local is None:
            raise NotRunningError(_not_running(environment.get("STOCK_MONITOR_DIR"), start or Path.cwd()))
        return local
    _reject_aws(url)
    return local if local is not None and local.aws == url else _from_outputs(url)


def _find_file(directory: str | None, start: Path) -> Path | None:
    candidates = (folder / FILE for folder in _folders(directory, start))
    return next((path for path in candidates if path.is_file()), None)


def _folders(directory: str | None, start: Path) -> list[Path]:
    return [Path(directory)] if directory else [folder / ".local" for folder in (start, *start.parents)]


def _not_running(directory: str | None, start: Path) -> str:
    """Say that it does not run only where it would be known: it may run from another folder."""
    if any(folder.is_dir() for folder in _folders(directory, start)):
        return _NOT_RUNNING
    where = f"STOCK_MONITOR_DIR={directory}" if directory else f"{start} or a folder above it"
    return (
        f"no local monitor is known in {where}: run this, or make up, in the monitor's folder, "
        "or name its .local in STOCK_MONITOR_DIR; --aws is for the one on AWS"
    )


def _read(path: Path) -> Endpoints:
    try:
        content = json.loads(path.read_text())
        addresses = {key: str(content[key]) for key in ("dashboard", "api", "aws", "outbox")}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error!r}): run `make up` again") from error
    return Endpoints(
        dashboard=addresses["dashboard"].rstrip("/") + "/",
        api=addresses["api"].rstrip("/"),
        aws=addresses["aws"].rstrip("/"),
        outbox=addresses["outbox"],
        directory=path.parent,
    )


def _reject_aws(url: str) -> None:
    host = urlsplit(url).hostname
    if host is None:
        raise InputError(
            f"{url!r} is no URL", where="AWS_ENDPOINT_URL", allowed="one like http://127.0.0.1:4566"
        )
    if host.endswith(("amazonaws.com", "amazonaws.com.cn", "api.aws")):
        raise InputError(f"AWS_ENDPOINT_URL={url} is AWS itself: unset it and pass --aws")


def _from_outputs(url: str | None) -> Endpoints:
    if url is not None:
        return _from_local_outputs(url)
    dashboard, api = _output(None, *_DASHBOARD), _output(None, *_API)
    if dashboard is None and api is None:
        raise NotDeployedError(
            "the monitor is not deployed in this AWS account and region: run `stock-monitor deploy`"
        )
    return Endpoints(
        dashboard=dashboard.rstrip("/") + "/" if dashboard else None,
        api=api.rstrip("/") if api else None,
        aws=None,
        outbox=None,
        sign_in=_sign_in(),
    )


def _sign_in() -> SignInAddress | None:
    domain, client = (_output(None, names.API_STACK, key) for key in ("SignInDomain", "CommandLineClientId"))
    return SignInAddress(domain, client) if domain and client else None


def _from_local_outputs(url: str) -> Endpoints:
    api_id = _output(url, *_API_ID)
    if api_id is None:
        raise NotDeployedError(f"the monitor is not deployed on {url}: run `make up`")
    # The other outputs name hosts of AWS and of CloudFront, which a local command must never reach.
    api = f"{url}/restapis/{api_id}/{names.STAGE}/_user_request_"
    client = _output(url, names.API_STACK, "CommandLineClientId")  # of a private deployment to a local AWS
    return Endpoints(
        dashboard=None,
        api=api,
        aws=url,
        outbox=None,
        sign_in=SignInAddress(url, client) if client else None,
    )


def _output(url: str | None, stack: str, key: str) -> str | None:
    from botocore.exceptions import ClientError  # noqa: PLC0415  --help must not pay for it

    try:
        stacks = _client("cloudformation", url).describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if (
            error.response.get("Error", {}).get("Code") == "ValidationError"
        ):  # how CloudFormation says "no such stack"
            return None
        raise
    outputs = {
        item["OutputKey"]: item["OutputValue"] for found in stacks for item in found.get("Outputs", [])
    }
    return outputs.get(key)


@cache
def local_session() -> Session:
    """Return a session for a local AWS, which knows nothing of the user's profiles: one may be gone, or unreadable."""
    import boto3  # noqa: PLC0415  --help must not pay for it
    from botocore import session  # noqa: PLC0415

    unset: Any = {"profile": (None, None, None, None)}
    unset |= dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
    return boto3.Session(botocore_session=session.Session(session_vars=unset))


def _client(service: str, url: str | None, region: str | None = None) -> Any:
    import boto3  # noqa: PLC0415  --help must not pay for it
    from botocore.config import Config  # noqa: PLC0415

    if url is None:
        direct = Config(ignore_configured_endpoint_urls=True)  # type: ignore[call-arg]
        return boto3.client(service, config=direct)  # type: ignore[call-overload]
    return local_session().client(  # type: ignore[call-overload]
        service,
        endpoint_url=url,
        region_name=region or os.environ.get("AWS_DEFAULT_REGION") or LOCAL_REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106  the local AWS takes anything
        config=Config(connect_timeout=3, retries={"total_max_attempts": 2}),
    )
