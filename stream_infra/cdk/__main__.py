"""Synthesizes a deployment of `monitor.toml` for the CDK CLI (`cdk.json`).

Example::

cdk synth -c deployment=staging -c shards=2
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import aws_cdk as cdk

from producers.errors import MonitorError
from stream_infra.config import BUILT_HERE_CONTEXT, enter
from stream_infra.monitor_toml import read_context


def main() -> int:
    """Synthesize. Returns the exit code: 1 also if AWS would reject what the templates say."""
    app = cdk.App()
    context = app.node.get_all_context()
    try:
        config = read_context(context, Path.cwd())
        enter(config)
        from stream_infra.cdk.app import ROOT, build  # noqa: PLC0415  the names are those of the deployment now
        from stream_infra.cdk.bundling import bundles  # noqa: PLC0415
        from stream_infra.cdk.template_limits import judge  # noqa: PLC0415
        from stream_infra.names import STACKS  # noqa: PLC0415

        build(
            app, config, bundles(ROOT, config, "local" if context.get(BUILT_HERE_CONTEXT) else config.target)
        )
    except MonitorError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    assembly = Path(app.synth().directory)
    templates = {stack: json.loads((assembly / f"{stack}.template.json").read_text()) for stack in STACKS}
    problems = judge(templates)
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
