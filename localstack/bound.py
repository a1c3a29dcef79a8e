"""Runs a program that ends when its parent does, however that ends: ``python -m localstack.bound COMMAND …``.

Whoever kills `make up` must not leave a deployment behind that goes on by itself. A parent's death reaches no child:
the child's parent is another process then, which this program looks for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

_LOOK_SECONDS = 0.5
_END_SECONDS = 5.0


def main(command: list[str]) -> int:
    """Run the command until it or the parent ends. Returns its exit code."""
    parent = os.getppid()
    if os.getpgrp() != os.getpid():
        os.setsid()  # whoever kills all of the parent's group at once leaves this one to end the rest
    child = subprocess.Popen(command, start_new_session=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        while True:
            try:
                return child.wait(_LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                if os.getppid() != parent:
                    return 128 + signal.SIGHUP
    finally:
        _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the program and all that it started, if it still runs."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is not None:
            return
        os.killpg(child.pid, number)
        try:
            child.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
