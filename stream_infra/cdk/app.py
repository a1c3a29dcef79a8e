"""The CDK app: six stacks, the same on AWS and on the local AWS.

`stream_infra.cdk.__main__` is what the CDK CLI runs.
"""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk

from stream_infra import names
from stream_infra.cdk.stacks.api import ApiStack
from stream_infra.cdk.stacks.dashboard import DashboardStack
from stream_infra.cdk.stacks.functions import LambdaStack
from stream_infra.cdk.stacks.observability import ObservabilityStack
from stream_infra.cdk.stacks.storage import StorageStack
from stream_infra.cdk.stacks.stream import StreamStack
from stream_infra.config import Config, enter

ROOT = Path(__file__).resolve().parents[2]


def build(app: cdk.App, config: Config, code: dict[str, Path]) -> None:
    """Add all stacks to the app. `code` maps each function's name to its folder of code.

    Raises
    ------
    ConfigError
        This process works for the deployment with another prefix.
    """
    enter(config)
    env = cdk.Environment(account=config.account, region=config.region)
    storage = StorageStack(app, names.STORAGE_STACK, config=config, env=env)
    stream = StreamStack(app, names.STREAM_STACK, config=config, env=env)
    api = ApiStack(
        app, names.API_STACK, config=config, env=env, bundle=code[names.API_HANDLER], storage=storage
    )
    dashboard = DashboardStack(
        app,
        names.DASHBOARD_STACK,
        config=config,
        env=env,
        site=ROOT / "dashboard",
        api=api.api,
        sign_in=api.sign_in,
    )
    functions = LambdaStack(
        app,
        names.LAMBDA_STACK,
        config=config,
        env=env,
        bundles=code,
        storage=storage,
        stream=stream,
        dashboard_url=config.dashboard_url or dashboard.url,
    )
    ObservabilityStack(
        app,
        names.OBSERVABILITY_STACK,
        config=config,
        env=env,
        storage=storage,
        stream=stream,
        functions=functions,
        api=api,
    )
