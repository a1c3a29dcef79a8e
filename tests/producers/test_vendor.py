"""How a vendor is called: never more often than it allows, again when that may help, not at all when it won't."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.http import NoReplyError
from producers.source import SourceError
from producers.vendor import poll_seconds
from producers.vendor_client import Vendor, VendorClient
from producers.vendor_state import (
    BREAKER_FAILURES,
    MAX_OPEN_MS,
    OutOfTimeError,
    RateLimitedError,
    RejectedRequestError,
    VendorError,
)
from tests.producers.fakes import Call, Clock, MakeClient, Reply, VendorStub

OK: Reply = (200, {}, b'{"fine":true}')
FAILS: Reply = (503, {}, b"<html>sorry</html>")


def poll(client: VendorClient) -> object:
    """One poll of one call."""
    client.begin_poll()
    try:
        answer = client.get("/quotes", {"symbols": "IBM,GE"})
    except VendorError as error:
        client.end_poll([error], answered=False)
        raise
    client.end_poll([], answered=True)
    return answer


def test_a_call_carries_the_key_in_its_headers_and_the_answer_is_its_json(
    vendor: VendorStub, vendor_client: MakeClient
) -> None:
    vendor.script(OK)
    assert poll(vendor_client(vendor.url)) == {"fine": True}
    (call,) = vendor.calls
    assert (call.path, call.parameters) == ("/quotes", {"symbols": "IBM,GE"})
    assert call.headers["x-key"] == "s3cr3t-key"


@pytest.mark.parametrize(
    "passing",
    [
        FAILS,
        (500, {}, b""),
        (408, {}, b""),
        (200, {}, b"<html>"),
        (200, {}, b'{"price": NaN'),
        (200, {}, b'\xe9{"message": "fine"}'),
        (200, {}, b"[" * 100_000),
        (200, {"Content-Encoding": "gzip"}, b"no gzip"),
        None,
    ],
    ids=str,
)
def test_what_may_pass_is_tried_again_after_growing_pauses(
    vendor: VendorStub, vendor_client: MakeClient, clock: Clock, passing: Reply
) -> None:
    vendor.script(passing, passing, OK)
    before = clock.now_ms
    assert poll(vendor_client(vendor.url)) == {"fine": True}
    assert len(vendor.calls) == 3
    assert 0 < clock.now_ms - before <= 1_200


@pytest.mark.parametrize(
    ("body", "price"),
    [
        (b'\xef\xbb\xbf{"A": 1.5, "B": 2}', 1.5),
        (b'{"A": NaN, "B": 2}', math.nan),
        (b'{"A": -Infinity, "B": 2}', -math.inf),
        (b'{"A": 1e999, "B": 2}', math.inf),
        pytest.param(b'{"A": ' + b"9" * 5000 + b', "B": 2}', math.inf, id="5,000 digits"),
        pytest.param(b'{"A": "\\ud83d", "B": 2}', "?", id="half a character"),
        pytest.param(b'{"A": "Nestl\xe9", "B": 2}', "Nestl\ufffd", id="Latin-1"),
        pytest.param('{"A": "Ωμέγα", "B": 2}'.encode("utf-16"), "Ωμέγα", id="UTF-16"),
        pytest.param(b'{"A": "\\"[[", "B": 2}', '"[[', id="brackets in a text"),
    ],
)
def test_what_is_nearly_json_is_read(
    vendor: VendorStub, vendor_client: MakeClient, body: bytes, price: float | str
) -> None:
    """As servers in other languages write it; a value that is no number is rejected with its own row."""
    vendor.script((200, {}, body))
    found = poll(vendor_client(vendor.url))
    assert repr(found) == repr({"A": price, "B": 2})
    assert len(vendor.calls) == 1


@pytest.mark.parametrize("inner", [b"", b'"\\"]{[", NaN, '], ids=["plain", "with texts"])
@pytest.mark.parametrize(("opens", "closes"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["arrays", "objects"])
def test_what_is_nested_without_end_costs_its_own_ticker(
    vendor: VendorStub, vendor_client: MakeClient, opens: bytes, closes: bytes, inner: bytes
) -> None:
    """No reader goes down so far, and none says so before it has read all the rest."""
    deep = opens * 100_000 + b"1" + closes * 100_000
    vendor.script((200, {}, b'{"A": [' + inner + deep + b'], "B": {"c": [[2]]}, "C": "[["}'))
    found: Any = poll(vendor_client(vendor.url))
    assert (list(found), found["B"], found["C"]) == (["A", "B", "C"], {"c": [[2]]}, "[[")


def test_a_login_page_that_a_network_puts_between_is_said(
    vendor: VendorStub, vendor_client: MakeClient
) -> None:
    vendor.script((302, {"Location": "https://login.example/?from=s3cr3t-key"}, b""))
    with pytest.raises(
        VendorError, match=r"status 302: it redirects to https://login.example/\?from=\*\*\*; check"
    ):
        poll(vendor_client(vendor.url))
    assert [call.path for call in vendor.calls] == ["/quotes"], "a key goes nowhere else"


def test_what_does_not_pass_within_the_poll_is_an_error_that_says_what(
    vendor: VendorStub, vendor_client: MakeClient
) -> None:
    vendor.script(FAILS)
    with pytest.raises(VendorError, match=r"acme fails \(status 503: <html>sorry</html>\)"):
        poll(vendor_client(vendor.url))
    assert len(vendor.calls) == 3
    vendor.script((200, {}, b"<html>login</html>"))
    with pytest.raises(VendorError, match=r"acme answered what is not JSON: '<html>login"):
        poll(vendor_client(vendor.url))


def test_a_vendor_that_is_not_there_or_is_slow_is_named_without_the_key(
    vendor: VendorStub, vendor_client: MakeClient
) -> None:
    with pytest.raises(VendorError, match=r"acme does not answer: .*127\.0\.0\.1:9") as absent:
        poll(vendor_client("http://127.0.0.1:9"))
    assert "s3cr3t" not in str(absent.value)

    def slowly(_call: Call) -> Reply:
        time.sleep(20)
        return OK

    vendor.answer = slowly
    began = time.monotonic()
    client = VendorClient(Vendor("acme", vendor.url, {}, 600, ""), 0.7)
    with pytest.raises(VendorError, match=r"acme does not answer: no complete answer in time"):
        poll(client)
    assert time.monotonic() - began < 18  # it did not wait for the answer
    client.close()


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_rejected_is_not_tried_again_and_is_not_repeated(
    vendor: VendorStub, vendor_client: MakeClient, status: int
) -> None:
    vendor.script((status, {}, b'{"message": "no access with s3cr3t-key"}'))
    with pytest.raises(VendorError, match=rf"{status}: no access with \*\*\*\): check ACME_KEY") as rejected:
        poll(vendor_client(vendor.url))
    assert rejected.value.status == status
    assert len(vendor.calls) == 1


# The forms of an error: `error` (finnhub-python, FinnhubAPIException) and `message` (alpaca-py, APIError).
@pytest.mark.parametrize(
    "body",
    [
        b'{"error": "You don\'t have access to this resource."}',
        b'{"message": "You don\'t have access to this resource."}',
        b'{"error": {"code": 403, "message": "You don\'t have access to this resource."}}',
        b'{"errors": "You don\'t have access to this resource.", "data": null}',
    ],
)
def test_an_error_that_comes_as_a_success_is_said(
    vendor: VendorStub, vendor_client: MakeClient, body: bytes
) -> None:
    vendor.script((200, {}, body))
    with pytest.raises(
        VendorError,
        match=r"acme answers an error \(200: You don't have access to this resource\.\): check ACME_KEY",
    ):
        poll(vendor_client(vendor.url))
    assert len(vendor.calls) == 1


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_request_that_is_rejected_is_not_tried_again(
    vendor: VendorStub, vendor_client: MakeClient, status: int
) -> None:
    vendor.script((status, {}, b'{"error": "no such thing"}'))
    with pytest.raises(RejectedRequestError, match="no such thing"):
        poll(vendor_client(vendor.url))
    assert len(vendor.calls) == 1


def test_a_vendor_that_asks_to_wait_is_not_called_before(
    vendor: VendorStub, vendor_client: MakeClient, clock: Clock
) -> None:
    vendor.script((429, {"Retry-After": "30"}, b'{"message": "too many requests"}'), OK)
    client = vendor_client(vendor.url)
    with pytest.raises(RateLimitedError, match=r"allows no more calls until 15:00:30 UTC: too many requests"):
        poll(client)
    clock.sleep(20)
    with pytest.raises(RateLimitedError, match="15:00:30"):
        poll(client)
    assert len(vendor.calls) == 1
    clock.sleep(8)  # 2 s are left, which a poll can wait
    assert poll(client) == {"fine": True}
    assert clock.now_ms >= 1_763_996_430_000
    assert client.state.failures == 0, "a limit is no failure"


def test_a_reset_may_be_the_seconds_that_are_left(
    vendor: VendorStub, vendor_client: MakeClient, clock: Clock
) -> None:
    """As in draft-ietf-httpapi-ratelimit-headers-03."""
    vendor.script((200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "40"}, b"{}"))
    client = vendor_client(vendor.url)
    poll(client)
    clock.sleep(30)
    with pytest.raises(RateLimitedError):
        poll(client)
    clock.sleep(11)
    assert poll(client) == {}
    assert len(vendor.calls) == 2


def test_a_clock_that_is_set_back_makes_no_call_longer_than_a_poll(
    vendor: VendorStub, vendor_client: MakeClient, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = vendor_client(vendor.url, seconds=4)
    given: list[float] = []

    def get(_url: str, seconds: float) -> object:
        given.append(seconds)
        raise NoReplyError

    monkeypatch.setattr(client._http, "get", get)
    client.begin_poll()
    clock.now_ms -= 86_400_000
    with pytest.raises(VendorError):
        client.get("/quotes", {})
    assert given
    assert max(given) <= 4


def test_a_vendor_that_gives_the_time_of_its_reset_is_not_called_before(
    vendor: VendorStub, vendor_client: MakeClient, clock: Clock
) -> None:
    reset = str(clock.now_ms // 1000 + 40)
    vendor.script(
        (200, {"X-RateLimit-Limit": "200", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}, b"{}")
    )
    client = vendor_client(vendor.url)
    poll(client)
    assert client.state.calls_per_minute == 200
    with pytest.raises(RateLimitedError):
        poll(client)
    assert len(vendor.calls) == 1


@pytest.mark.parametrize("said", ["120", "Tue, 24 Nov 2026 14:32:00 GMT"])
@pytest.mark.parametrize("status", [503, 502, 418, 403])
def test_a_vendor_that_is_unavailable_or_bans_says_for_how_long(
    vendor: VendorStub, vendor_client: MakeClient, clock: Clock, said: str, status: int
) -> None:
    """RFC 9110, 10.2.3: Retry-After is "how long the user agent ought to wait before making a follow-up request"."""
    clock.now_ms = 1_795_530_600_000  # 2026-11-24 14:30
    vendor.script((status, {"Retry-After": said}, b""))
    client = vendor_client(vendor.url)
    with pytest.raises(VendorError):
        poll(client)
    assert client.state.blocked_until_ms == 1_795_530_720_000
    assert len(vendor.calls) == 1


@pytest.mark.parametrize("said", ["soon", "-5", "nan", "1e99", "120s"])
def test_a_time_to_wait_that_makes_no_sense_is_a_short_one(
    vendor: VendorStub, vendor_client: MakeClient, clock: Clock, said: str
) -> None:
    vendor.script((429, {"Retry-After": said}, b""))
    client = vendor_client(vendor.url)
    with pytest.raises(RateLimitedError):
        poll(client)
    assert 0 < client.state.blocked_until_ms - clock.now_ms <= 25_000


class Recorded(VendorClient):
    """A client that notes the time of its calls instead of making them."""

    def _once(self, path: str, parameters: Mapping[str, str]) -> object:  # noqa: ARG002 - as the client's own
        self.times = [*getattr(self, "times", []), self._clock_ms()]
        return {}


@given(limit=st.integers(1, 1000), pauses=st.lists(st.integers(0, 20), min_size=5, max_size=30))
@settings(max_examples=100)
def test_in_no_minute_there_are_more_calls_than_allowed(limit: int, pauses: list[int]) -> None:
    clock = Clock()
    vendor = Vendor("acme", "http://127.0.0.1", {}, limit, "")
    client = Recorded(vendor, 4, clock_ms=clock, sleep=clock.sleep)
    for pause in pauses:
        clock.sleep(pause)
        client.begin_poll()
        for _ in range(client.affordable() + 2):
            try:
                client.get("/", {})
            except (RateLimitedError, OutOfTimeError):
                break
    times = getattr(client, "times", [])
    assert times
    assert all(later - at >= 60_000 for at, later in zip(times, times[limit:], strict=False))


def test_the_limit_holds_across_processes(vendor: VendorStub, vendor_client: MakeClient) -> None:
    vendor.script(OK)
    first = vendor_client(vendor.url, calls_per_minute=60)
    first.begin_poll()
    burst = first.affordable()
    for _ in range(burst):
        first.get("/", {})
    second = vendor_client(vendor.url, calls_per_minute=60)
    second.state = first.state
    assert second.affordable() == 1


def test_the_breaker_opens_after_failed_polls_and_one_trial_closes_it(
    vendor: VendorStub, vendor_client: MakeClient, clock: Clock
) -> None:
    vendor.script(FAILS)
    client = vendor_client(vendor.url)
    for _ in range(BREAKER_FAILURES):
        assert client.state.breaker(clock.now_ms) == "closed"
        with pytest.raises(VendorError, match="503"):
            poll(client)
    assert client.state.breaker(clock.now_ms) == "open"
    called = len(vendor.calls)
    with pytest.raises(SourceError, match=r"acme is not called until .* after 5 failed polls.*status 503"):
        poll(client)
    assert len(vendor.calls) == called

    opened: list[int] = []
    for _ in range(6):  # each trial that fails keeps it open longer, up to a bound
        clock.now_ms = client.state.open_until_ms
        assert client.state.breaker(clock.now_ms) == "half-open"
        with pytest.raises(VendorError):
            poll(client)
        called += 1
        assert len(vendor.calls) == called, "a trial is one call"
        opened.append(client.state.open_until_ms - clock.now_ms)
    assert all(1.3 * a < b or b > 0.7 * MAX_OPEN_MS for a, b in pairwise(opened))
    assert max(opened) <= 1.2 * MAX_OPEN_MS

    vendor.script(OK)
    clock.now_ms = client.state.open_until_ms
    assert poll(client) == {"fine": True}
    assert client.state.breaker(clock.now_ms) == "closed"
    assert client.state.last_error == ""


@pytest.mark.parametrize(("interval", "seconds"), [(None, 4.0), ("1", 1.0), ("10", 8.0), ("60", 20.0)])
def test_a_poll_leaves_time_to_publish_before_the_next(interval: str | None, seconds: float) -> None:
    assert poll_seconds({} if interval is None else {"POLL_INTERVAL_SECONDS": interval}) == seconds


def test_bad_settings_are_named() -> None:
    with pytest.raises(SourceError, match="POLL_INTERVAL_SECONDS is 'often'"):
        poll_seconds({"POLL_INTERVAL_SECONDS": "often"})
    with pytest.raises(SourceError, match=r"address 'ftp://acme'.*https://"):
        VendorClient(Vendor("acme", "ftp://acme", {}, 1, ""), 1)


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("120", 120),
        ("120, 120", 120),  # a header that stands twice
        ("Mon, 24 Nov 2025 15:02:00 GMT", 120),
        ("Monday, 24-Nov-25 15:02:00 GMT", 120),
        ("99999999999999999999", 3600),  # an hour is the longest, however much longer it would be
        ("9" * 400, 3600),
    ],
)
def test_retry_after_is_obeyed_in_both_forms(
    vendor: VendorStub, vendor_client: MakeClient, clock: Clock, asked: str, seconds: int
) -> None:
    # https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3; Sonarr issue 994 met one that is a date
    vendor.script((429, {"Retry-After": asked}, b"{}"), OK)
    client = vendor_client(vendor.url)
    with pytest.raises(RateLimitedError):
        poll(client)
    assert client.state.blocked_until_ms == clock.now_ms + seconds * 1000
