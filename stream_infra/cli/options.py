"""The options that commands share, so that they are spelled and explained alike everywhere."""

from __future__ import annotations

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
