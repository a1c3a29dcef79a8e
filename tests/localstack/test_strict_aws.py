"""The local AWS denies what AWS denies: calls that a role's policies do not allow."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.request import urlopen

import boto3
import pytest
from botocore.exceptions import ClientError

from localstack.rights import Allowed, from_json, statement_text
from localstack.rights_report import mutations, state, uses
from localstack.settings import ACCOUNT, REGION
from tests.localstack.conftest import TRUST


class Role:
    """A role of the strict local AWS, and calls in its name."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.name = f"role-{uuid.uuid4()}"
        self.root = boto3.session.Session("test", "test", region_name=REGION)
        made = self.client("iam").create_role(RoleName=self.name, AssumeRolePolicyDocument=json.dumps(TRUST))
        given = self.client("sts").assume_role(RoleArn=made["Role"]["Arn"], RoleSessionName="test")
        keys = given["Credentials"]
        self.session = boto3.session.Session(
            keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], region_name=REGION
        )

    def client(self, service: str) -> Any:
        return self.root.client(service, endpoint_url=self._url)  # type: ignore[call-overload]

    def own(self, service: str) -> Any:
        return self.session.client(service, endpoint_url=self._url)  # type: ignore[call-overload]

    def may(self, *statements: Mapping[str, object]) -> None:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        self.client("iam").put_role_policy(RoleName=self.name, PolicyName="may", PolicyDocument=document)

    def used(self) -> set[Allowed]:
        with urlopen(f"{self._url}/_stock_monitor/rights") as answer:
            return {one for one in from_json(json.load(answer)) if one.role == self.name}


@pytest.fixture
def role(strict_url: str) -> Role:
    return Role(strict_url)


@pytest.fixture(scope="module")
def table(strict_url: str) -> Iterator[str]:
    dynamodb = boto3.client(
        "dynamodb",
        endpoint_url=strict_url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    dynamodb.create_table(
        TableName="judged",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    yield "judged"
    dynamodb.delete_table(TableName="judged")


def allow(resource: str, *actions: str, condition: Mapping[str, object] | None = None) -> dict[str, object]:
    made = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return made | ({"Condition": condition} if condition else {})


def table_arn(name: str) -> str:
    return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"


def code_of(denied: pytest.ExceptionInfo[ClientError]) -> str:
    return str(denied.value.response["Error"]["Code"])


def test_what_no_statement_allows_is_denied(role: Role, table: str) -> None:
    """IAM guide, "How AWS enforcement code logic evaluates requests": an implicit denial."""
    with pytest.raises(ClientError, match="is not authorized to perform: dynamodb:GetItem") as denied:
        role.own("dynamodb").get_item(TableName=table, Key={"pk": {"S": "a"}})
    assert code_of(denied) == "AccessDeniedException"
    role.may(allow(table_arn(table), "dynamodb:GetItem"))
    role.own("dynamodb").get_item(TableName=table, Key={"pk": {"S": "a"}})


def test_each_service_denies_in_its_own_form(role: Role) -> None:
    calls: dict[str, tuple[str, Callable[[Any], object]]] = {
        "s3": ("AccessDenied", lambda s3: s3.list_objects_v2(Bucket="none")),
        "sns": ("AuthorizationError", lambda sns: sns.publish(TopicArn=_arn("sns", "t"), Message="m")),
        "sqs": ("AccessDenied", lambda sqs: sqs.list_queues()),
        "ssm": ("AccessDeniedException", lambda ssm: ssm.get_parameter(Name="/a")),
        "events": ("AccessDeniedException", lambda events: events.put_events(Entries=[_entry("A")])),
    }
    for service, (code, call) in calls.items():
        with pytest.raises(ClientError) as denied:
            call(role.own(service))
        assert code_of(denied) == code, service


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def _entry(detail_type: str) -> dict[str, str]:
    return {"Source": "s", "DetailType": detail_type, "Detail": "{}"}


LEADING = [
    ("get_item", {"Key": {"pk": {"S": "KEY"}}}),
    ("put_item", {"Item": {"pk": {"S": "KEY"}}}),
    ("delete_item", {"Key": {"pk": {"S": "KEY"}}}),
    (
        "update_item",
        {
            "Key": {"pk": {"S": "KEY"}},
            "UpdateExpression": "SET a = :a",
            "ExpressionAttributeValues": {":a": {"S": "1"}},
        },
    ),
    (
        "query",
        {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": "KEY"}}},
    ),
    (
        "query",
        {
            "KeyConditionExpression": "#k=:pk",
            "ExpressionAttributeNames": {"#k": "pk"},
            "ExpressionAttributeValues": {":pk": {"S": "KEY"}},
        },
    ),
    ("batch_get_item", {"RequestItems": {"judged": {"Keys": [{"pk": {"S": "KEY"}}]}}}),
    ("batch_write_item", {"RequestItems": {"judged": [{"PutRequest": {"Item": {"pk": {"S": "KEY"}}}}]}}),
    ("batch_write_item", {"RequestItems": {"judged": [{"DeleteRequest": {"Key": {"pk": {"S": "KEY"}}}}]}}),
    (
        "transact_write_items",
        {"TransactItems": [{"Put": {"TableName": "judged", "Item": {"pk": {"S": "KEY"}}}}]},
    ),
]


@pytest.mark.parametrize(("operation", "arguments"), LEADING)
def test_items_of_other_partition_keys_are_denied(
    role: Role, table: str, operation: str, arguments: dict[str, object]
) -> None:
    """DynamoDB guide, "Using IAM policy conditions for fine-grained access control": dynamodb:LeadingKeys."""
    condition = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["mine#*"]}}
    role.may(allow(table_arn(table), "dynamodb:*", condition=condition))
    named = (
        arguments
        if {"RequestItems", "TransactItems"} & arguments.keys()
        else {"TableName": table} | arguments
    )
    call = getattr(role.own("dynamodb"), operation)
    call(**json.loads(json.dumps(named).replace("KEY", "mine#1")))
    with pytest.raises(ClientError) as denied:
        call(**json.loads(json.dumps(named).replace("KEY", "other#1")))
    assert code_of(denied) == "AccessDeniedException"


def test_events_of_other_types_are_denied(role: Role) -> None:
    """EventBridge guide, "Using IAM policy conditions": events:detail-type, of every entry."""
    condition = {"ForAllValues:StringEquals": {"events:detail-type": ["Mine"]}}
    role.may(allow(_arn("events", "event-bus/default"), "events:PutEvents", condition=condition))
    events = role.own("events")
    assert events.put_events(Entries=[_entry("Mine")])["FailedEntryCount"] == 0
    with pytest.raises(ClientError) as denied:
        events.put_events(Entries=[_entry("Mine"), _entry("Other")])
    assert code_of(denied) == "AccessDeniedException"


def test_a_policy_that_denies_what_is_not_tls_lets_programs_in(role: Role) -> None:
    """S3 guide, "Restrict access to only HTTPS requests"; the loopback stands for the TLS that AWS is reached by."""
    bucket = f"b-{uuid.uuid4()}"
    role.client("s3").create_bucket(Bucket=bucket)
    everything = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": everything}
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    policy = {"Version": "2012-10-17", "Statement": [deny | {"Condition": condition}]}
    role.client("s3").put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    role.may(allow(everything[1], "s3:PutObject"))
    role.own("s3").put_object(Bucket=bucket, Key="a/b", Body=b"1")
    role.client("s3").put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    )
    with pytest.raises(ClientError, match="explicit deny in a resource-based policy"):
        role.own("s3").put_object(Bucket=bucket, Key="a/b", Body=b"1")


def test_a_session_is_the_role_that_was_assumed(role: Role) -> None:
    """IAM guide, "aws:PrincipalArn": for a role's session "the request context returns the ARN of the role"."""
    topic = role.client("sns").create_topic(Name=f"t-{uuid.uuid4()}")["TopicArn"]
    role.may(allow(topic, "sns:Publish"))

    def only(pattern: str) -> None:
        condition = {"ArnNotLike": {"aws:PrincipalArn": f"arn:aws:iam::000000000000:role/{pattern}"}}
        deny = {"Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": topic}
        policy = {"Version": "2012-10-17", "Statement": [deny | {"Condition": condition}]}
        role.client("sns").set_topic_attributes(
            TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(policy)
        )

    only(f"{role.name[:-4]}*")
    role.own("sns").publish(TopicArn=topic, Message="hello")
    only("another*")
    with pytest.raises(ClientError, match="not authorized to perform: SNS:Publish"):
        role.own("sns").publish(TopicArn=topic, Message="hello")


def test_another_choice_of_a_subscriber_is_rejected(role: Role) -> None:
    """Met by others: localstack/localstack issue 8816, anomalyco/sst issue 4259; the same choice again is taken."""
    sns = role.client("sns")
    of = {"TopicArn": sns.create_topic(Name=f"t-{uuid.uuid4()}")["TopicArn"], "Protocol": "sms"}
    high, low = ({"FilterPolicy": json.dumps({"severity": [severity]})} for severity in ("high", "low"))
    arn = sns.subscribe(**of, Endpoint="+15550100", Attributes=high)["SubscriptionArn"]
    assert sns.subscribe(**of, Endpoint="+15550100", Attributes=high)["SubscriptionArn"] == arn
    assert sns.subscribe(**of, Endpoint="+15550100")["SubscriptionArn"] == arn
    with pytest.raises(
        ClientError, match="Subscription already exists with different attributes"
    ) as rejected:
        sns.subscribe(**of, Endpoint="+15550100", Attributes=low)
    assert code_of(rejected) == "InvalidParameter"
    assert sns.subscribe(**of, Endpoint="+15550101", Attributes=low)["SubscriptionArn"] != arn


def test_the_record_says_which_statements_were_needed(role: Role, table: str) -> None:
    """What a call was allowed by alone is what its removal would deny."""
    get = allow(table_arn(table), "dynamodb:GetItem", "dynamodb:Query")
    put = allow(table_arn(table), "dynamodb:PutItem")
    either = allow("*", "dynamodb:PutItem")
    role.may(get, put, either)
    role.own("dynamodb").get_item(TableName=table, Key={"pk": {"S": "a"}})
    role.own("dynamodb").put_item(TableName=table, Item={"pk": {"S": "a"}})
    found = uses("f", role.name, [statement_text(one) for one in (get, put, either)], role.used())
    assert [(use.action, state(use)) for use in found] == [
        ("dynamodb:GetItem", "needed"),
        ("dynamodb:Query", "NEVER USED"),
        ("dynamodb:PutItem", "also by another statement"),
        ("dynamodb:PutItem", "also by another statement"),
    ]
    removed = [one.denied for one in mutations(found)]
    assert removed == [("dynamodb:GetItem",), (), ()], "either of the others will do"
    role.may(put, either)
    with pytest.raises(ClientError):
        role.own("dynamodb").get_item(TableName=table, Key={"pk": {"S": "a"}})
