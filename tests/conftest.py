"""For all tests: a browser for those that ask, Ctrl-C that reaches what they start, and examples without a clock."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.httpsession import URLLib3Session
from botocore.loaders import Loader
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser, sync_playwright
from xdist.scheduler import LoadScopeScheduling

# jsonschema would build the grammars of IRIs when it is imported, for seconds; no schema of ours has one.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]


def pytest_configure() -> None:
    """A shell starts what it runs in the background with SIGINT ignored, and children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Python looks at every object again and again: with so many that was a third of the processor time of all tests,
    # and a quarter of that of collecting them.
    gc.set_threshold(50_000, 20, 100)
    # The tests share their cores with others and with browsers: how long one example takes says nothing. And whether
    # they pass is to depend on the change alone, so each run has the same examples; EXPLORE draws others.
    settings.register_profile(
        "shared",
        settings.default,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        derandomize="EXPLORE" not in os.environ,
    )
    settings.load_profile("shared")
    # Every test with an AWS of its own makes sessions anew, and reading the models of services took most of its time.
    # Moto's loader has a folder more: what it adds to a model is not seen by clients.
    for name in ("list_available_services", "list_api_versions", "load_service_model", "load_data_with_path"):
        setattr(Loader, name, _once_a_folder(getattr(Loader, name)))
    URLLib3Session.send = _not_to_aws(URLLib3Session.send)  # type: ignore[method-assign, assignment]


def pytest_collection_finish() -> None:
    """Never look for unreachable objects among what importing and collecting left."""
    gc.collect()
    gc.freeze()


def _not_to_aws(
    send: Callable[[URLLib3Session, AWSRequest | AWSPreparedRequest], AWSResponse],
) -> Callable[[URLLib3Session, AWSRequest | AWSPreparedRequest], AWSResponse]:
    """Let nothing reach AWS: a server's thread may outlive the test whose moto answered it."""

    def sent(session: URLLib3Session, request: AWSRequest | AWSPreparedRequest) -> AWSResponse:
        host = urlsplit(str(request.url)).hostname or ""
        if host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws")):
            raise AssertionError(f"a test calls {host}: AWS is to be answered by moto or a server here")
        return send(session, request)

    return sent


def _once_a_folder(load: Callable[..., Any]) -> Callable[..., Any]:
    """Read botocore's folders once, not once a session."""
    known: dict[tuple[object, ...], Any] = {}

    def loaded(loader: Loader, *arguments: str, **named: str) -> Any:
        key = (*loader.search_paths, *arguments, *named.values())
        if key not in known:
            known[key] = load(loader, *arguments, **named)
        return known[key]

    return loaded


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process is left alone with it at the end."""
    items.sort(key=lambda item: [not item.nodeid.startswith(prefix) for prefix in _LONGEST])


_TOGETHER = ("tests/e2e/test_runbook.py", "tests/e2e/", "tests/localstack/", "tests/stream_infra/cdk/")
"""What shares what a session makes once: a running monitor, a local AWS, synthesized stacks.

The runbook has a monitor of its own: with one for all, whoever has it would be at work when all others are done.
"""
_LONGEST = (
    *_TOGETHER,
    "tests/deployment/",
    "tests/packaging/",
    "tests/consumers/detector/test_exactly_once.py",
)


class _Files(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types
    """What `pytest -n` runs beside each other: files, and the folders of `_TOGETHER` whole."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((folder for folder in _TOGETHER if file.startswith(folder)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Give pytest-xdist that order."""
    return _Files(config, log)


BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


@contextlib.contextmanager
def running_chromium() -> Iterator[Browser]:
    """Run a headless Chromium: the one named by CHROMIUM, else the first on the PATH.

    The shell without a window of its own takes two thirds of the processor time of the others.
    """
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not path:
        pytest.fail("no Chromium: install one, or let CHROMIUM name its executable")
    arguments = ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments, chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium.

    Of a module, not of the session: while it is there, an event loop runs, and no other test could run its own.
    """
    with running_chromium() as browser:
        yield browser
