"""Where the command line finds the monitor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from stream_infra.operations.endpoints import Endpoints, local_session, resolve
from stream_infra.operations.errors import InputError, NotDeployedError, NotRunningError

LOCAL = {
    "dashboard": "http://127.0.0.1:8080/",
    "api": "http://127.0.0.1:8080/api",
    "aws": "http://127.0.0.1:4566",
    "outbox": "http://127.0.0.1:8080/outbox",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "endpoints.json").write_text(json.dumps(LOCAL))
    (tmp_path / "docs" / "deep").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """Outputs by stack, told as CloudFormation tells them (moto's own needs packages that we do not have)."""
    stacks: dict[str, dict[str, str]] = {}

    class CloudFormation:
        def describe_stacks(self, StackName: str) -> dict[str, list[dict[str, object]]]:  # noqa: N803  AWS's name
            if StackName not in stacks:
                message = f"Stack with id {StackName} does not exist"
                raise ClientError(
                    {"Error": {"Code": "ValidationError", "Message": message}}, "DescribeStacks"
                )
            outputs = [{"OutputKey": key, "OutputValue": value} for key, value in stacks[StackName].items()]
            return {"Stacks": [{"StackName": StackName, "Outputs": outputs}]}

    monkeypatch.setattr("stream_infra.operations.endpoints._client", lambda _service, _url: CloudFormation())
    return stacks


def test_the_file_is_found_from_a_folder_below(checkout: Path) -> None:
    found = resolve(aws=False, environment={}, start=checkout / "docs" / "deep")
    assert found.as_dict() == LOCAL
    assert found.directory == checkout / ".local"


def test_the_folder_that_make_up_was_given_is_the_one(checkout: Path, tmp_path: Path) -> None:
    """`make up` obeyed STOCK_MONITOR_DIR, and every command then said that nothing is running."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "endpoints.json").write_text(json.dumps({**LOCAL, "aws": "http://127.0.0.1:4599"}))
    found = resolve(aws=False, environment={"STOCK_MONITOR_DIR": str(own)}, start=checkout)
    assert (found.aws, found.directory) == ("http://127.0.0.1:4599", own)
    with pytest.raises(NotRunningError):
        resolve(aws=False, environment={"STOCK_MONITOR_DIR": str(tmp_path)}, start=checkout)


def test_an_endpoint_in_the_environment_that_is_the_local_one_changes_nothing(checkout: Path) -> None:
    found = resolve(aws=False, environment={"AWS_ENDPOINT_URL": "http://127.0.0.1:4566/"}, start=checkout)
    assert found.api == LOCAL["api"]


def test_nothing_is_there(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError, match="no local monitor is known"):
        resolve(aws=False, environment={}, start=tmp_path)


def test_a_damaged_file_is_named(checkout: Path) -> None:
    path = checkout / ".local" / "endpoints.json"
    path.write_text('{"api": 1}')
    with pytest.raises(InputError, match=str(path)):
        resolve(aws=False, environment={}, start=checkout)


@pytest.mark.parametrize(
    "url",
    ["https://sqs.eu-west-1.amazonaws.com", "https://lambda.us-east-1.api.aws", "https://x.amazonaws.com.cn"],
)
def test_aws_itself_is_rejected_without_the_flag(url: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unset it and pass --aws"):
        resolve(aws=False, environment={"AWS_ENDPOINT_URL": url}, start=tmp_path)


def test_what_is_no_url_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no URL"):
        resolve(aws=False, environment={"AWS_ENDPOINT_URL": "localhost"}, start=tmp_path)


def test_on_aws_the_stacks_say_where(deployed: dict[str, dict[str, str]]) -> None:
    deployed["ApiStack"] = {"ApiUrl": "https://abc.execute-api.us-east-1.amazonaws.com/prod/", "ApiId": "abc"}
    deployed["DashboardStack"] = {"Url": "https://d1.cloudfront.net/"}
    assert resolve(aws=True) == Endpoints(
        dashboard="https://d1.cloudfront.net/",
        api="https://abc.execute-api.us-east-1.amazonaws.com/prod",
        aws=None,
        outbox=None,
    )


def test_on_aws_without_stacks(deployed: dict[str, dict[str, str]]) -> None:
    assert not deployed
    with pytest.raises(NotDeployedError, match="stock-monitor deploy"):
        resolve(aws=True)


def test_another_local_aws_is_asked_itself_and_no_host_of_aws_is_named(
    deployed: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    deployed["ApiStack"] = {"ApiUrl": "https://abc.execute-api.us-east-1.amazonaws.com/prod/", "ApiId": "abc"}
    deployed["DashboardStack"] = {"Url": "https://d1.cloudfront.net/"}
    found = resolve(aws=False, environment={"AWS_ENDPOINT_URL": "http://127.0.0.1:4999"}, start=tmp_path)
    assert found.api == "http://127.0.0.1:4999/restapis/abc/prod/_user_request_"
    assert found.dashboard is None


def test_a_local_client_never_uses_the_credentials_of_the_user(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREALREALREAL")
    client = resolve(aws=False, environment={}, start=checkout).client("kinesis")
    assert client.meta.endpoint_url == LOCAL["aws"]
    assert client._request_signer._credentials.access_key == "test"  # type: ignore[attr-defined]


def test_a_profile_of_the_user_that_is_gone_or_unreadable_is_none_of_a_local_clients(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = checkout / "config"
    config.write_text("[profile\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "gone")
    local_session.cache_clear()
    client = resolve(aws=False, environment={}, start=checkout).client("kinesis")
    assert client.meta.endpoint_url == LOCAL["aws"]


def test_the_region_of_the_user_is_none_of_a_local_clients(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`status` named seventeen parts with a problem, as nothing is deployed there."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    client = resolve(aws=False, environment={}, start=checkout).client("kinesis")
    assert client.meta.region_name == "us-east-1"


def test_with_the_flag_the_environments_endpoint_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = Endpoints(None, None, None, None).client("kinesis")
    assert client.meta.endpoint_url == "https://kinesis.us-east-1.amazonaws.com"
