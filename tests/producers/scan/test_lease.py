"""One scan at a time, and times that grow over all scans."""

from __future__ import annotations

from threading import Event

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers.scan.lease import Lease, LeaseLostError
from tests.producers.fakes import Aws

NOW = 1_763_996_400_000


def lease(aws: Aws, owner: str) -> Lease:
    return Lease(aws.dynamodb, aws.table, owner, duration_ms=30_000)


def test_a_second_scan_has_to_wait_until_the_first_is_through(aws: Aws) -> None:
    first, second = lease(aws, "a"), lease(aws, "b")
    assert first.acquire(NOW)
    assert not second.acquire(NOW + 1)
    first.release()
    assert second.acquire(NOW + 2)


def test_a_scan_that_died_holds_the_lease_only_so_long(aws: Aws) -> None:
    assert lease(aws, "a").acquire(NOW)
    assert not lease(aws, "b").acquire(NOW + 30_000)
    assert lease(aws, "b").acquire(NOW + 30_001)


def test_polling_prolongs_the_lease(aws: Aws) -> None:
    first = lease(aws, "a")
    first.acquire(NOW)
    first.reserve(NOW + 25_000)
    assert not lease(aws, "b").acquire(NOW + 50_000)


def test_who_was_overtaken_can_neither_poll_nor_take_the_lease_from_its_holder(aws: Aws) -> None:
    first, second = lease(aws, "a"), lease(aws, "b")
    first.acquire(NOW)
    assert second.acquire(NOW + 31_000)
    with pytest.raises(LeaseLostError):
        first.reserve(NOW + 31_001)
    first.release()
    assert second.reserve(NOW + 31_002) == NOW + 31_002


def test_a_poll_that_takes_longer_than_the_lease_keeps_it(aws: Aws) -> None:
    first, second = Lease(aws.dynamodb, aws.table, "a", duration_ms=30), lease(aws, "b")
    first.acquire(NOW)
    ts = first.reserve(NOW)
    times = iter(range(NOW, NOW + 1_000_000, 20))
    prolonged = Event()

    def clock_ms() -> int:
        now_ms = next(times)
        if now_ms > NOW + 100:
            prolonged.set()
        return now_ms

    with first.kept(clock_ms):
        assert prolonged.wait(30)
        assert not second.acquire(NOW + 80)
    assert first.last_ts == ts


def test_a_poll_that_does_not_outlast_the_lease_costs_no_call(aws: Aws) -> None:
    first, second = lease(aws, "a"), lease(aws, "b")
    first.acquire(NOW)
    first.reserve(NOW)
    with first.kept(lambda: NOW + 29_999):
        pass
    assert second.acquire(NOW + 30_001)


def test_a_poll_after_which_another_scan_holds_the_lease_is_lost(aws: Aws) -> None:
    first, second = lease(aws, "a"), lease(aws, "b")
    first.acquire(NOW)
    first.reserve(NOW)
    with pytest.raises(LeaseLostError), first.kept(lambda: NOW + 30_002):
        assert second.acquire(NOW + 30_001)


def test_times_grow_even_when_the_clock_goes_back(aws: Aws) -> None:
    first = lease(aws, "a")
    first.acquire(NOW)
    assert [first.reserve(NOW), first.reserve(NOW), first.reserve(NOW - 500)] == [NOW, NOW + 1, NOW + 2]
    first.release()
    second = lease(aws, "b")
    second.acquire(NOW - 1_000)
    assert second.reserve(NOW - 1_000) == NOW + 3


def test_a_last_poll_in_the_future_is_named_not_followed(aws: Aws) -> None:
    first = lease(aws, "a")
    first.acquire(NOW)
    assert first.reserve(NOW) == NOW
    assert first.correction is None
    assert first.reserve(NOW - 60_000) == NOW - 60_000
    assert first.correction == (
        f"the last poll was at {NOW}, 60000 ms ahead of this clock; must be at most 4000:"
        f" its clock was wrong, polls go on from {NOW - 60_000}"
    )
    second = lease(aws, "b")
    first.release()
    second.acquire(NOW - 59_000)
    assert second.last_ts == NOW - 60_000


def test_a_lease_that_a_wrong_clock_left_is_taken(aws: Aws) -> None:
    day_ms = 86_400_000
    assert lease(aws, "a").acquire(NOW + day_ms)  # and is killed
    later = lease(aws, "b")
    assert later.acquire(NOW)
    assert not lease(aws, "c").acquire(NOW + 1)
    assert later.reserve(NOW + 2) == NOW + 2


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from(["acquire", "reserve", "release"]),
            st.integers(-500, 40_000),
        ),
        max_size=25,
    )
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_times_grow_for_any_overlap_of_scans(aws: Aws, steps: list[tuple[str, str, int]]) -> None:
    aws.dynamodb.delete_item(TableName=aws.table, Key={"pk": {"S": "scan#lease"}, "sk": {"S": "lease"}})
    leases = {name: lease(aws, name) for name in "abc"}
    now, reserved = NOW, [0]
    for name, step, passed in steps:
        now += passed
        if step == "acquire":
            leases[name].acquire(now)
        elif step == "release":
            leases[name].release()
        else:
            try:
                reserved.append(leases[name].reserve(now))
            except LeaseLostError:
                continue
    assert reserved == sorted(set(reserved))
