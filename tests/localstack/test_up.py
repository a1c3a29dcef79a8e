"""What `make up` says where it cannot go on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from localstack import up

GONE = EndpointConnectionError(endpoint_url="http://127.0.0.1:4566/")
WRONG = ClientError(
    {"Error": {"Code": "ResourceNotFoundException", "Message": "no such table"}}, "DescribeTable"
)


@pytest.mark.parametrize("error", [GONE, WRONG], ids=["gone", "wrong"])
def test_a_local_aws_that_fails_meanwhile_is_named_with_its_log_and_what_to_do(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that was killed while the stacks were deployed ended `make up` by a traceback."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setenv("STOCK_MONITOR_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["up"])
    monkeypatch.setattr(up, "up", fail)
    assert up.main() == 1
    said = capsys.readouterr().err
    assert said.startswith(f"✗ the local AWS failed: {error}. Its log: {tmp_path}/logs/emulator.log.")
    assert "`make clean up` begins anew" in said


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_that_lacks_a_character_gets_its_escape(encoding: str, tmp_path: Path) -> None:
    """`make up` ended with a UnicodeEncodeError, as where no locale is set for a connection by SSH."""
    environment = os.environ | {
        "PYTHONIOENCODING": encoding,
        "STOCK_MONITOR_DIR": str(tmp_path),
        "STOCK_MONITOR_AWS_ENDPOINT": "http://127.0.0.1:1",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "localstack.up"], env=environment, capture_output=True, timeout=60, check=False
    )
    sign = "✓" if encoding == "utf-8" else "\\u2713"
    assert ended.stdout.decode(encoding).startswith(f"{sign} Source: "), ended.stderr.decode(encoding)
    assert "no local AWS answers at http://127.0.0.1:1" in ended.stderr.decode(encoding)
