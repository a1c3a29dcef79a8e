"""That the local AWS says whether it could save its data."""

from __future__ import annotations

import errno
import logging
from functools import partial
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from localstack.saved_state import SaveErrors
from localstack.saving import Saving, save_by_a_fork
from stream_infra.operations.programs import SAVING


def said(saving: Saving) -> object:
    return TestClient(saving).get(SAVING).json()


def test_the_last_save_is_what_counts(tmp_path: Path) -> None:
    full = True

    def save(_: Path) -> str:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device", "/x/last-saved.partial")
        return ""

    saving = Saving(PlainTextResponse("passed on"), tmp_path, save)
    assert said(saving) == {"problem": ""}
    saving.now()
    assert said(saving) == {"problem": "No space left on device (/x/last-saved.partial)"}
    full = False
    saving.now()
    assert said(saving) == {"problem": ""}
    assert TestClient(saving).get("/else").text == "passed on"


@pytest.mark.parametrize("problem", ["", "kinesis.json: Disk quota exceeded"])
def test_a_fork_says_what_the_emulator_could_not_write(tmp_path: Path, problem: str) -> None:
    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        assert (await receive())["type"] == "lifespan.shutdown"
        if problem:
            logging.getLogger("test.persistence").error(problem)

    errors = SaveErrors()
    logging.getLogger("test.persistence").addHandler(errors)
    (tmp_path / "aws" / "state").mkdir(parents=True)
    assert save_by_a_fork(app, errors, tmp_path) == problem
    assert errors.messages == []


def test_a_fork_that_dies_is_no_save(tmp_path: Path) -> None:
    async def dies(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError

    save = partial(save_by_a_fork, dies, SaveErrors())
    saving = Saving(app_of_none, tmp_path, save)
    saving.now()
    assert said(saving) == {"problem": "its fork ended with 2"}


async def app_of_none(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError
