"""The command line: `python -m localstack.event_source_mapping`."""

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from localstack.event_source_mapping.checkpoints import Checkpoints, StateFileError
from localstack.event_source_mapping.clients import EndpointError, connect
from localstack.event_source_mapping.observer import Observer
from localstack.event_source_mapping.sender import Sender
from localstack.event_source_mapping.supervisor import Options, Supervisor

logger = logging.getLogger("localstack.event_source_mapping")

_LAST_METRICS_SECONDS = 2.0

_DESCRIPTION = """\
Run the Kinesis event source mappings deployed on a local AWS the way AWS runs them.

Reads every mapping's settings from the endpoint and honours them: batch size and window, parallelization
factor, partial batch responses, bisect, retries, record age, on-failure destinations (SQS, SNS, S3),
starting position, shard splits and merges. Mappings of other sources are left to the emulator.
"""

_EPILOG = """\
example:
  python -m localstack.event_source_mapping --endpoint-url http://127.0.0.1:4566 --include-disabled \\
      --state .local/event-source-mappings.json

Deploy the mappings disabled and pass --include-disabled where the emulator would poll enabled ones itself.
Credentials and region are taken from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, or are "test"
and us-east-1. Log lines go to stderr as `time level event key=value ...`. SIGTERM and Ctrl-C stop it.

exit codes: 0 stopped by SIGTERM, 130 by Ctrl-C, 1 an internal error, 2 wrong arguments.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal; gives the exit code."""
    arguments = _parser().parse_args(argv)
    _configure_logging()
    try:
        clients = connect(arguments.endpoint_url)
        checkpoints = Checkpoints(arguments.state)
    except (EndpointError, StateFileError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the answer to a wrong command line
        return 2
    options = Options(
        include_disabled=arguments.include_disabled,
        functions=frozenset(arguments.function),
        ready_file=arguments.ready_file,
    )
    observer = Observer(clients)
    sender = Sender(clients, observer.on_invocation, observer.on_undelivered)
    supervisor = Supervisor(options, clients, checkpoints, sender)
    observer.start(supervisor.driven_functions)
    supervisor.watch(arguments.endpoint_url)
    code = _run(supervisor)
    observer.stop(_LAST_METRICS_SECONDS)
    return code


def _run(supervisor: Supervisor) -> int:
    codes: list[int] = []

    def finish(code: int) -> None:
        codes.append(code)
        supervisor.stop()

    def crashed(arguments: threading.ExceptHookArgs) -> None:
        name = arguments.thread.name if arguments.thread else "?"
        logger.critical("internal_error thread=%s", name, exc_info=arguments.exc_value)
        finish(1)

    threading.excepthook = crashed
    signal.signal(signal.SIGTERM, lambda _number, _frame: finish(0))
    signal.signal(signal.SIGINT, lambda _number, _frame: finish(130))
    supervisor.run()
    return codes[0] if codes else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m localstack.event_source_mapping",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--endpoint-url", required=True, metavar="URL", help="the local AWS, http://host:port"
    )
    parser.add_argument(
        "--include-disabled",
        action="store_true",
        help="run disabled mappings, too (the emulator keeps its own poller out of those)",
    )
    parser.add_argument(
        "--state", type=Path, metavar="FILE", help="keep checkpoints here, to go on after a restart"
    )
    parser.add_argument(
        "--function",
        action="append",
        default=[],
        metavar="NAME",
        help="only mappings of this function (may be repeated)",
    )
    parser.add_argument(
        "--ready-file",
        type=Path,
        metavar="PATH",
        help='written as soon as shards are polled: {"pid": ..., "mappings": [...]}',
    )
    return parser


def _configure_logging() -> None:
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger("localstack.event_source_mapping")
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    root.propagate = False
