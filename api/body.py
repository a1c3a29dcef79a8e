"""The body of a request: how large it may be, and that it is JSON."""

from __future__ import annotations

import json
from typing import Any

from api.problems import Problem, bad_request
from producers.errors import first_repeated, shown

MAX_BYTES = 16_384
"""A reason of 200 characters and an instant take less than 2 kB, even written as escapes."""


def parse(text: str) -> Any:
    """Return the JSON value in a body.

    Raises
    ------
    Problem
        400 for a body that is too large, is nested too deeply, holds a number of thousands of digits, holds a name
        twice, or is not JSON.

    Examples
    --------
    >>> parse('{"until": "2026-11-24T16:00:00Z"}')
    {'until': '2026-11-24T16:00:00Z'}
    >>> parse("[" * 16_000)
    Traceback (most recent call last):
        ...
    api.problems.Problem: body: body is nested too deeply; must be JSON of a few levels
    """
    if (size := len(text.encode(errors="replace"))) > MAX_BYTES:
        raise Problem.bad_request(
            f"body has {size:,} bytes", where="body", allowed=f"JSON of at most {MAX_BYTES:,} bytes"
        )
    try:
        return json.loads(text, object_pairs_hook=_with_each_name_once)
    except RecursionError:
        raise Problem.bad_request(
            "body is nested too deeply", where="body", allowed="JSON of a few levels"
        ) from None
    except ValueError as error:  # also Python's own: a number of more than 4,300 digits
        raise bad_request("body", text, f"JSON ({error})") from None


def _with_each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if (twice := first_repeated(pairs)) is not None:
        raise Problem.bad_request(
            f"name {shown(twice)} stands twice", where="body", allowed="a name that is there once"
        )
    return dict(pairs)
