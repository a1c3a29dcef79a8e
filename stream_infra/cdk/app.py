"""The CDK app: six stacks, the same on AWS and on the local AWS.

Run by the CDK CLI (`cdk.json`), for a deployment of `monitor.toml`. Example::

    cdk deploy --all -c deployment=staging -c shards=2
"""

from __future__ import annotations

import sys
from pathlib import Path

import aws_cdk as cdk

from producers.errors import MonitorError
from stream_infra import names
from stream_infra.cdk.bundling import bundles
from stream_infra.cdk.stacks.api import ApiStack
from stream_infra.cdk.stacks.dashboard import DashboardStack
from stream_infra.cdk.stacks.functions import LambdaStack
from stream_infra.cdk.stacks.observability import ObservabilityStack
from stream_infra.cdk.stacks.storage import StorageStack
from stream_infra.cdk.stacks.stream import StreamStack
from stream_infra.config import Config, read_context

ROOT = Path(__file__).resolve().parents[2]


def build(app: cdk.App, config: Config, code: dict[str, Path]) -> None:
    """Add all stacks to the app. `code` maps each function's name to its folder of code."""
    env = cdk.Environment(account=config.account, region=config.region)
    storage = StorageStack(app, "StorageStack", config=config, env=env)
    stream = StreamStack(app, "StreamStack", config=config, env=env)
    api = ApiStack(app, "ApiStack", config=config, env=env, bundle=code[names.API_HANDLER], storage=storage)
    dashboard = DashboardStack(
        app,
        "DashboardStack",
        config=config,
        env=env,
        site=ROOT / "dashboard",
        api=api.api,
        sign_in=api.sign_in,
    )
    functions = LambdaStack(
        app,
        "LambdaStack",
        config=config,
        env=env,
        bundles=code,
        storage=storage,
        stream=stream,
        dashboard_url=config.dashboard_url or dashboard.url,
    )
    ObservabilityStack(
        app,
        "ObservabilityStack",
        config=config,
        env=env,
        storage=storage,
        stream=stream,
        functions=functions,
        api=api,
    )


def main() -> int:
    """Synthesize for the CDK CLI. Returns the exit code."""
    app = cdk.App()
    try:
        config = read_context(app.node.get_all_context(), Path.cwd())
        build(app, config, bundles(ROOT, config))
    except MonitorError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
