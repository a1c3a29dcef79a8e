"""The runner as a program: help, rejections, signals, and a restart that goes on where it was."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.localstack.conftest import Lab, Runner

ROOT = Path(__file__).parents[2]


def program(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "localstack.event_source_mapping", *arguments],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_help_has_an_example_and_the_exit_codes() -> None:
    done = program("--help")
    assert done.returncode == 0
    assert "python -m localstack.event_source_mapping --endpoint-url http://127.0.0.1:4566" in done.stdout
    assert "130 by Ctrl-C" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--endpoint-url"),
        (["--endpoint-url", "localhost"], "http://host:port"),
        (["--endpoint-url", "https://kinesis.us-east-1.amazonaws.com"], "is AWS"),
    ],
)
def test_a_wrong_command_line_is_rejected_with_its_reason(arguments: list[str], said: str) -> None:
    done = program(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_state_file_is_named_and_left_alone(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text('{"version": 1')
    done = program("--endpoint-url", "http://127.0.0.1:9", "--state", str(state))
    assert done.returncode == 2
    assert str(state) in done.stderr
    assert state.read_text() == '{"version": 1'


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_after_a_restart_it_goes_on_where_it_was(
    own_lab: Lab, start_runner: Callable[..., Runner], tmp_path: Path, end: signal.Signals
) -> None:
    name, state = f"esm-restart-{end.name.lower()}", tmp_path / "state.json"
    stream = own_lab.stream(name)
    own_lab.function(name, "return None")
    uuid = own_lab.mapping(name, stream)
    first = start_runner(own_lab, "--state", str(state))
    own_lab.put(name, ("key", b"one"))

    def payloads() -> list[str]:
        return [
            record["kinesis"]["data"]
            for delivery in own_lab.deliveries(name)
            for record in delivery["event"]["Records"]
        ]

    own_lab.eventually(lambda: len(payloads()) == 1)
    # Of this mapping: the runner drives those of the other tests as well.
    own_lab.eventually(lambda: "after" in json.dumps(json.loads(state.read_text())["mappings"][uuid]))
    assert first.stop(end) == (0 if end == signal.SIGTERM else -9)
    own_lab.put(name, ("key", b"two"))
    start_runner(own_lab, "--state", str(state))
    own_lab.eventually(lambda: len(payloads()) == 2)
    assert payloads() == ["b25l", "dHdv"]


def test_only_the_chosen_functions_mappings_are_run(
    own_lab: Lab, start_runner: Callable[..., Runner]
) -> None:
    uuids = {}
    for name in ("esm-chosen", "esm-not-chosen"):
        stream = own_lab.stream(name)
        own_lab.function(name, "return None")
        uuids[name] = own_lab.mapping(name, stream)
        own_lab.put(name, ("key", b"record"))
    runner = start_runner(own_lab, "--function", "esm-chosen")
    own_lab.eventually(lambda: own_lab.deliveries("esm-chosen"))
    own_lab.await_polling(uuids["esm-chosen"])
    assert json.loads(own_lab.ready_file.read_text()) == {
        "pid": runner.process.pid,
        "mappings": [uuids["esm-chosen"]],
    }
    assert not own_lab.deliveries("esm-not-chosen")
    assert runner.stop(signal.SIGINT) == 130
    assert not own_lab.ready_file.exists()


def test_a_mapping_whose_stream_is_gone_holds_up_no_other(
    own_lab: Lab, start_runner: Callable[..., Runner]
) -> None:
    uuids = {}
    for name in ("esm-sound", "esm-orphan"):
        stream = own_lab.stream(name)
        own_lab.function(name, "return None")
        uuids[name] = own_lab.mapping(name, stream)
    own_lab.aws.client("kinesis").delete_stream(StreamName="esm-orphan")
    runner = start_runner(own_lab)
    own_lab.await_polling(uuids["esm-sound"])
    own_lab.stream("esm-orphan")
    own_lab.await_polling(*uuids.values())
    assert runner.log.read_text().count(f"shards_unknown mapping={uuids['esm-orphan']}") == 1
