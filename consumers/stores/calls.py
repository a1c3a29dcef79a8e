"""How the adapters call AWS: how long, how often, and what a failure is."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from consumers.contracts.errors import IOFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# A call returns in milliseconds or is better made again; all attempts of a call (3 s connect + read each,
# backoff between them below 1 + 2 s) end well before the 60 s of the function, so that what was done so far
# is reported instead of being cut off. Checking parameters that our own code makes and AWS checks too, and putting
# the client's name together anew, would be a third of the processor time of a call.
CONFIG = Config(
    connect_timeout=1,
    read_timeout=3,
    retries={"mode": "standard", "total_max_attempts": 3},
    tcp_keepalive=True,
    parameter_validation=False,
    user_agent="stock-detector",
)


class OnFirstUse:
    """A client that is made at its first call: not every process makes one."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._client, operation)

    @cached_property
    def _client(self) -> Any:
        make: Any = boto3.client
        return make(self._service, config=CONFIG)


CONDITION_FAILED = "ConditionalCheckFailedException"
BACKOFF_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Waits between attempts at what a batch call left undone."""


@contextmanager
def io(what: str) -> Iterator[None]:
    """Turn errors of AWS and of the network into `IOFailedError`, naming what was being done."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise IOFailedError(f"{what}: {error}") from error


def code_of(error: ClientError) -> str:
    """Return the error code in a response of AWS."""
    return str(error.response.get("Error", {}).get("Code", ""))


_BATCH_WRITE_ITEMS = 25
"""https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html"""


def put_items(
    client: Any, table: str, items: Sequence[Any], what: str, sleep: Callable[[float], None]
) -> None:
    """Put items, each of a key of its own, in as few calls as there can be.

    Raises
    ------
    IOFailedError
        Some may not have been written.
    """
    for start in range(0, len(items), _BATCH_WRITE_ITEMS):
        requests: Any = [{"PutRequest": {"Item": item}} for item in items[start : start + _BATCH_WRITE_ITEMS]]
        for wait in (*BACKOFF_SECONDS, None):
            with io(f"write {len(requests)} {what}"):
                response = client.batch_write_item(RequestItems={table: requests})
            requests = response.get("UnprocessedItems", {}).get(table, [])
            if not requests:
                break
            if wait is not None:
                sleep(wait)
        else:
            raise IOFailedError(f"{len(requests)} {what} stayed unprocessed by {table}: throttled")
