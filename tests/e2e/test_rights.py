"""Rights of the functions' roles: the local AWS denies what no statement of a role allows."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from localstack.rights import place
from localstack.rights_report import recorded
from localstack.settings import ACCOUNT, REGION, read_settings
from stream_infra import names
from tests.e2e.monitor import Monitor
from tests.rights import Account

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def _strict(monitor: Monitor) -> None:
    if monitor.given:
        pytest.skip("LocalStack 4.9.2: policies are not enforced in this edition")


class InTheNameOf:
    """Clients with the credentials of a function's role."""

    def __init__(self, monitor: Monitor, function: str) -> None:
        role = monitor.client("lambda").get_function(FunctionName=function)["Configuration"]["Role"]
        given = monitor.client("sts").assume_role(RoleArn=role, RoleSessionName="aws-itself")["Credentials"]
        self._url = monitor.aws
        self._session = boto3.session.Session(
            given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name=REGION
        )

    def client(self, service: str) -> Any:
        return self._session.client(service, endpoint_url=self._url)  # type: ignore[call-overload]


def test_a_function_s_credentials_do_not_reach_the_work_of_another(monitor: Monitor) -> None:
    """The scanner's own items only, and events of the feed only: conditions of its role."""
    scanner = InTheNameOf(monitor, names.SCANNER)
    forged = {"pk": {"S": "partition#0"}, "sk": {"S": "block#999999999999"}}
    with pytest.raises(ClientError, match="not authorized to perform: dynamodb:PutItem"):
        scanner.client("dynamodb").put_item(TableName=names.WINDOWS_TABLE, Item=forged)
    event = {"EventBusName": names.BUS, "Source": names.EVENT_SOURCE, "Detail": "{}"}
    with pytest.raises(ClientError, match="not authorized to perform: events:PutEvents"):
        scanner.client("events").put_events(Entries=[event | {"DetailType": "AnomalyDetected"}])


def test_every_call_is_known(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the tests before made functions do is what tests/stream_infra/cdk/test_rights.py judges roles by.

    conftest.py puts it last.
    """
    for name, value in monitor.environment().items():
        monkeypatch.setenv(name, value)
    account, functions = Account(ACCOUNT), monitor.client("lambda")
    of_role = {
        functions.get_function(FunctionName=name)["Configuration"]["Role"].rsplit("/", 1)[1]: name
        for name in names.FUNCTIONS
    }
    known = {
        (name, call.action, place(call.resource)) for name in names.FUNCTIONS for call in account.calls(name)
    }
    made = {
        (of_role[call.role], call.action, call.place)
        for call in recorded(read_settings())
        if call.role in of_role
        and not call.place.endswith("/drill-restored")  # of a recovery, with rights of its own
    }
    assert made, "nothing was recorded"
    assert made - known == set()
