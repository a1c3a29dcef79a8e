"""Start of every command: Ctrl-C, SIGTERM and SIGHUP end it alike, even while it imports what it needs."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from importlib import import_module
from types import FrameType
from typing import NoReturn

_INTERRUPTED = 128 + signal.SIGINT
_FINAL = (signal.SIGTERM, signal.SIGHUP)


def main(module: str = "stream_infra.cli.main") -> NoReturn:
    """Run the `main()` of a module; a signal is a KeyboardInterrupt there, and then ends the process.

    It ends by the signal itself: a shell sees 130, 143 or 129, and ends its loop too.
    """
    received: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if number in _FINAL:
            for final in _FINAL:  # `make` passes on what its whole group has received already
                signal.signal(final, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, *_FINAL):
        if signal.getsignal(number) != signal.SIG_IGN:  # as `nohup` wants it
            signal.signal(number, interrupt)
    code: object = _INTERRUPTED
    try:
        code = import_module(module).main()
    except KeyboardInterrupt:
        pass  # before the command had begun
    except SystemExit as end:
        code = end.code
    if received and (code == _INTERRUPTED or received[-1] in _FINAL):
        with contextlib.suppress(OSError, ValueError):  # a terminal that is gone
            sys.stdout.flush()
        signal.signal(received[-1], signal.SIG_DFL)
        os.kill(os.getpid(), received[-1])
    sys.exit(code)  # type: ignore[arg-type]  # None too


if __name__ == "__main__":
    main(sys.argv.pop(1))
