"""All forms of a function's partial batch response.

Lambda guide, "Success and failure conditions": a batch is a complete success for "an empty
batchItemFailure list, a null batchItemFailure list, an empty EventResponse, a null EventResponse", and a
complete failure for "an empty string itemIdentifier, a null itemIdentifier, an itemIdentifier with a bad key
name".
"""

import pytest

from localstack.event_source_mapping.partial_response import first_failure, is_malformed
from localstack.event_source_mapping.records import ShardRecord

BATCH = [ShardRecord(f"seq-{number}", "key", 0.0, "{}") for number in range(3)]


@pytest.mark.parametrize(
    "answer",
    [b"", b"null", b"{}", b'""', b"[]", b'{"batchItemFailures": []}', b'{"batchItemFailures": null}',
     b'{"something": "else"}'],
)  # fmt: skip
def test_success(answer: bytes) -> None:
    assert first_failure(answer, BATCH) is None
    assert not is_malformed(answer, BATCH)


@pytest.mark.parametrize(
    "answer",
    [
        b'{"batchItemFailures": [{"itemIdentifier": ""}]}',
        b'{"batchItemFailures": [{"itemIdentifier": null}]}',
        b'{"batchItemFailures": [{"itemIdentifier": 7}]}',
        b'{"batchItemFailures": [{"foo": "seq-1"}]}',
        b'{"batchItemFailures": [{"foo": null}]}',
        b'{"batchItemFailures": [{"itemIdentifier": "not in this batch"}]}',
        b'{"batchItemFailures": [{"itemIdentifier": "seq-2"}, {"itemIdentifier": "nowhere"}]}',
        b'{"batchItemFailures": ["seq-1"]}',
        b'{"batchItemFailures": "seq-1"}',
        b'"some text"',
        b"not json",
    ],
)
def test_an_answer_that_names_no_record_fails_the_whole_batch(answer: bytes) -> None:
    assert first_failure(answer, BATCH) == 0
    assert is_malformed(answer, BATCH)


def test_the_earliest_named_record_is_where_to_retry_from() -> None:
    answer = b'{"batchItemFailures": [{"itemIdentifier": "seq-2"}, {"itemIdentifier": "seq-1"}]}'
    assert first_failure(answer, BATCH) == 1
    assert not is_malformed(answer, BATCH)
