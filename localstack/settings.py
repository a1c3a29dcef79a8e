"""Where the local monitor lives: its folder and its two ports, from the environment, checked once."""

from __future__ import annotations

import errno
import os
import re
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from producers.errors import MonitorError
from stream_infra.operations.endpoints import LOCAL_REGION
from stream_infra.operations.proxy import unproxied

ROOT = Path(__file__).resolve().parent.parent
ACCOUNT = "000000000000"
REGION = LOCAL_REGION
HOST = "127.0.0.1"
_CHOICES = {"SOURCE", "SOURCE_MODE", "TICKERS"}
"""What `make up` takes from variables that mean something else to the programs that it starts."""


class LocalError(MonitorError):
    """Something the person at the keyboard can mend; the message says what is wrong and how."""


@dataclass(frozen=True)
class LocalSettings:
    """The local monitor's folder (data, logs, pids) and ports, all on 127.0.0.1."""

    directory: Path
    aws_port: int
    port: int
    endpoint: str | None = None
    """URL of a local AWS that somebody else runs, in place of the embedded one."""

    @property
    def aws(self) -> str:
        """URL of the local AWS."""
        return self.endpoint or f"http://{HOST}:{self.aws_port}"

    @property
    def origin(self) -> str:
        """URL of the front door, without a slash at its end."""
        return f"http://{HOST}:{self.port}"

    def log(self, name: str) -> Path:
        """Log file of one of the local monitor's programs."""
        return self.directory / "logs" / f"{name}.log"


def read_settings(environment: Mapping[str, str] = os.environ) -> LocalSettings:
    """Return the settings: STOCK_MONITOR_DIR, STOCK_MONITOR_PORT, STOCK_MONITOR_AWS_PORT or STOCK_MONITOR_AWS_ENDPOINT.

    Raises
    ------
    LocalError
        If a port is not a number from 1024 to 65535, or both are the same, or the endpoint is no local
        URL.
    """
    settings = LocalSettings(
        directory=Path(environment.get("STOCK_MONITOR_DIR") or ROOT / ".local").resolve(),
        aws_port=_port(environment, "STOCK_MONITOR_AWS_PORT", 4566),
        port=_port(environment, "STOCK_MONITOR_PORT", 8080),
        endpoint=_endpoint(environment.get("STOCK_MONITOR_AWS_ENDPOINT") or None),
    )
    if settings.aws_port == settings.port:
        raise LocalError(
            f"STOCK_MONITOR_AWS_PORT and STOCK_MONITOR_PORT are both {settings.port}: they must differ"
        )
    return settings


def unusable(error: OSError) -> str:
    """Return in a sentence what the system does not let the local monitor do: a full disk, a folder of others."""
    reason = error.strerror or str(error)
    if error.errno == errno.ENOSPC:
        return f"the disk is full ({error.filename or 'no file named'}): make room, then run it again"
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{reason}. The folder of the local monitor (STOCK_MONITOR_DIR, or .local) must be writable"


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    given = environment.get(name) or str(default)
    if not re.fullmatch("[0-9]{4,5}", given) or not 1024 <= int(given) <= 65535:
        raise LocalError(f"{name}={given}: not a port; must be 1024 to 65535")
    return int(given)


def _endpoint(given: str | None) -> str | None:
    if given is None:
        return None
    try:
        parts = urlsplit(given)
        host = parts.hostname if parts.scheme in {"http", "https"} and parts.port != 0 else None
    except ValueError:  # brackets without their other half, a port that is none
        host = None
    if not host:
        raise LocalError(f"STOCK_MONITOR_AWS_ENDPOINT={given}: not a URL; expected http://host:port")
    if host.endswith(("amazonaws.com", "amazonaws.com.cn", "api.aws")):
        raise LocalError(
            f"STOCK_MONITOR_AWS_ENDPOINT={given} is AWS: the local monitor is for a local AWS only"
        )
    return given.rstrip("/")


def port_is_free(port: int) -> bool:
    """Return whether nothing listens on 127.0.0.1:`port`."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return probe.connect_ex((HOST, port)) != 0


def aws_environment(settings: LocalSettings) -> dict[str, str]:
    """Environment of every program that we start: dummy credentials, the local endpoint, nothing of the user's AWS."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AWS_", "CDK_", "STOCK_MONITOR_")) and key not in _CHOICES
    }
    return {
        **kept,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": settings.aws,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        **unproxied(os.environ),
        "TMPDIR": tempfile.gettempdir(),  # the CDK CLI ends by a stack trace where TMPDIR is not there
        "STOCK_MONITOR_DIR": str(settings.directory),
        "STOCK_MONITOR_AWS_PORT": str(settings.aws_port),
        "STOCK_MONITOR_PORT": str(settings.port),
        **({"STOCK_MONITOR_AWS_ENDPOINT": settings.endpoint} if settings.endpoint else {}),
    }
