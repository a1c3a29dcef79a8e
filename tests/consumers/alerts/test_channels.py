"""Each channel against a server that behaves as its documentation says; the pages are cited beside the cases."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.alerts import channels, http_channel
from consumers.alerts.channels import Channel, ChannelError, Setup
from consumers.alerts.channels.webhook import SIGNATURE, sign
from consumers.alerts.http_channel import cut, fitted, utf8, utf16
from consumers.alerts.model import Acknowledgement, Message
from consumers.alerts.rendering.texts import content
from tests.consumers.alerts.bench import HOUR_MS, T0_MS, URL, Bench, opened, over, worse
from tests.consumers.alerts.vendor import SECRET, Answer, Vendor
from tests.json_types import Json

APPROVED = Path(__file__).parent / "approved" / "channels"


def _messages() -> dict[str, Message]:
    bench = Bench(watched=8).had_digests()
    spike = opened(severity="high", value=0.02006, unit="return")
    bench.take(spike, opened(severity="low", ticker="KO", kind="slow_drift"))
    bench.take(worse(spike, T0_MS + 5000, "critical"))
    bench.take(over(spike, T0_MS + 95_000))
    critical = next(one for one in bench.sent() if one.kind == "escalated")
    assert critical.incident is not None
    known = Acknowledgement("desk@example.com", T0_MS + HOUR_MS, 3)
    acknowledged = replace(
        critical, kind="acknowledged", incident=replace(critical.incident, acknowledgement=known)
    )
    crash = [
        opened(T0_MS + 200_000 + n, "high", ticker=f"T{n}", value=-0.01, unit="return") for n in range(4)
    ]
    bench.take(*crash, at_ms=T0_MS + 201_000)
    bench.sweep(after_minutes=60)
    found: dict[str, Message] = {message.kind: message for message in reversed(bench.sent())}
    market = next(one for one in bench.sent() if one.incident is not None and one.incident.is_wide)
    return {
        **found,
        "acknowledged": acknowledged,
        "market": market,
        "test": Message("test-1", "test", T0_MS, ("sns",)),
    }


MESSAGES = _messages()
HTTP_CHANNELS = [
    name for name in channels.names() if issubclass(channels.declared(name), http_channel.HttpChannel)
]

# What each vendor answers to a message that it takes, and the receipt in it.
TAKEN = {
    # "ok" in plain text: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
    "slack": (Answer(200, "ok"), "ok"),
    # the message, because of ?wait=true: https://docs.discord.com/developers/resources/webhook#execute-webhook
    "discord": (Answer(200, '{"id":"1234","type":0,"content":""}'), "1234"),
    # https://core.telegram.org/bots/api#making-requests
    "telegram": (Answer(200, '{"ok":true,"result":{"message_id":42,"date":1}}'), "42"),
    # https://developer.pagerduty.com/docs/events-api-v2-overview#api-response-codes--retry-logic
    "pagerduty": (Answer(202, '{"status":"success","message":"Event processed","dedup_key":"k"}'), "k"),
    # https://docs.ntfy.sh/publish/#publish-as-json
    "ntfy": (Answer(200, '{"id":"sPs71M8A2T","time":1,"event":"message","topic":"t"}'), "sPs71M8A2T"),
    # a workflow accepts and goes on by itself: 202 without a body
    "teams": (Answer(202, ""), ""),
    "webhook": (Answer(200, '{"id":"their-7"}'), "their-7"),
}
# What each vendor answers when it is asked too much, and how long it wants to be left alone.
TOO_MANY = {
    # https://docs.slack.dev/apis/web-api/rate-limits
    "slack": (Answer(429, '{"ok":false,"error":"rate_limited"}', {"Retry-After": "30"}), 30_000),
    # https://docs.discord.com/developers/topics/rate-limits#exceeding-a-rate-limit
    "discord": (
        Answer(
            429,
            '{"message":"You are being rate limited.","retry_after":0.65,"global":false}',
            {"Retry-After": "1"},
        ),
        650,
    ),
    # https://core.telegram.org/bots/api#responseparameters
    "telegram": (
        Answer(
            429,
            '{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":14}}',
        ),
        14_000,
    ),
    "pagerduty": (Answer(429, ""), 0),
    "ntfy": (Answer(429, '{"code":42901,"http":429,"error":"limit reached: too many requests"}'), 0),
    "teams": (Answer(429, "", {"Retry-After": "Tue, 24 Nov 2026 14:30:20 GMT"}), 20_000),
    "webhook": (Answer(429, "", {"Retry-After": "2.5"}), 2_500),
}
# What each vendor answers to a token that was revoked: a person can mend it, so it is tried again.
REVOKED = {
    # https://api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks
    "slack": Answer(404, "no_service"),
    # https://docs.discord.com/developers/topics/opcodes-and-status-codes#json
    "discord": Answer(404, '{"message":"Unknown Webhook","code":10015}'),
    "telegram": Answer(401, '{"ok":false,"error_code":401,"description":"Unauthorized"}'),
    "pagerduty": Answer(403, '{"status":"forbidden"}'),
    "ntfy": Answer(401, '{"code":40101,"http":401,"error":"unauthorized"}'),
    "teams": Answer(
        401, f'{{"error":{{"code":"DirectApiAuthorizationRequired","message":"/hooks/{SECRET}"}}}}'
    ),
    "webhook": Answer(401, f"who is {SECRET}?"),
}
# What each vendor answers to a message that it will never take.
UNACCEPTABLE = {
    "slack": Answer(400, "invalid_blocks"),
    "discord": Answer(400, '{"message":"Invalid Form Body","code":50035}'),
    "telegram": Answer(400, '{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}'),
    "pagerduty": Answer(
        400, '{"status":"invalid event","errors":["Length of \'routing_key\' is incorrect"]}'
    ),
    "ntfy": Answer(400, '{"code":40009,"http":400,"error":"invalid topic"}'),
    "teams": Answer(413, "too large"),
    "webhook": Answer(422, "no"),
}


def _send(channel: Channel, message: Message) -> str:
    return channel.send(message, content(message, URL, "America/New_York", lambda action: f"{action}-token"))


def _failure(channel: Channel) -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        _send(channel, MESSAGES["opened"])
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)
    return caught.value


def test_every_channel_has_its_cases() -> None:
    for cases in (TAKEN, TOO_MANY, REVOKED, UNACCEPTABLE):
        assert sorted(cases) == HTTP_CHANNELS


@pytest.mark.parametrize("name", HTTP_CHANNELS)
@pytest.mark.parametrize("kind", sorted(MESSAGES))
def test_what_is_posted_is_the_approved(vendor: Vendor, name: str, kind: str) -> None:
    vendor.answer, receipt = TAKEN[name]
    assert _send(vendor.channel(name), MESSAGES[kind]) == (receipt or "")
    posted = json.dumps(vendor.json(), indent=1, ensure_ascii=False)
    path = APPROVED / f"{name}-{kind}.json"
    assert posted + "\n" == path.read_text()


@pytest.mark.parametrize("name", HTTP_CHANNELS)
def test_too_many_requests_wait_as_long_as_is_said(vendor: Vendor, name: str) -> None:
    vendor.answer, wait_ms = TOO_MANY[name]
    error = _failure(vendor.channel(name))
    assert (error.final, error.retry_after_ms) == (False, wait_ms)


@pytest.mark.parametrize("name", HTTP_CHANNELS)
@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_error_of_theirs_is_tried_again(vendor: Vendor, name: str, status: int) -> None:
    vendor.answer = Answer(status, "<html>sorry</html>")
    assert not _failure(vendor.channel(name)).final


@pytest.mark.parametrize("name", HTTP_CHANNELS)
def test_a_revoked_token_is_tried_again_and_not_told(vendor: Vendor, name: str) -> None:
    vendor.answer = REVOKED[name]
    assert not _failure(vendor.channel(name)).final


@pytest.mark.parametrize("name", HTTP_CHANNELS)
def test_what_is_unacceptable_is_final(vendor: Vendor, name: str) -> None:
    vendor.answer = UNACCEPTABLE[name]
    assert _failure(vendor.channel(name)).final


@pytest.mark.parametrize("name", HTTP_CHANNELS)
def test_a_truncated_answer_of_success_is_success(vendor: Vendor, name: str) -> None:
    """The status says that it was taken: to send it again would be a second message."""
    taken, _ = TAKEN[name]
    vendor.answer = Answer(taken.status, taken.body[:5], cut=True)
    assert isinstance(_send(vendor.channel(name), MESSAGES["opened"]), str)


@pytest.mark.parametrize("name", HTTP_CHANNELS)
@pytest.mark.parametrize(
    "body", ["[" * 60_000, '{"id": "\\ud800"}', "\x1b[2J", "9" * 5_000, '{"id": [1e999]}']
)
def test_an_answer_of_success_is_success_whatever_it_says(vendor: Vendor, name: str, body: str) -> None:
    vendor.answer = Answer(200, body)
    assert isinstance(_send(vendor.channel(name), MESSAGES["opened"]), str)


@pytest.mark.parametrize("name", HTTP_CHANNELS)
def test_no_answer_in_time_is_tried_again(vendor: Vendor, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_channel, "ANSWER_SECONDS", 0.2)
    vendor.answer = Answer(200, "ok", wait_seconds=0.5)
    assert not _failure(vendor.channel(name)).final
    vendor.server.shutdown()
    vendor.server.server_close()
    assert not _failure(vendor.channel(name)).final


@pytest.mark.parametrize(
    ("begin", "drop", "taken"),
    [
        (b"", b"H", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x", True),
        (b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", False),
    ],
    ids=["before the status", "in the answer", "in chunks"],
)
def test_an_answer_that_drips_holds_a_send_no_longer_than_its_deadlines(
    begin: bytes, drop: bytes, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte is in time for a client's time-out, and thousands follow."""
    monkeypatch.setattr(http_channel, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(http_channel, "READ_SECONDS", 0.3)
    sent_all = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65_536)
            connection.sendall(begin)
            for _ in range(200):
                connection.sendall(drop)
                time.sleep(0.05)
            sent_all.set()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: drip(server.accept()[0]), daemon=True).start()
        hook = f"http://127.0.0.1:{server.getsockname()[1]}/hooks/{SECRET}"
        slack = channels.declared("slack")(Setup({}, {"webhook_url": hook}))
        if taken:
            assert set(_send(slack, MESSAGES["opened"])) == {"x"}
        else:
            assert not _failure(slack).final
        assert not sent_all.is_set()


def test_a_message_goes_through_the_proxy_that_the_environment_names(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As quotes come: to a vendor over HTTPS a proxy is asked for a tunnel, which this one does not know."""
    monkeypatch.setenv("HTTPS_PROXY", vendor.url)
    slack = channels.declared("slack")(Setup({}, {"webhook_url": f"https://proxied.example/hooks/{SECRET}"}))
    assert str(_failure(slack)) == "slack: no answer (ProxyError)"


@pytest.mark.parametrize("name", HTTP_CHANNELS)
def test_redirects_are_not_followed(vendor: Vendor, name: str) -> None:
    vendor.answer = Answer(307, "", {"Location": f"{vendor.url}/elsewhere"})
    _failure(vendor.channel(name))
    assert len(vendor.got) == 1


@pytest.mark.parametrize("name", HTTP_CHANNELS)
def test_a_secret_goes_over_https_only(name: str) -> None:
    declared = channels.declared(name)
    settings = dict.fromkeys(declared.settings, "http://example.com")
    secrets = dict.fromkeys(declared.secrets, f"http://example.com/{SECRET}")
    with pytest.raises(ChannelError, match="must be an https:// address"):
        _send(declared(Setup(settings, secrets)), MESSAGES["opened"])


@pytest.mark.parametrize("name", HTTP_CHANNELS)
def test_what_is_missing_is_named(name: str) -> None:
    declared = channels.declared(name)
    settings = dict.fromkeys(declared.settings, "https://example.com")
    with pytest.raises(ChannelError, match=r"its secret .* is missing"):
        declared(Setup(settings))
    with pytest.raises(ChannelError, match="setting 'colour' is unknown"):
        declared.check({**settings, "colour": "red"})


@pytest.mark.parametrize("name", HTTP_CHANNELS)
@pytest.mark.parametrize(
    "text",
    [
        "x" * 5000,
        "€" * 5000,
        "🚨" * 5000,
        "&<>" * 1700,
        "*_[a](b)~`|" * 450,
        "\r\nBcc: all\x00\x1b[2J",
        "\ud800",
    ],
    ids=["long", "bytes", "pairs", "entities", "markup", "control", "surrogate"],
)
def test_every_text_is_fitted_to_what_the_channel_takes(vendor: Vendor, name: str, text: str) -> None:
    """The limits, and where they are documented, are beside each channel's code."""
    vendor.answer, _ = TAKEN[name]
    message = MESSAGES["opened"]
    assert message.incident is not None
    assert message.cause is not None
    cause = replace(message.cause, ticker=f"AAPL{text}", explanation=text)
    incident = replace(message.incident, subject=f"AAPL{text}", samples=(cause,) * 10)
    channel = vendor.channel(name)
    said = content(
        replace(message, cause=cause, incident=incident), URL, "UTC", lambda action: f"{action}-t" * 50
    )
    assert said.title.isprintable()
    channel.send(message, said)
    posted: Json = json.loads(vendor.got[-1][2])
    checks = {
        "slack": _fits_slack,
        "discord": _fits_discord,
        "telegram": _fits_telegram,
        "teams": _fits_teams,
    }
    checks |= {"pagerduty": _fits_pagerduty, "ntfy": _fits_ntfy}
    if name in checks:  # a webhook takes any text
        checks[name](posted)
    assert len(vendor.got[-1][2]) < 256 * 1024


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _fits_slack(posted: Json) -> None:
    blocks = posted["blocks"]
    assert len(blocks) <= 50
    assert _units(blocks[0]["text"]["text"]) <= 150
    assert 0 < _units(blocks[1]["text"]["text"]) <= 3000
    assert not re.search(r"&(?!amp;|lt;|gt;)|[<>]", blocks[1]["text"]["text"])  # no half of an entity
    elements = blocks[2]["elements"]
    assert len({one["action_id"] for one in elements}) == len(elements) <= 25
    assert all(_units(one["text"]["text"]) <= 75 for one in elements)
    assert all(len(one["url"]) <= 3000 for one in elements)


def _fits_discord(posted: Json) -> None:
    (embed,) = posted["embeds"]
    assert 0 < _units(embed["title"]) <= 256
    assert 0 < _units(embed["description"]) <= 4096
    assert "[Acknowledge for 4 h](http" in embed["description"]
    assert not re.search(r"(?<!\\)(\\\\)*[*~`|]", embed["description"])  # what begins markup is escaped


def _fits_telegram(posted: Json) -> None:
    assert 0 < _units(posted["text"]) <= 4096
    assert "parse_mode" not in posted  # nothing is markup


def _fits_teams(posted: Json) -> None:
    assert len(json.dumps(posted, ensure_ascii=False).encode("utf-16-le")) <= 28 * 1024
    assert '"TextBlock"' not in json.dumps(posted)  # which knows Markdown


def _fits_pagerduty(posted: Json) -> None:
    assert 0 < _units(posted["payload"]["summary"]) <= 1024
    assert len(posted["dedup_key"]) <= 255


def _fits_ntfy(posted: Json) -> None:
    assert 0 < len(posted["message"].encode()) <= 4096
    assert len(posted["title"].encode()) <= 1000
    assert len(posted["actions"]) <= 3


def test_a_link_to_this_machine_is_no_button_in_telegram(vendor: Vendor) -> None:
    vendor.answer, _ = TAKEN["telegram"]
    channel, message = vendor.channel("telegram"), MESSAGES["opened"]
    channel.send(message, content(message, "http://127.0.0.1:8080", "UTC"))
    assert "reply_markup" not in json.loads(vendor.got[-1][2])


def test_a_receiver_can_tell_who_sent_it_and_when(vendor: Vendor) -> None:
    vendor.answer = Answer(204)
    assert _send(vendor.channel("webhook"), MESSAGES["opened"]) == "2xx"
    _, headers, body = vendor.got[-1]
    seconds, _, signature = headers[SIGNATURE].removeprefix("t=").partition(",v1=")
    expected = hmac.new(SECRET.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(signature, expected)
    assert int(seconds) == T0_MS // 1000
    assert headers["Idempotency-Key"] == MESSAGES["opened"].id
    assert sign(SECRET, int(seconds), body + b" ") != headers[SIGNATURE]


@pytest.mark.parametrize("status", [200, 401])
def test_no_part_of_a_secret_is_told_wherever_it_stands(vendor: Vendor, status: int) -> None:
    hook = f"{vendor.url}/hooks/a-path?sp=%2Ftriggers&sig={SECRET}"
    teams = channels.declared("teams")(Setup({}, {"webhook_url": hook}))
    before = "x" * (http_channel.SAID - 10)  # what is cut cuts the secret
    for said in (hook, "/hooks/a-path", f"sp=%2Ftriggers&sig={SECRET}", SECRET, before + SECRET, "/triggers"):
        vendor.answer = Answer(status, said)
        try:
            told = _send(teams, MESSAGES["opened"])
        except ChannelError as error:
            told = str(error)
        assert "***" in told or len(told) >= http_channel.SAID
        for part in (SECRET[:10], "a-path", "triggers"):
            assert part not in told


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4),
    st.integers(-5, 60),
    st.sampled_from([utf16, utf8]),
    st.sampled_from([str, lambda line: line.replace("&", "&amp;")]),
)
def test_lines_are_fitted_to_any_room(
    lines: list[str], limit: int, size: Callable[[str], int], write: Callable[[str], str]
) -> None:
    """It ends, and what it gives fits, for no room and for less than none too."""
    assert size(fitted(lines, limit, size, write)) <= max(0, limit)
    assert size(cut(lines[0], limit, size)) <= max(0, limit)


@pytest.mark.parametrize("part", ["abcdefghij" + "K", "abcdefghijk", "T0KENT0KEN"])
def test_a_token_in_a_path_is_told_from_a_word(vendor: Vendor, part: str) -> None:
    vendor.answer = Answer(400, f"no service {part}, see /services/ and workflows")
    teams = channels.declared("teams")(Setup({}, {"webhook_url": f"{vendor.url}/services/T/B/{part}"}))
    assert str(_failure(teams)) == "teams: HTTP 400: no service ***, see /services/ and workflows"


def test_a_message_goes_into_the_thread_that_a_discord_webhook_names(vendor: Vendor) -> None:
    """https://docs.discord.com/developers/resources/webhook#execute-webhook: `thread_id` is in the query."""
    hook = f"{vendor.url}/api/webhooks/1/{SECRET}?thread_id=55"
    discord = channels.declared("discord")(Setup({}, {"webhook_url": hook}))
    vendor.answer = Answer(200, '{"id": "77"}')
    message = MESSAGES["opened"]
    assert _send(discord, message) == "77"
    discord.add_picture("77", message, content(message, URL, "UTC"), b"png")
    path = f"/api/webhooks/1/{SECRET}"
    queries = ["thread_id=55&wait=true", "thread_id=55"]
    assert [got[0] for got in vendor.got] == [f"{path}?{queries[0]}", f"{path}/messages/77?{queries[1]}"]


@pytest.mark.parametrize(
    ("name", "path"),
    [("pagerduty", "/v2/enqueue"), ("telegram", f"/bot{SECRET}/sendMessage"), ("ntfy", "/")],
)
def test_a_slash_at_the_end_of_an_address_is_not_there_twice(vendor: Vendor, name: str, path: str) -> None:
    vendor.answer, _ = TAKEN[name]
    channel = vendor.channel(name)
    slashed = {**channel.setup.settings, "url": f"{vendor.url}/"}
    _send(type(channel)(replace(channel.setup, settings=slashed)), MESSAGES["opened"])
    assert vendor.got[-1][0] == path


@pytest.mark.parametrize(
    "url",
    ["https://", "https:///x", "https://[::1", "https://ex ample.com/", "https://a.example:99999/", "x"],
)
def test_an_address_that_can_be_none_is_rejected_when_it_is_set(url: str) -> None:
    with pytest.raises(ChannelError, match="its address is not acceptable; must be an https:// address"):
        channels.declared("webhook").check({"url": url})


def test_a_key_that_anybody_guesses_is_rejected() -> None:
    with pytest.raises(ChannelError, match="signing_key is too short; must be a text of at least 16"):
        channels.declared("webhook")(Setup({"url": "https://a.example"}, {"signing_key": "guess"}))


def test_ntfy_is_sent_to_with_a_token_where_the_topic_needs_one(vendor: Vendor) -> None:
    """https://docs.ntfy.sh/publish/#access-tokens."""
    vendor.answer, _ = TAKEN["ntfy"]
    for token, header in (("", None), ("tk_1", "Bearer tk_1")):
        ntfy = channels.declared("ntfy")(Setup({"url": vendor.url}, {"topic": "t", "token": token}))
        _send(ntfy, MESSAGES["opened"])
        assert vendor.got[-1][1].get("Authorization") == header
