"""What a shell needs so that the runbook's commands reach one monitor: `eval "$(stock-monitor endpoints --shell)"`."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from urllib.parse import urlsplit

from stream_infra.operations.endpoints import Endpoints

ROOT = Path(__file__).resolve().parents[2]
_LOCAL_FUNCTIONS = """\
unset AWS_PROFILE AWS_SESSION_TOKEN
aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }
cdk() { (cd "$STOCK_MONITOR_ROOT" && .venv/bin/python -m localstack.cdk "$@"); }"""
_AWS_FUNCTIONS = """\
cdk() {
  (cd "$STOCK_MONITOR_ROOT" &&
    .venv/bin/python -m localstack.node npm exec -- cdk -c deployment="${STOCK_MONITOR_DEPLOYMENT:-prod}" "$@")
}"""
"""The CDK CLI that package-lock.json pins, for the deployment that the shell is for."""

_CURL = """\
curl() {
  case " $* " in
    *" $API"*) command curl -H "Authorization: $(stock-monitor login --print-token 2>/dev/null)" "$@" ;;
    *) command curl "$@" ;;
  esac
}"""
"""Shows the token of `stock-monitor login` to the API, and to nobody else."""


def exports(endpoints: Endpoints, account: str, region: str) -> str:
    """Variables and functions for bash: `$ACCOUNT`, `$API`, `$DASHBOARD`, `aws`, `cdk`.

    For the local monitor `aws` passes the endpoint on every call: AWS CLI before 2.13 knows no AWS_ENDPOINT_URL,
    version 1 heeds it for some services only, and what it does not heed would go to AWS itself. The credentials are
    ones that AWS would reject.
    """
    variables = {
        "STOCK_MONITOR_ROOT": str(ROOT),
        "ACCOUNT": account,
        "AWS_DEFAULT_REGION": region,
        "AWS_PAGER": "",
        "API": endpoints.api or "",
        "DASHBOARD": endpoints.dashboard or "",
    }
    if endpoints.aws is None:
        variables["STOCK_MONITOR_AWS"] = "1"
        if deployment := os.environ.get("STOCK_MONITOR_DEPLOYMENT"):
            variables["STOCK_MONITOR_DEPLOYMENT"] = deployment
        signed_in = [_CURL] if endpoints.sign_in else []
        return "\n".join([*_lines(variables), _AWS_FUNCTIONS, *signed_in])
    variables |= {
        "AWS_ENDPOINT_URL": endpoints.aws,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    if endpoints.directory is not None:
        variables |= {
            "STOCK_MONITOR_DIR": str(endpoints.directory.resolve()),
            "STOCK_MONITOR_AWS_PORT": str(urlsplit(endpoints.aws).port),
            "STOCK_MONITOR_PORT": str(urlsplit(endpoints.dashboard or "").port),
        }
    return "\n".join([*_lines(variables), _LOCAL_FUNCTIONS])


def _lines(variables: dict[str, str]) -> list[str]:
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
