"""The clients of the event source mapping runner."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from botocore.client import BaseClient

from localstack.event_source_mapping.clients import connect

ROLE = "arn:aws:iam::000000000000:role/detector"


def test_a_session_of_a_role_is_new_where_the_clock_is_set_forward_as_it_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its end is said by the clock of before: botocore held it for expired, and the runner ended."""
    before = datetime.now(UTC) - timedelta(days=1)
    session = {"AccessKeyId": "ASIA1", "SecretAccessKey": "s", "SessionToken": "t"}
    answer = {"Credentials": {**session, "Expiration": before + timedelta(hours=1)}}
    calls: list[str] = []

    def call(_: BaseClient, operation: str, __: object) -> object:
        calls.append(operation)
        return answer

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    functions = connect("http://127.0.0.1:4566").of_role(ROLE).functions
    assert functions._request_signer._credentials.get_frozen_credentials().access_key == "ASIA1"  # type: ignore[attr-defined]
    assert calls == ["AssumeRole"]
