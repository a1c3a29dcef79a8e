"""What has to be right before a deployment, each with its documented rule."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from stream_infra import names
from stream_infra.config import BUILT_HERE_CONTEXT, Config
from stream_infra.monitor_toml import FILE, SETTINGS_CONTEXT
from stream_infra.operations import deployment
from stream_infra.operations.deployment import parameters_kept, running, tools
from stream_infra.operations.notices import notices, unverified
from stream_infra.operations.preflight import leftovers, preflight

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
        shards: int = 0,
        shard_limit: int = 200,
        deleted_secret: bool = False,
        invited: tuple[str, ...] = (),
        subscriptions: dict[str, list[dict[str, str]]] | None = None,
        sandbox: tuple[str, ...] | None = None,
        distributions: int = 1,
        events: tuple[str, ...] = (),
    ) -> None:
        self.shards, self.shard_limit, self.deleted_secret = shards, shard_limit, deleted_secret
        self.invited, self.events = invited, events
        self.subscriptions = subscriptions or {}
        self.sandbox, self.distributions = sandbox, distributions
        self.bucket_region, self.left = bucket_region, left
        self.bucket_of_another = bucket_of_another
        self.meta = SimpleNamespace(region_name="us-east-1")
        self.log_role = log_role
        self.stacks = GOOD if stacks is None else stacks
        self.concurrency, self.reserved, self.has_secret = concurrency, reserved, has_secret

    def __call__(self, _service: str) -> Account:
        return self

    def get_caller_identity(self) -> dict[str, str]:
        if self.meta.region_name == "eu-south-1":
            raise ClientError({"Error": {"Code": "InvalidClientTokenId", "Message": "no"}}, "Get")
        return {"Account": "111122223333"}

    def describe_stacks(self, StackName: str) -> dict[str, list[dict[str, str]]]:  # noqa: N803  AWS's name
        if StackName not in self.stacks:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "no"}}, "DescribeStacks")
        return {"Stacks": [{"StackStatus": self.stacks[StackName]}]}

    def get_template(self, StackName: str) -> dict[str, dict[str, object]]:  # noqa: N803  AWS's name
        people = {
            f"Person{n}": {"Type": "AWS::Cognito::UserPoolUser", "Properties": {"Username": of}}
            for n, of in enumerate(self.invited)
        }
        return {"TemplateBody": {"Resources": people, "Description": StackName}}

    def describe_limits(self) -> dict[str, int]:
        return {"ShardLimit": self.shard_limit, "OpenShardCount": self.shards}

    def describe_stream_summary(self, StreamName: str) -> dict[str, dict[str, int]]:  # noqa: N803  AWS's name
        assert StreamName == names.STREAM
        if not self.shards:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "no"}}, "Describe")
        return {"StreamDescriptionSummary": {"OpenShardCount": self.shards}}

    def get_paginator(self, operation: str) -> SimpleNamespace:
        def paginate(TopicArn: str = "") -> Iterator[dict[str, list[dict[str, str]]]]:  # noqa: N803  AWS's name
            if operation == "list_sms_sandbox_phone_numbers":
                states = zip(self.sandbox or (), ("Verified", "Pending"), strict=False)
                yield {"PhoneNumbers": [{"PhoneNumber": of, "Status": state} for of, state in states]}
                return
            topic = TopicArn.removeprefix("arn:aws:sns:us-east-1:111122223333:")
            if topic not in self.subscriptions:
                raise ClientError({"Error": {"Code": "NotFound", "Message": "no"}}, "List")
            for one in self.subscriptions[topic]:  # a page each
                yield {"Subscriptions": [one]}

        return SimpleNamespace(paginate=paginate)

    def get_sms_sandbox_account_status(self) -> dict[str, bool]:
        return {"IsInSandbox": self.sandbox is not None}

    def list_distributions(self, MaxItems: str) -> dict[str, dict[str, int]]:  # noqa: N803  AWS's name
        return {"DistributionList": {"Quantity": min(int(MaxItems), self.distributions)}}

    def describe_stack_events(self, StackName: str) -> dict[str, list[dict[str, str]]]:  # noqa: N803  AWS's name
        assert StackName == names.DASHBOARD_STACK
        return {"StackEvents": [{}, *({"ResourceStatusReason": of} for of in self.events)]}

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

    def describe_secret(self, SecretId: str) -> dict[str, object]:  # noqa: N803  AWS's name
        assert SecretId == names.SOURCE_SECRET
        if not self.has_secret:
            raise ClientError(
                {"Error": {"Code": "ResourceNotFoundException", "Message": "no"}}, "DescribeSecret"
            )
        return {"DeletedDate": "tomorrow"} if self.deleted_secret else {}


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
        (Account(stacks={**GOOD, "ApiStack": "UPDATE_ROLLBACK_FAILED"}), CONFIG, "could not be taken back"),
        (Account(stacks={**GOOD, "ApiStack": "UPDATE_IN_PROGRESS"}), CONFIG, "ApiStack is being changed"),
        (Account(deleted_secret=True), CONFIG, "is scheduled for deletion"),
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


def test_a_region_that_the_account_has_not_enabled_is_said_alone() -> None:
    """STS guide, "Manage AWS STS in an AWS Region": there it rejects the credentials, whatever is asked."""
    account = Account()
    account.meta.region_name = "eu-south-1"
    (problem,) = preflight(account, CONFIG)
    assert problem.what == "eu-south-1 does not know the credentials"
    assert problem.remedy.endswith("aws account enable-region --region-name eu-south-1")


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


def test_shards_are_at_most_doubled_and_at_most_halved() -> None:
    """Kinesis API reference, UpdateShardCount: not more than double, not below half, not beyond the account's limit."""

    def said(account: Account, shards: int) -> list[str]:
        return [problem.what for problem in preflight(account, CONFIG.model_copy(update={"shards": shards}))]

    assert said(Account(shards=0), 5) == [], "a first deployment makes as many as it wants"
    assert said(Account(shards=2), 4) == said(Account(shards=4), 2) == []
    assert said(Account(shards=3), 2) == []
    (more,) = preflight(Account(shards=1), CONFIG.model_copy(update={"shards": 4}))
    assert "has 1 shards" in more.what
    assert "set shards = 2" in more.remedy
    (fewer,) = preflight(Account(shards=5), CONFIG.model_copy(update={"shards": 2}))
    assert "set shards = 3" in fewer.remedy
    (beyond,) = said(Account(shard_limit=3), 4)
    assert "3 shards in this region, of which 3 are free; shards = 4 needs 4 more" in beyond


def test_a_watch_list_that_the_scanner_may_not_read_is_said() -> None:
    """IAM guide, "Policy evaluation logic": its role names objects below watch-lists/ of the data bucket alone."""
    for tickers, is_ours in (
        ("s3://stock-scan-data-111122223333/watch-lists/all.csv", True),
        ("s3://stock-scan-data-111122223333/all.csv", False),
        ("s3://another/watch-lists/all.csv", False),
    ):
        problems = preflight(Account(), CONFIG.model_copy(update={"tickers": tickers}))
        assert ["may not read the watch list" in problem.what for problem in problems] == [True] * (
            not is_ours
        )


def test_more_invitations_than_cognito_sends_in_a_day_are_said() -> None:
    """Cognito guide, "Quotas in Amazon Cognito": 50 emails a day."""
    people = tuple(f"p{n}@example.com" for n in range(51))
    config = CONFIG.model_copy(update={"people": people})
    (problem,) = preflight(Account(), config)
    assert "51 people would be invited at once" in problem.what
    deployed = {**GOOD, "ApiStack": "UPDATE_COMPLETE"}
    assert preflight(Account(stacks=deployed, invited=people[:1]), config) == []


PHONES = [{"Protocol": "sms", "Endpoint": f"+1555010{n}", "SubscriptionArn": "arn"} for n in (1, 2)]
EMAILS = [
    {"Protocol": "email", "Endpoint": "ann@example.com", "SubscriptionArn": "PendingConfirmation"},
    {"Protocol": "email", "Endpoint": "bob@example.com", "SubscriptionArn": "arn"},
]


def test_who_has_not_confirmed_is_named() -> None:
    """SNS API reference, Subscribe: an owner "must run the ConfirmSubscription action", within two days."""
    assert notices(Account(), CONFIG) == [], "before a first deployment there are no topics"
    both = {names.ALERTS_TOPIC: EMAILS, names.OPERATIONS_TOPIC: EMAILS}
    assert [problem.what for problem in notices(Account(subscriptions=both), CONFIG)] == [
        f"ann@example.com has not confirmed the subscription to {topic}, and gets nothing"
        for topic in (names.ALERTS_TOPIC, names.OPERATIONS_TOPIC)
    ]


def test_a_number_that_the_sms_sandbox_keeps_messages_from_is_named() -> None:
    """SNS guide, "SMS sandbox": "you can send SMS messages only to verified destination phone numbers"."""
    subscribed = {names.ALERTS_TOPIC: PHONES}
    assert notices(Account(subscriptions=subscribed), CONFIG) == [], "out of the sandbox"
    both = tuple(phone["Endpoint"] for phone in PHONES)  # the second one's verification is pending
    for verified, lacking in ((both, both[1]), ((), ", ".join(both))):
        (problem,) = notices(Account(subscriptions=subscribed, sandbox=verified), CONFIG)
        assert problem.what.endswith(f"gets no message to {lacking}")
    assert notices(Account(sandbox=()), CONFIG) == [], "nobody wants SMS"


def test_a_new_account_is_told_that_cloudfront_may_reject_it() -> None:
    """CloudFront API reference, CreateDistribution: AccessDenied; nothing else tells whether it is verified."""
    (problem,) = notices(Account(distributions=0), CONFIG)
    assert "AWS may have to verify it first" in problem.what
    deployed = Account(stacks={**GOOD, "DashboardStack": "UPDATE_COMPLETE"}, distributions=0)
    assert notices(deployed, CONFIG) == []
    assert unverified(Account()) == unverified(deployed) == []
    why = "Access denied for operation 'AWS::CloudFront::Distribution: Your account must be verified before you can add"
    failed = Account(stacks={**GOOD, "DashboardStack": "ROLLBACK_COMPLETE"}, events=("Eventual", why))
    (problem,) = unverified(failed)
    assert "delete-stack --stack-name DashboardStack" in problem.remedy


def test_a_machine_without_node_or_the_cdk_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CDK guide, "Prerequisites": Node.js; which version, `localstack.node` says."""
    answers = iter((0, 1))

    def answered(*_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(returncode=next(answers), stderr="no Node.js 20 or newer\n")

    monkeypatch.setattr("subprocess.run", answered)
    monkeypatch.setattr(deployment, "CDK", tmp_path / "cdk")
    assert [problem.what for problem in tools()] == ["the CDK CLI is not installed"]
    (tmp_path / "cdk").touch()
    assert [problem.what for problem in tools()] == ["no Node.js 20 or newer"]


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


def test_the_concurrency_that_a_stack_reserves_is_read_from_what_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    detector = {"FunctionName": names.DETECTOR, "ReservedConcurrentExecutions": 7}
    functions = {"A": detector, "B": {"FunctionName": names.NOTIFIER}}
    resources = {id_: {"Type": "AWS::Lambda::Function", "Properties": of} for id_, of in functions.items()}
    monkeypatch.setattr(deployment, "running", lambda _: {"LambdaStack": {"Resources": resources}})
    found = [deployment.reserved_concurrency(Account(), n) for n in (names.DETECTOR, names.NOTIFIER, "no")]
    assert found == [7, None, None]


def test_only_stacks_that_are_there_run() -> None:
    assert set(running(Account())) == {"LambdaStack"}


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:4566"])
def test_what_is_synthesized_has_the_settings_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """The CDK runs in the checkout, which may hold other settings; on a local AWS functions run on this machine."""
    asked: list[str] = []
    monkeypatch.setattr(deployment, "cdk", lambda arguments, *_: asked.extend(arguments))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    deployment.synthesize("staging")
    assert f"{SETTINGS_CONTEXT}=" in asked
    (tmp_path / FILE).write_text("[staging]\n")
    deployment.synthesize("staging")
    assert f"{SETTINGS_CONTEXT}={tmp_path / FILE}" in asked
    assert (f"{BUILT_HERE_CONTEXT}=true" in asked) is bool(url)


def test_a_deployment_leaves_no_assembly_behind() -> None:
    """Each left more than 100 MB in the folder for temporary files."""
    program = (
        "from stream_infra.operations import deployment\n"
        "deployment.cdk = lambda *_: None\n"
        "folder = deployment.synthesize('prod', upload=False)\n"
        "assert folder.is_dir()\n"
        "print(folder)"
    )
    run = [sys.executable, "-c", program]
    done = subprocess.run(run, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert not Path(done.stdout.strip()).exists()
