"""Keys from Secrets Manager reach the source, and nothing else."""

from __future__ import annotations

import json

import boto3
import pytest
from mypy_boto3_secretsmanager.client import SecretsManagerClient

from producers import secret
from producers.secret import REREAD_SECONDS, environment_with_secret
from producers.settings import SettingsError
from tests.producers.fakes import Aws


@pytest.fixture
def secrets(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> SecretsManagerClient:  # noqa: ARG001 - moto is on
    monkeypatch.setattr(secret, "_read", {})
    client = boto3.client("secretsmanager")
    client.create_secret(Name="keys", SecretString=json.dumps({"FINNHUB_API_KEY": "s3cr3t"}))
    return client


def test_keys_are_read_again_after_five_minutes(secrets: SecretsManagerClient) -> None:
    now = [0.0]

    def key() -> str:
        return environment_with_secret({"SOURCE": "finnhub"}, secrets, "keys", lambda: now[0])[
            "FINNHUB_API_KEY"
        ]

    assert key() == "s3cr3t"
    secrets.put_secret_value(SecretId="keys", SecretString=json.dumps({"FINNHUB_API_KEY": "n3w"}))
    assert key() == "s3cr3t"
    now[0] = REREAD_SECONDS
    assert key() == "n3w"


@pytest.mark.parametrize("content", ["s3cr3t", '["s3cr3t"]', '{"FINNHUB_API_KEY": 53}', "{"])
def test_a_secret_of_another_shape_is_named_and_not_shown(
    secrets: SecretsManagerClient, content: str
) -> None:
    secrets.put_secret_value(SecretId="keys", SecretString=content)
    with pytest.raises(SettingsError, match="secret keys is not a JSON object of text") as error:
        environment_with_secret({}, secrets, "keys")
    assert "s3cr3t" not in str(error.value)
    assert error.value.__cause__ is error.value.__context__ is None


def test_a_secret_that_is_not_there_is_named(secrets: SecretsManagerClient) -> None:
    with pytest.raises(SettingsError, match=r"secret other cannot be read: .*ResourceNotFound"):
        environment_with_secret({}, secrets, "other")
