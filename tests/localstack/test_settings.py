"""The local monitor's settings: checked by name, and nothing of the user's AWS gets through."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from localstack.settings import LocalError, aws_environment, read_settings


def test_ports_and_folder_come_from_the_environment() -> None:
    settings = read_settings(
        {"STOCK_MONITOR_PORT": "9001", "STOCK_MONITOR_AWS_PORT": "9002", "STOCK_MONITOR_DIR": "/x/y"}
    )
    assert (settings.origin, settings.aws) == ("http://127.0.0.1:9001", "http://127.0.0.1:9002")
    assert str(settings.directory) == "/x/y"


@pytest.mark.parametrize("port", ["80", "http", "70000", "-1", "8²", "9" * 5000], ids=lambda port: port[:5])
def test_a_bad_port_is_refused_by_name(port: str) -> None:
    with pytest.raises(LocalError, match=rf"STOCK_MONITOR_PORT={port}: .*1024 to 65535"):
        read_settings({"STOCK_MONITOR_PORT": port})


@pytest.mark.parametrize("url", ["127.0.0.1:4566", "http://[::1", "http://127.0.0.1:99999", " "])
def test_an_endpoint_that_is_no_address_is_rejected_by_name(url: str) -> None:
    with pytest.raises(
        LocalError, match=r"STOCK_MONITOR_AWS_ENDPOINT=.*: not a URL; expected http://host:port"
    ):
        read_settings({"STOCK_MONITOR_AWS_ENDPOINT": url})


def test_one_port_cannot_serve_both() -> None:
    with pytest.raises(LocalError, match="both 8080"):
        read_settings({"STOCK_MONITOR_AWS_PORT": "8080"})


def test_programs_see_dummy_credentials_and_the_local_endpoint_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "https://sqs.us-east-1.amazonaws.com")
    monkeypatch.setenv("CDK_DEFAULT_ACCOUNT", "123456789012")
    monkeypatch.setenv("NO_PROXY", "intranet")
    monkeypatch.delenv("no_proxy", raising=False)
    environment = aws_environment(read_settings({}))
    assert "AWS_PROFILE" not in environment
    assert "AWS_ENDPOINT_URL_SQS" not in environment
    assert "CDK_DEFAULT_ACCOUNT" not in environment
    assert environment["AWS_ACCESS_KEY_ID"] == "test"
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert environment["NO_PROXY"] == environment["no_proxy"] == "intranet,127.0.0.1,localhost"


def test_programs_have_a_folder_for_temporary_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The CDK CLI ended `make up` by a stack trace where that of TMPDIR was gone."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert Path(aws_environment(read_settings({}))["TMPDIR"]).is_dir()
