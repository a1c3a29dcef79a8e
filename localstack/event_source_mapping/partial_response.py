"""What a function with ReportBatchItemFailures answered (Lambda guide, "Success and failure conditions")."""

import json
from collections.abc import Sequence

from localstack.event_source_mapping.records import ShardRecord


def first_failure(payload: bytes, records: Sequence[ShardRecord]) -> int | None:
    """Where to retry from.

    Returns
    -------
    int | None
        None for a complete success (an empty or null response, an empty or null `batchItemFailures`); the
        index of the first failed record; 0 where the whole batch counts as failed, see `is_malformed`.
    """
    failures = _failures(payload)
    if not failures:
        return None
    indices = {record.sequence_number: index for index, record in enumerate(records)}
    found = [_index_of(failure, indices) for failure in failures]
    return 0 if None in found else min(index for index in found if index is not None)


def is_malformed(payload: bytes, records: Sequence[ShardRecord]) -> bool:
    """Return whether an answer names no record of the batch: "Lambda treats a batch as a complete failure"."""
    failures = _failures(payload)
    indices = {record.sequence_number: index for index, record in enumerate(records)}
    return any(_index_of(failure, indices) is None for failure in failures)


def _failures(payload: bytes) -> list[object]:
    """Return the reported failures; an answer that is no failure report is one unnameable failure."""
    try:
        answer = json.loads(payload) if payload else None
    except ValueError:
        return [None]
    if not answer:
        return []
    if not isinstance(answer, dict):
        return [None]
    failures = answer.get("batchItemFailures")
    if not failures:
        return []
    return failures if isinstance(failures, list) else [None]


def _index_of(failure: object, indices: dict[str, int]) -> int | None:
    identifier = failure.get("itemIdentifier") if isinstance(failure, dict) else None
    return indices.get(identifier) if isinstance(identifier, str) else None
