"""What has to be right before a deployment, each with its documented rule."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from stream_infra import names
from stream_infra.config import Config
from stream_infra.operations.deployment import leftovers, parameters_kept, preflight, running

GOOD = {"CDKToolkit": "CREATE_COMPLETE", "LambdaStack": "UPDATE_COMPLETE"}


class Account:
    """An account as far as the checks see it; itself the client of every service."""

    def __init__(
        self,
        *,
        stacks: dict[str, str] | None = None,
        concurrency: int = 1000,
        reserved: int = 0,
        has_secret: bool = True,
        log_role: str = "",
        bucket_region: str = "",
        bucket_of_another: bool = False,
        left: tuple[str, ...] = (),
    ) -> None:
        self.bucket_region, self.left = bucket_region, left
        self.bucket_of_another = bucket_of_another
        self.meta = SimpleNamespace(region_name="us-east-1")
        self.log_role = log_role
        self.stacks = GOOD if stacks is None else stacks
        self.concurrency, self.reserved, self.has_secret = concurrency, reserved, has_secret

    def __call__(self, _service: str) -> Account:
        return self

    def get_caller_identity(self) -> dict[str, str]:
        return {"Account": "111122223333"}

    def describe_stacks(self, StackName: str) -> dict[str, list[dict[str, str]]]:  # noqa: N803  AWS's name
        if StackName not in self.stacks:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "no"}}, "DescribeStacks")
        return {"Stacks": [{"StackStatus": self.stacks[StackName]}]}

    def get_template(self, StackName: str) -> dict[str, dict[str, object]]:  # noqa: N803  AWS's name
        return {"TemplateBody": {"Resources": {}, "Description": StackName}}

    def describe_table(self, TableName: str) -> None:  # noqa: N803  AWS's name
        if TableName not in self.left:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "no"}}, "Describe")

    def head_bucket(self, Bucket: str) -> dict[str, str]:  # noqa: N803  AWS's name
        if self.bucket_of_another:
            raise ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadBucket")
        if Bucket in self.left:
            return {"BucketRegion": "us-east-1"}
        if Bucket != names.data_bucket("111122223333") or not self.bucket_region:
            raise ClientError({"Error": {"Code": "404", "Message": "Not Found"}}, "HeadBucket")
        return {"BucketRegion": self.bucket_region}

    def get_account_settings(self) -> dict[str, dict[str, int]]:
        limits = {"ConcurrentExecutions": self.concurrency}
        return {"AccountLimit": limits | {"UnreservedConcurrentExecutions": self.concurrency - self.reserved}}

    def get_function_concurrency(self, FunctionName: str) -> dict[str, int]:  # noqa: N803  AWS's name
        """Only the detector is there, and has reserved what the account has reserved."""
        if FunctionName == names.DETECTOR:
            return {"ReservedConcurrentExecutions": self.reserved} if self.reserved else {}
        raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "no"}}, "Get")

    def get_account(self) -> dict[str, str]:
        return (
            {"cloudwatchRoleArn": f"arn:aws:iam::111122223333:role/{self.log_role}"} if self.log_role else {}
        )

    def describe_stack_resources(self, StackName: str) -> dict[str, list[dict[str, str]]]:  # noqa: N803  AWS's name
        assert StackName == "StorageStack"
        made = {"ResourceStatus": "CREATE_COMPLETE", "PhysicalResourceId": names.data_bucket("111122223333")}
        gone = {"ResourceStatus": "DELETE_COMPLETE", "PhysicalResourceId": names.WINDOWS_TABLE}
        return {"StackResources": [made, gone]}

    def describe_secret(self, SecretId: str) -> None:  # noqa: N803  AWS's name
        assert SecretId == names.SOURCE_SECRET
        if not self.has_secret:
            raise ClientError(
                {"Error": {"Code": "ResourceNotFoundException", "Message": "no"}}, "DescribeSecret"
            )


CONFIG = Config(account="111122223333", region="us-east-1", source="alpaca")


def test_a_prepared_account_has_no_problem() -> None:
    assert preflight(Account(), CONFIG) == []


@pytest.mark.parametrize(
    ("account", "config", "what"),
    [
        (Account(), CONFIG.model_copy(update={"account": "444455556666"}), "the credentials are of account"),
        (Account(stacks={}), CONFIG, "not bootstrapped"),
        (Account(stacks={**GOOD, "ApiStack": "ROLLBACK_COMPLETE"}), CONFIG, "ApiStack is left over"),
        (
            Account(concurrency=10),
            CONFIG,
            "the account runs 10 functions at once, of which 0 can be reserved",
        ),
        (Account(concurrency=129), CONFIG, "of which 29 can be reserved; concurrency_limit = 5 reserves 30"),
        (Account(has_secret=False), CONFIG, "there is no secret stock-tracker/source-keys"),
        (Account(log_role="of-another-team"), CONFIG, "of-another-team: a deployment would replace it"),
        (Account(), CONFIG.model_copy(update={"api_log_role": "account"}), "has no role here"),
    ],
)
def test_what_would_let_a_deployment_fail_is_said_before(account: Account, config: Config, what: str) -> None:
    """Lambda guide, "Configuring reserved concurrency": 100 stay unreserved; CloudFormation guide, "Stack status
    codes": a stack in ROLLBACK_COMPLETE can only be deleted.
    """
    (problem,) = preflight(account, config)
    assert what in problem.what
    assert problem.remedy


def test_a_new_account_with_a_quota_of_10_works_without_reservations() -> None:
    without = CONFIG.model_copy(update={"concurrency_limit": 0})
    assert preflight(Account(concurrency=10), without) == []
    assert preflight(Account(concurrency=10), without.model_copy(update={"shards": 4})) == []
    (problem,) = preflight(Account(concurrency=10), without.model_copy(update={"shards": 5}))
    assert "5 detectors (shards x parallelization_factor) and the others beside them are 11" in problem.what


def test_a_second_region_needs_a_prefix() -> None:
    """S3 guide, "General purpose buckets overview": a bucket's name is taken for all regions."""
    (problem,) = preflight(Account(bucket_region="eu-west-1"), CONFIG)
    assert "stock-scan-data-111122223333 is in eu-west-1" in problem.what
    assert "prefix" in problem.remedy
    deployed = {**GOOD, "StorageStack": "CREATE_COMPLETE"}
    assert preflight(Account(bucket_region="us-east-1", stacks=deployed), CONFIG) == []
    taken = preflight(Account(bucket_of_another=True), CONFIG)
    assert ["another account's" in problem.what for problem in taken] == [True, True]


def test_what_no_stack_has_is_named_and_taken_over_if_that_is_asked_for() -> None:
    """CloudFormation guide, "DeletionPolicy attribute": what is retained "becomes unmanaged" when its stack goes."""
    data, site = names.data_bucket("111122223333"), names.dashboard_bucket("111122223333")
    account = Account(
        stacks={**GOOD, "StorageStack": "CREATE_COMPLETE"}, left=(names.WINDOWS_TABLE, data, site)
    )
    assert leftovers(account) == {"StorageStack": ["stock-windows"], "DashboardStack": [site]}
    first, second = preflight(account, CONFIG)
    assert first.what.startswith("stock-windows: left over")
    assert second.what.startswith(site)
    assert "--adopt" in first.remedy
    assert preflight(account, CONFIG, adopt=True) == []


def test_what_can_be_reserved_is_said() -> None:
    """Lambda guide, "Configuring reserved concurrency": 100 of the unreserved concurrency stay.

    What the deployment's own functions have reserved counts as free.
    """
    (new,) = preflight(Account(concurrency=10), CONFIG)
    assert "concurrency_limit = 0" in new.remedy
    (small,) = preflight(Account(concurrency=128), CONFIG)
    assert "concurrency_limit = 4" in small.remedy
    assert preflight(Account(concurrency=130, reserved=30), CONFIG) == []
    (many,) = preflight(Account(concurrency=128), CONFIG.model_copy(update={"shards": 5}))
    assert "concurrency_limit = 0" in many.remedy


def test_the_role_of_api_gateways_logs_is_not_taken_over() -> None:
    """CloudFormation reference, AWS::ApiGateway::Account: one role for the account and region, overwritten by the last.

    Ours may be replaced, also where an earlier deployment left it; that of somebody else stays where the settings say
    so.
    """
    of_account = CONFIG.model_copy(update={"api_log_role": "account"})
    assert preflight(Account(log_role="of-another-team"), of_account) == []
    assert preflight(Account(log_role="ApiStack-ApiCloudWatchRole73EC-1"), CONFIG) == []
    (theirs,) = preflight(Account(log_role="other-ApiStack-ApiCloudWatchRole73EC-1"), CONFIG)
    assert "other-ApiStack" in theirs.what


def test_a_source_without_keys_needs_no_secret() -> None:
    assert preflight(Account(has_secret=False), CONFIG.model_copy(update={"source": "simulated"})) == []


class Parameters:
    """Parameter Store, as far as it is asked."""

    def __init__(self, **values: str) -> None:
        self.values = {f"/stock-tracker/{name}": value for name, value in values.items()}

    def __call__(self, service: str) -> Parameters:
        assert service == "ssm"
        return self

    def get_parameters(self, Names: list[str]) -> dict[str, list[dict[str, str]]]:  # noqa: N803  AWS's name
        found = [{"Name": name, "Value": self.values[name]} for name in Names if name in self.values]
        return {"Parameters": found}

    def put_parameter(self, Name: str, Value: str, Overwrite: bool) -> None:  # noqa: N803  AWS's name
        assert Overwrite
        self.values[Name] = Value


def test_the_watch_list_survives_what_puts_all_else_back() -> None:
    """CloudFormation guide, "Using drift-aware change sets": values of the template overwrite what is there.

    The watch list and the threshold of the template are those of the first deployment.
    """
    store = Parameters(ticker="IBM")

    def fail() -> None:
        store.values = Parameters(ticker="AAPL", threshold="2.5").values
        raise RuntimeError("of a later stack")

    with pytest.raises(RuntimeError, match="of a later stack"), parameters_kept(store):
        fail()
    assert store.values == Parameters(ticker="IBM", threshold="2.5").values


def test_only_stacks_that_are_there_run() -> None:
    assert set(running(Account())) == {"LambdaStack"}
