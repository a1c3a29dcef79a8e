"""Runs the CDK CLI for the local monitor: ``python -m localstack.cdk diff``.

`make up` deploys by itself; this is for whoever wants to look or to practise, as with `cdk` on AWS.
"""

from __future__ import annotations

import os
import sys

from localstack.deploy import cdk_environment, context
from localstack.node import cdk, find_node
from localstack.settings import ROOT, read_settings
from localstack.source import configure
from producers.errors import MonitorError


def main(arguments: list[str]) -> int:
    """Run `cdk …` with the local monitor's settings. Returns the exit code."""
    try:
        settings = read_settings()
        chosen = context(configure(settings, os.environ))
        command = [str(find_node().binary), str(cdk()), *arguments, *chosen, "--no-notices"]
        command += ["--output", str(settings.directory / "cdk.out.by-hand")]
        environment = cdk_environment(settings)
    except MonitorError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    os.chdir(ROOT)
    return os.execve(command[0], command, environment)  # noqa: S606  in place of this program: Ctrl-C is the CDK's alone


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
