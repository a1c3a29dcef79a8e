"""boto3 clients of the local AWS."""

from __future__ import annotations

from typing import Any

from botocore.config import Config

from localstack.settings import REGION, LocalSettings
from stream_infra.operations.endpoints import local_session


def client(settings: LocalSettings, service: str, *, read_timeout: float = 60) -> Any:
    """Return a client with dummy credentials that knows no other endpoint than the local one."""
    return local_session().client(  # type: ignore[call-overload]
        service,
        endpoint_url=settings.aws,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106  the local AWS takes anything
        config=Config(connect_timeout=5, read_timeout=read_timeout, retries={"total_max_attempts": 1}),
    )
