"""Functions write logs as far as their roles let Lambda do it, as on AWS; MiniStack 1.5.33 writes them always.

"As long as your function's execution role has the necessary permissions, Lambda captures logs for all requests handled
by your function and sends them to Amazon CloudWatch Logs" (Lambda guide, "Working with Lambda function logs"). Without
them the function runs all the same, and nothing says so but the log that is missing.
"""

from __future__ import annotations

from typing import Any

from ministack.services import lambda_svc

from localstack.rights import Rights


def write_logs_by_the_role(rights: Rights) -> None:
    """Let MiniStack write a function's log where its role has the rights to it, and nothing where it has not."""
    write = lambda_svc._emit_lambda_logs

    def judged(function: dict[str, Any], *arguments: Any, **more: Any) -> None:
        config = function.get("config") or function
        group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config['FunctionName']}"
        if rights.may_write_logs(config["Role"], group):
            write(function, *arguments, **more)

    lambda_svc._emit_lambda_logs = judged
