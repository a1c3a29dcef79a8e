"""Keys of a source from Secrets Manager: a JSON object of the variables that the source reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from producers.settings import SettingsError

REREAD_SECONDS = 300.0
_read: dict[str, tuple[float, dict[str, str]]] = {}


class SecretsClient(Protocol):
    """What is used of boto3's client of Secrets Manager."""

    def get_secret_value(self, *, SecretId: str) -> Any:  # noqa: N803
        """Return the secret's value."""


def environment_with_secret(
    environment: Mapping[str, str],
    client: SecretsClient,
    secret: str,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, str]:
    """Return the environment with what is in the secret, which is read again every five minutes.

    Raises
    ------
    SettingsError
        If it cannot be read or is no JSON object of text; the message never holds what is in it.
    """
    at, keys = _read.get(secret, (-REREAD_SECONDS, {}))
    if clock() - at >= REREAD_SECONDS or not keys:
        keys = _fetched(client, secret)
        _read[secret] = clock(), keys
    return {**environment, **keys}


def _fetched(client: SecretsClient, secret: str) -> dict[str, str]:
    try:
        text = client.get_secret_value(SecretId=secret)["SecretString"]
    except (ClientError, BotoCoreError) as error:
        raise SettingsError(f"secret {secret} cannot be read: {error}") from error
    except KeyError:
        text = ""
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except msgspec.MsgspecError:
        problem = f'secret {secret} is not a JSON object of text, such as {{"FINNHUB_API_KEY": "…"}}'
    raise SettingsError(problem)  # without its cause, which would quote the secret
