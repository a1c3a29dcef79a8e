"""What no deployment can do and a person has to. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator

from stream_infra import names
from stream_infra.config import Config
from stream_infra.operations.preflight import Client, DeploymentProblem, or_none, status

_SANDBOX = "https://docs.aws.amazon.com/sns/latest/dg/sns-sms-sandbox.html"


def notices(client: Client, config: Config) -> list[DeploymentProblem]:
    """Return what no deployment can do and a person has to: nobody is stopped by it."""
    return [problem for look in _NOTICES for problem in look(client, config)]


def _pending(client: Client, _config: Config) -> Iterator[DeploymentProblem]:
    """Name subscribers who get nothing yet.

    SNS API reference, Subscribe: an owner "must confirm", and "Confirmation tokens are valid for two days".
    """
    for topic in (names.ALERTS_TOPIC, names.OPERATIONS_TOPIC):
        for one in _subscriptions(client, topic):
            if one["SubscriptionArn"] == "PendingConfirmation":
                yield DeploymentProblem(
                    f"{one['Endpoint']} has not confirmed the subscription to {topic}, and gets nothing",
                    "follow the link in the message of AWS within two days; after that subscribe again",
                )


def _sms(client: Client, _config: Config) -> Iterator[DeploymentProblem]:
    """Name phone numbers that SNS sends nothing to.

    SNS guide, "SMS sandbox": in it messages go to verified numbers only.
    """
    numbers = {
        one["Endpoint"] for one in _subscriptions(client, names.ALERTS_TOPIC) if one["Protocol"] == "sms"
    }
    if not numbers or not client("sns").get_sms_sandbox_account_status()["IsInSandbox"]:
        return
    pages = client("sns").get_paginator("list_sms_sandbox_phone_numbers").paginate()
    verified = {
        one["PhoneNumber"] for page in pages for one in page["PhoneNumbers"] if one["Status"] == "Verified"
    }
    if lacking := sorted(numbers - verified):
        yield DeploymentProblem(
            f"the account is in the SMS sandbox, and gets no message to {', '.join(lacking)}",
            f"verify each number, or leave the sandbox: {_SANDBOX}",
        )


def _distributions(client: Client, _config: Config) -> Iterator[DeploymentProblem]:
    """Say that CloudFront may reject a new account.

    CloudFront API reference, CreateDistribution: AccessDenied, "Your account must be verified before you can add new
    CloudFront resources". Nothing tells before whether it is; an account with a distribution is.
    """
    if status(client, names.DASHBOARD_STACK) is not None:
        return
    if not client("cloudfront").list_distributions(MaxItems="1")["DistributionList"].get("Quantity"):
        yield DeploymentProblem(
            "this account has no CloudFront distribution yet: AWS may have to verify it first",
            "deploy; if DashboardStack fails with 'must be verified', open a case for account and billing with AWS "
            "Support, and deploy again when it is closed",
        )


_NOTICES = (_pending, _sms, _distributions)


def unverified(client: Client) -> list[DeploymentProblem]:
    """Return whether the last deployment failed because CloudFront rejects the account."""
    if status(client, names.DASHBOARD_STACK) is None:
        return []
    events = client("cloudformation").describe_stack_events(StackName=names.DASHBOARD_STACK)["StackEvents"]
    if not any("must be verified" in event.get("ResourceStatusReason", "") for event in events):
        return []
    return [
        DeploymentProblem(
            "CloudFront rejects this account: it must be verified before it can have a distribution",
            "open a case for account and billing with AWS Support; when it is closed, "
            f"aws cloudformation delete-stack --stack-name {names.DASHBOARD_STACK}, and deploy again",
        )
    ]


def _subscriptions(client: Client, topic: str) -> list[dict[str, str]]:
    sts = client("sts")
    account, region = sts.get_caller_identity()["Account"], sts.meta.region_name
    pages = (
        client("sns")
        .get_paginator("list_subscriptions_by_topic")
        .paginate(TopicArn=f"arn:aws:sns:{region}:{account}:{topic}")
    )
    found = or_none(lambda: [one for page in pages for one in page["Subscriptions"]], "NotFound")
    return found or []
