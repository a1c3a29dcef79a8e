"""schemathesis against the API behind the local front door, on moto's stores: what by hand runs with more cases."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest
import uvicorn
from aws_lambda_powertools.utilities.typing import LambdaContext
from starlette.applications import Starlette

from api.app import create_app
from api.event import normalized
from api.services import Services
from consumers.contracts.anomaly import KINDS, SEVERITIES
from localstack.api_stage import ApiStage
from tests.api.client import Table

ROOT = Path(__file__).parents[2]
CASES_PER_OPERATION = 8
FEWEST = 300


def gateway(services: Services) -> Callable[[httpx.Request], httpx.Response]:
    """What API Gateway does: a request is an event, and a result is an answer."""
    app = create_app(services)

    def respond(request: httpx.Request) -> httpx.Response:
        event = {
            "path": request.url.path,
            "httpMethod": request.method,
            "headers": dict(request.headers),
            "multiValueQueryStringParameters": parse_qs(request.url.query.decode(), keep_blank_values=True),
            "body": request.content.decode(errors="replace") or None,
        }
        result = app.resolve(normalized(event), LambdaContext())
        headers = [(name, value) for name, values in result["multiValueHeaders"].items() for value in values]
        body = httpx.ByteStream(result["body"].encode())  # still to be read, as it is off the wire
        return httpx.Response(result["statusCode"], headers=headers, stream=body)

    return respond


@pytest.fixture
def address(services: Services, table: Table) -> Iterator[str]:
    """A front door on a free port with some anomalies behind it, at the clock's own time."""
    now_ms = time.time_ns() // 1_000_000
    for n, kind in enumerate(KINDS):
        table.put("AAPL", now_ms - n * 60_000, kind, severity=SEVERITIES[n % 4])
    services = replace(services, now_ms=lambda: time.time_ns() // 1_000_000)
    client = httpx.AsyncClient(
        base_url="http://stage", transport=httpx.MockTransport(gateway(services)), trust_env=False
    )
    door = ApiStage(Starlette(), client, "/api")
    server = uvicorn.Server(uvicorn.Config(door, log_level="warning", lifespan="off"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def test_schemathesis_finds_nothing(address: str) -> None:
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--no-color",
        "--config-file", "tests/api/schemathesis.toml",
        "run", f"{address}/api/openapi.json", "--wait-for-schema=10",
        "--continue-on-failure", "--generation-deterministic", f"--max-examples={CASES_PER_OPERATION}",
    ]  # fmt: skip
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert result.returncode == 0, result.stdout + result.stderr
    generated = re.search(r"(\d+) generated, (\d+) passed", result.stdout)
    assert generated, result.stdout
    assert generated[1] == generated[2]
    assert int(generated[1]) >= FEWEST
