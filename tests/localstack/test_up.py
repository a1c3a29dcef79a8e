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
@pytest.mark.parametrize("module", ["localstack.up", "localstack.down"])
def test_a_terminal_that_lacks_a_character_gets_its_escape(module: str, encoding: str) -> None:
    """They ended with a UnicodeEncodeError, as where no locale is set for a connection by SSH."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "STOCK_MONITOR_PORT": "none"}
    ended = subprocess.run(
        [sys.executable, "-m", module], env=environment, capture_output=True, timeout=60, check=False
    )
    said = ended.stderr.decode(encoding)
    sign = "✗" if encoding == "utf-8" else "\\u2717"
    assert (ended.returncode, said[: len(sign) + 1]) == (1, f"{sign} ")
    assert "STOCK_MONITOR_PORT" in said
