"""Which table of anomalies the functions use: the one of the stacks, or a restored one for a while."""

from __future__ import annotations

import json
import time
from typing import Any

from stream_infra import names
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.errors import FailedError, InputError

VARIABLE = "ANOMALIES_TABLE"
POLICY = names.named("stock-monitor-restored-table")
ACTIONS = {
    names.DETECTOR: ("dynamodb:PutItem", "dynamodb:BatchWriteItem"),
    names.API_HANDLER: ("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"),
}  # fmt: skip
_LIMIT_SECONDS = 120.0


def in_use(endpoints: Endpoints) -> str:
    """Return the table that the detector writes to."""
    found = endpoints.client("lambda").get_function_configuration(FunctionName=names.DETECTOR)
    return str(found.get("Environment", {}).get("Variables", {}).get(VARIABLE, names.ANOMALIES_TABLE))


def switch(endpoints: Endpoints, table: str) -> None:
    """Let the detector and the API use `table`, and allow them to. The stacks' own table takes the permission back.

    Raises
    ------
    InputError
        There is no such table, or its keys are not those of anomalies.
    FailedError
        A function did not take the change.
    """
    arn = _arn(endpoints, table)
    # The API first on the way to data, so that nothing is written where nobody reads.
    for function in (names.API_HANDLER, names.DETECTOR):
        _allow(endpoints, function, None if table == names.ANOMALIES_TABLE else arn)
        _point(endpoints, function, table)


def _arn(endpoints: Endpoints, table: str) -> str:
    dynamodb = endpoints.client("dynamodb")
    try:
        found = dynamodb.describe_table(TableName=table)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException as error:
        raise InputError(f"there is no table {table}: restore it first, by `recover table`") from error
    keys = [key["AttributeName"] for key in found["KeySchema"]]
    if keys != ["ticker", "timestamp"]:
        raise InputError(f"{table} has the keys {keys}: anomalies have ['ticker', 'timestamp']")
    return found["TableArn"]


def _allow(endpoints: Endpoints, function: str, arn: str | None) -> None:
    iam = endpoints.client("iam")
    found = endpoints.client("lambda").get_function_configuration(FunctionName=function)
    role = found["Role"].rsplit("/", 1)[1]
    if arn is None:
        if POLICY in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            iam.delete_role_policy(RoleName=role, PolicyName=POLICY)
        return
    statement = {"Effect": "Allow", "Action": ACTIONS[function], "Resource": [arn, f"{arn}/index/*"]}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    iam.put_role_policy(RoleName=role, PolicyName=POLICY, PolicyDocument=json.dumps(document))


def _point(endpoints: Endpoints, function: str, table: str) -> None:
    client: Any = endpoints.client("lambda")
    before = client.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    client.update_function_configuration(
        FunctionName=function, Environment={"Variables": {**before, VARIABLE: table}}
    )
    waited = 0.0
    while (found := client.get_function_configuration(FunctionName=function))[
        "LastUpdateStatus"
    ] != "Successful":
        if found["LastUpdateStatus"] == "Failed" or waited >= _LIMIT_SECONDS:
            raise FailedError(f"{function} did not take the change: {found.get('LastUpdateStatusReason')}")
        time.sleep(1)
        waited += 1
    # What callers use is a version behind an alias, where there is one: a change of $LATEST does not reach them.
    for alias in client.list_aliases(FunctionName=function)["Aliases"]:
        version = client.publish_version(FunctionName=function)["Version"]
        client.update_alias(
            FunctionName=function, Name=alias["Name"], FunctionVersion=version, RoutingConfig={}
        )
