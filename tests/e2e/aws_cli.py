"""The AWS CLI, loaded once: the runbook's test calls it 150 times, and its start takes six times as long as a call.

serve SOCKET: run by the CLI's own Python; each call is a fork that has the caller's arguments, folder and terminal.
call SOCKET ARGUMENTS: what stands in for `aws` on the PATH.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

_SIZE = 1 << 20


def serve(path: str) -> None:
    """Answer calls until the socket's file is gone or the process is ended."""
    import awscli.clidriver  # type: ignore[import-not-found]

    awscli.clidriver.create_clidriver()  # so that a fork has loaded all that it needs
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                os._exit(_run(connection))
            connection.close()


def _run(connection: socket.socket) -> int:
    import awscli.clidriver

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, descriptors, _, _ = socket.recv_fds(connection, _SIZE, 3)
    call = json.loads(message)
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
    os.chdir(call["folder"])
    own = os.environ["AWS_DATA_PATH"]  # where the CLI keeps its own data; set when it is loaded
    os.environ.clear()
    os.environ.update({**call["environment"], "AWS_DATA_PATH": own})
    try:
        code = awscli.clidriver.create_clidriver().main(call["arguments"])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    connection.send(str(code).encode())
    return 0


def call(path: str, arguments: list[str]) -> int:
    """Have a call run; answers with its exit code."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SIZE)
        connection.connect(path)
        folder = os.getcwd()  # noqa: PTH109  pathlib takes as long to load as all the rest
        request = {"arguments": arguments, "folder": folder, "environment": dict(os.environ)}
        socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2])
        answer = connection.recv(16)
    return int(answer) if answer else 255


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    sys.exit(call(sys.argv[2], sys.argv[3:]))
