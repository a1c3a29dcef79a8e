"""The CloudFormation of a local AWS, driven as the CDK CLI drives it: by change sets."""

from __future__ import annotations

import copy
import json
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import boto3
from botocore.exceptions import ClientError

from localstack.settings import ACCOUNT, REGION
from tests.stream_infra.cdk.assembly import Properties

UNKNOWN = {"Athena", "CDK", "Glue"}
"""Services of which the emulator has no resources."""


class LocalStacks:
    """Stacks of a local AWS."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stacks = self.client("cloudformation")

    def client(self, service: str) -> Any:
        """Return a client of the local AWS, as `stock-monitor deploy` gets one of AWS."""
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self._url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def change(self, stack: str, template: Properties, kind: str, **given: Any) -> tuple[str, set[str]]:
        """Return the id of a new change set, and the logical ids of what it would take over."""
        named = {"StackName": stack, "ChangeSetName": f"c{uuid.uuid4().hex}"}
        made = self._stacks.create_change_set(
            **named, ChangeSetType=kind, TemplateBody=json.dumps(template), **given
        )
        found = self._settled(
            lambda: self._stacks.describe_change_set(ChangeSetName=made["Id"], StackName=stack), "Status"
        )
        assert found["Status"] == "CREATE_COMPLETE", found.get("StatusReason")
        changes = [change["ResourceChange"] for change in found["Changes"]]
        return made["Id"], {one["LogicalResourceId"] for one in changes if one["Action"] == "Import"}

    def make(self, stack: str, template: Properties, kind: str = "CREATE", **given: Any) -> str:
        """Make or change a stack; return its status then."""
        change, _ = self.change(stack, template, kind, **given)
        self._stacks.execute_change_set(ChangeSetName=change, StackName=stack)
        return self._status(stack)

    def delete(self, stack: str) -> None:
        """Delete a stack, as `cdk destroy` does."""
        self._stacks.delete_stack(StackName=stack)
        assert self._status(stack) == "gone"

    def _status(self, stack: str) -> str:
        def described() -> Any:
            try:
                return self._stacks.describe_stacks(StackName=stack)["Stacks"][0]
            except ClientError as error:
                if error.response["Error"]["Code"] != "ValidationError":
                    raise
                return {"StackStatus": "gone"}

        return str(self._settled(described, "StackStatus")["StackStatus"])

    @staticmethod
    def _settled(describe: Callable[[], Any], key: str) -> Any:
        deadline = time.monotonic() + 60
        while (found := describe())[key].endswith(("_IN_PROGRESS", "_PENDING")):
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found


def for_the_local_aws(template: Properties) -> Properties:
    """Return a template as the emulator takes it, in its account."""
    plain: Properties = json.loads(json.dumps(template).replace("111122223333", ACCOUNT))
    known = {
        key: item for key, item in plain["Resources"].items() if item["Type"].split("::")[1] not in UNKNOWN
    }
    return {"Resources": known}


def failing_after(template: Properties, made: Iterable[str]) -> Properties:
    """Return a template whose stack fails once the resources `made` are there, as nobody gives it a sign.

    CloudFormation guide, "Create wait conditions in a CloudFormation template": without one it fails.
    """
    changed = copy.deepcopy(template)
    handle = {"Type": "AWS::CloudFormation::WaitConditionHandle"}
    condition = {"Handle": {"Ref": "Handle"}, "Timeout": "1"}
    fails = {
        "Type": "AWS::CloudFormation::WaitCondition",
        "Properties": condition,
        "DependsOn": sorted(made),
    }
    changed["Resources"] |= {"Handle": handle, "Fails": fails}
    return changed
