"""The watch list in force, as the scanner reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from api.problems import Problem
from producers.watch_list import WatchListError, WatchListReader, WatchListWriter

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


class WatchedTickers:
    """Return the tickers that the scanner polls, in their order; none where the list names none."""

    def __init__(self, reader: WatchListReader) -> None:
        self._reader = reader

    def __call__(self, *, again: bool = False) -> list[str]:
        """Return the tickers, at most half a minute old unless they are read `again`.

        What is not written as a ticker is left out (the scan reports it).
        """
        try:
            return list(self._reader(again=again).symbols)
        except WatchListError:
            return []


class _Validated(msgspec.Struct):
    """What stock-scanner returns for {"validate": [...]}."""

    rejected: dict[str, str] = {}
    problem: str = ""


class WatchListEditor:
    """Changes the watch list, after its source was asked whether it quotes what is new.

    Parameters
    ----------
    functions, scanner
        A client of Lambda and the name of the scanner, which has the source and its keys.
    writer
        Where the list is written.
    """

    def __init__(self, functions: LambdaClient, scanner: str, writer: WatchListWriter) -> None:
        self._functions = functions
        self._scanner = scanner
        self._writer = writer

    def rejected(self, tickers: Sequence[str]) -> dict[str, str]:
        """Return those tickers that the source does not quote, with the reason.

        Raises
        ------
        Problem
            503 if the source cannot be queried; says why.
        """
        payload = json.dumps({"validate": list(tickers)})
        answer = self._functions.invoke(FunctionName=self._scanner, Payload=payload)
        try:
            said = msgspec.json.decode(answer["Payload"].read(), type=_Validated)
        except msgspec.MsgspecError:
            said = _Validated(problem="stock-scanner failed")
        if "FunctionError" in answer or said.problem:
            why = said.problem or "stock-scanner failed"
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"the tickers cannot be validated: {why}; unchecked true takes them all the same",
            )
        return said.rejected

    def write(self, tickers: Sequence[str], note: str) -> None:
        """Write the list, in force within a minute; `note` says who changed what."""
        self._writer.write(tickers, note)
