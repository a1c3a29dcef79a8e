"""Functions as processes: what LocalStack's executor has to do, without LocalStack."""

import fcntl
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localstack.node import find_node
from localstack.settings import LocalError
from tests.e2e.hostmode.executor.process_executor.environment import Environment, Function, StartError
from tests.e2e.hostmode.server import environment, running
from tests.e2e.on_localstack import describe, local_aws

# Stands for `awslambdaric`, which is only in LocalStack's environment: the same protocol in a few lines.
CLIENT = """
import http.client, importlib, json, os, sys, traceback
module, function = sys.argv[-1].split(".")
address, version = os.environ["AWS_LAMBDA_RUNTIME_API"], "/2018-06-01/runtime/"

def call(method, path, body=None):
    connection = http.client.HTTPConnection(address)
    connection.request(method, version + path, body)
    answer = connection.getresponse()
    return answer, answer.read()

try:
    handler = getattr(importlib.import_module(module), function)
except Exception as error:
    call("POST", "init/error", json.dumps({"errorType": type(error).__name__}))
    sys.exit(1)
while True:
    answer, event = call("GET", "invocation/next")
    path = "invocation/" + answer.headers["Lambda-Runtime-Aws-Request-Id"]
    try:
        call("POST", path + "/response", json.dumps(handler(json.loads(event), None)))
    except Exception as error:
        call("POST", path + "/error", json.dumps({"errorType": type(error).__name__}))
"""
ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
Make = Callable[..., Environment]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Environments whose handler has the given body."""
    made: list[Environment] = []
    if importlib.util.find_spec("awslambdaric") is None:
        (tmp_path / "awslambdaric.py").write_text(CLIENT)

    def build(body: str, timeout_seconds: int = 5, **variables: str) -> Environment:
        (tmp_path / "index.py").write_text(f"import os, sys, time\n\ndef handler(event, _):\n    {body}\n")
        function = Function(tmp_path, {"_HANDLER": "index.handler", **variables}, timeout_seconds, 128)
        made.append(Environment(function, sys.executable))
        return made[-1]

    yield build
    for each in made:
        each.close()


def invoke(environment: Environment, event: object, request_id: str = "1") -> tuple[Any, bool]:
    answer = environment.invoke(request_id, ARN, json.dumps(event).encode())
    return json.loads(answer.body), answer.is_error


def test_events_go_to_one_warm_process_that_sees_only_the_functions_variables(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_MACHINE", "hidden")
    function = make(
        "return [event, os.getpid(), os.environ.get('OF_THE_MACHINE'), os.environ['TABLE']]", TABLE="t"
    )
    function.start()
    (first, pid, hidden, table), is_error = invoke(function, {"n": 1})
    assert (first, hidden, table, is_error) == ({"n": 1}, None, "t", False)
    assert invoke(function, {"n": 2}, "2")[0][:2] == [{"n": 2}, pid]


def test_the_log_has_what_the_function_wrote_and_lambdas_lines(make: Make) -> None:
    function = make("print('seen', event); return None")
    log = function.invoke("7", ARN, b"5").log
    assert log.startswith(
        "START RequestId: 7 Version: $LATEST\nseen 5\nEND RequestId: 7\nREPORT RequestId: 7\t"
    )


def test_an_exception_is_an_error_and_the_process_stays(make: Make) -> None:
    function = make("return 1 / event")
    assert invoke(function, 0) == ({"errorType": "ZeroDivisionError"}, True)
    assert invoke(function, 2, "2") == (0.5, False)


def test_a_crash_is_an_error_and_the_next_invocation_gets_a_new_process(make: Make) -> None:
    function = make("return os._exit(3) if event == 'crash' else event")
    error, is_error = invoke(function, "crash")
    assert (error["errorType"], is_error) == ("Runtime.ExitError", True)
    assert "exit status 3" in error["errorMessage"]
    assert invoke(function, "well", "2") == ("well", False)


def test_a_process_that_dies_between_invocations_takes_no_event_with_it(make: Make) -> None:
    function = make("return os.getpid()")
    pid, _ = invoke(function, None)
    os.kill(pid, signal.SIGKILL)
    function._process.wait()  # type: ignore[union-attr]
    again, is_error = invoke(function, None, "2")
    assert not is_error
    assert again != pid


def test_a_timeout_ends_the_process_and_all_it_started(make: Make) -> None:
    function = make(
        "import subprocess; child = subprocess.Popen(['sleep', '60']); print(child.pid); time.sleep(60)", 2
    )
    answer = function.invoke("1", ARN, b"null")
    assert json.loads(answer.body)["errorType"] == "Sandbox.Timedout"
    assert "1 Task timed out after 2.00 seconds" in answer.log
    child = next(line for line in answer.log.splitlines() if line.isdigit())
    state = subprocess.run(["ps", "-o", "stat=", child], capture_output=True, text=True, check=False).stdout
    assert state[:1] in {"", "Z"}


def test_code_that_cannot_be_imported_is_an_error_at_start_with_its_reason(make: Make) -> None:
    function = make("pass\nimport nothing_of_this_name")
    with pytest.raises(StartError) as caught:
        function.start()
    assert json.loads(caught.value.payload) == {"errorType": "ModuleNotFoundError"}


def test_localstack_sees_nothing_of_the_users_aws_and_listens_on_loopback(tmp_path: Path) -> None:
    machine = {
        "AWS_PROFILE": "live",
        "LOCALSTACK_AUTH_TOKEN": "x",
        "PYTHONPATH": "/x",
        "PATH": "/bin",
        "HOME": "/h",
    }
    variables = environment(machine, tmp_path, 4599)
    assert not {"AWS_PROFILE", "LOCALSTACK_AUTH_TOKEN", "PYTHONPATH"} & variables.keys()
    assert variables["HOME"] == "/h"
    assert variables["GATEWAY_LISTEN"] == "127.0.0.1:4599"


@pytest.mark.parametrize("listen", ["0", '0, "0.0.0.0"', '{port: 0, host: "0.0.0.0"}', "{port: 0}"])
def test_its_node_programs_are_kept_on_loopback(listen: str, tmp_path: Path) -> None:
    options = environment({"PATH": os.environ["PATH"]}, tmp_path, 4599)["NODE_OPTIONS"]
    program = (
        'const server = require("net").createServer();'
        f"server.listen({listen.rstrip()});"
        'server.on("listening", () => { console.log(server.address().address); server.close(); });'
    )
    done = subprocess.run(
        [str(find_node().binary), "-e", program],
        env={"PATH": os.environ["PATH"], "NODE_OPTIONS": options},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert done.stdout.strip() == "127.0.0.1"


def test_two_never_run_in_one_folder(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LocalError, match="already"), running(tmp_path, 4599):
            pass


def test_the_suite_asks_for_a_localstack_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LocalError, match="LOCALSTACK_HOST_MODE=1"), local_aws({}):
        pass


def test_the_suite_never_runs_on_aws() -> None:
    given = {"AWS_ENDPOINT_URL": "https://kinesis.us-east-1.amazonaws.com"}
    with pytest.raises(LocalError, match="is AWS"), local_aws(given):
        pass


def test_the_suite_says_what_it_runs_on(ministack_url: str) -> None:
    assert describe(ministack_url)
    with pytest.raises(LocalError, match="no local AWS answers"):
        describe("http://127.0.0.1:9")
