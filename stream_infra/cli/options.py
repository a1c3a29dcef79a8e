"""What commands share, so that it is spelled and explained alike everywhere: options, progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

Aws = Annotated[
    bool,
    typer.Option(
        "--aws",
        envvar="STOCK_MONITOR_AWS",
        help="Talk to the monitor deployed on AWS; without it only to the one on this machine.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON for a program instead of text for a person.")
]


@contextmanager
def working(what: str, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show on a terminal what is being done; the function given shows the next step."""
    from stream_infra.cli.text import console  # noqa: PLC0415  --help must not pay for it

    errors = console(errors=True)
    if quiet or not errors.is_terminal:
        yield lambda _: None
        return
    with errors.status(f"{what} …") as status:
        yield lambda text: status.update(f"{text} …")
