"""A channel's secret is put whole, or it is said what is wrong with it."""

from __future__ import annotations

import pytest

from consumers.alerts.settings import AlertSettings, ChannelSettings
from stream_infra.operations.channel_secrets import put
from stream_infra.operations.errors import InputError

SETTINGS = AlertSettings(
    channels={"desk": ChannelSettings(type="webhook", settings={"url": "https://example.com/hook"})}
)


def test_one_that_is_longer_than_secrets_manager_takes_is_named_before_anything_is_put() -> None:
    """Secrets Manager API reference, PutSecretValue: "Maximum length of 65536"."""
    values = {"signing_key": "s" * 65_536}
    with pytest.raises(InputError, match=r"most of them signing_key.*at most 65,536"):
        put(None, SETTINGS, "desk", values)
