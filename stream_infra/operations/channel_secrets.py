"""The secrets of channels: what a type needs, and how it gets into Secrets Manager; only the notifier reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from consumers.alerts import channels
from consumers.alerts.settings import AlertSettings
from stream_infra import names
from stream_infra.operations.errors import InputError

_SECRET_CHARACTERS = 65_536
"""Secrets Manager API reference, PutSecretValue."""


def needed(settings: AlertSettings, channel: str) -> dict[str, str]:
    """Return what a channel takes, and what each is, for people.

    Raises
    ------
    InputError
        It is not set up, or its type needs none.
    """
    known = {name: channels.declared(wanted.type) for name, wanted in settings.channels.items()}
    if channel not in known or not known[channel].secrets:
        allowed = ", ".join(name for name, type_ in known.items() if type_.secrets)
        raise InputError(
            f"no channel {channel!r} that needs a secret is set up",
            where="CHANNEL",
            allowed=f"one of {allowed}" if allowed else "one that was added in the page's settings before",
        )
    optional = known[channel].optional
    return {
        name: f"{what}; may be empty" if name in optional else what
        for name, what in known[channel].secrets.items()
    }


def put(secrets_manager: Any, settings: AlertSettings, channel: str, values: Mapping[str, str]) -> str:
    """Put a channel's secrets in the place of those of before, and return the secret's name; nothing is read.

    Raises
    ------
    ChannelError
        One is missing, or not what the channel takes; nothing is put.
    InputError
        They are longer than a secret may be.
    """
    given = {key: value.strip() for key, value in values.items() if value.strip()}
    wanted = settings.channels[channel]
    channels.declared(wanted.type)(channels.Setup(wanted.settings, given))
    name, text = f"{names.CHANNEL_SECRETS}{channel}", json.dumps(given)
    if len(text) > _SECRET_CHARACTERS:
        largest = max(given, key=lambda key: len(given[key]))
        what = f"the secret of channel {channel!r} has {len(text):,} characters, most of them {largest}"
        raise InputError(what, where=largest, allowed=f"at most {_SECRET_CHARACTERS:,}")
    try:
        secrets_manager.put_secret_value(SecretId=name, SecretString=text)
    except secrets_manager.exceptions.ResourceNotFoundException:
        secrets_manager.create_secret(Name=name, SecretString=text)
    return name
