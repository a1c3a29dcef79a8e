"""Synthesizes a deployment of `monitor.toml` for the CDK CLI (`cdk.json`).

Example::

cdk synth -c deployment=staging -c shards=2
"""

from __future__ import annotations

import sys
from pathlib import Path

import aws_cdk as cdk

from producers.errors import MonitorError
from stream_infra.config import enter, read_context


def main() -> int:
    """Synthesize. Returns the exit code."""
    app = cdk.App()
    try:
        config = read_context(app.node.get_all_context(), Path.cwd())
        enter(config)
        from stream_infra.cdk.app import ROOT, build  # noqa: PLC0415  the names are those of the deployment now
        from stream_infra.cdk.bundling import bundles  # noqa: PLC0415

        build(app, config, bundles(ROOT, config))
    except MonitorError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
