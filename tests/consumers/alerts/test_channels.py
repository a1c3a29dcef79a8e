"""Each channel against a server that behaves as its documentation says; the pages are cited beside the cases."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from consumers.alerts import channels, http_channel
from consumers.alerts.channels import Channel, ChannelError, Setup
from consumers.alerts.channels.webhook import SIGNATURE, sign
from consumers.alerts.http_channel import cut, fitted, utf8, utf16
from consumers.alerts.model import Acknowledgement, Message
from consumers.alerts.outlets import Outlets
from consumers.alerts.rendering.texts import content
from consumers.alerts.settings import AlertSettings
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


PAGE = "\n<!DOCTYPE html><title>Sign in</title>"
# Answers of success that say that the message was not taken.
NOT_TAKEN = [
    *((name, PAGE) for name in HTTP_CHANNELS if name != "webhook"),  # of a proxy, or of a hotel's network
    # https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors
    ("slack", "invalid_payload"),
    ("slack", '{"ok":false,"error":"channel_not_found"}'),
    # https://github.com/MicrosoftDocs/msteams-docs/issues/400, https://github.com/grafana/grafana/pull/52254
    (
        "teams",
        "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId 1",
    ),
    # https://core.telegram.org/bots/api#making-requests
    ("telegram", '{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}'),
    ("pagerduty", '{"status":"invalid event","errors":["no routing_key"]}'),
]


@pytest.mark.parametrize(("name", "body"), NOT_TAKEN)
def test_an_answer_of_success_that_says_otherwise_is_tried_again(
    vendor: Vendor, name: str, body: str
) -> None:
    vendor.answer = Answer(200, body, {"Retry-After": "7"})
    error = _failure(vendor.channel(name))
    assert (error.final, error.retry_after_ms) == (False, 7_000)
    assert "HTTP 200: " in str(error)


@pytest.mark.parametrize("body", ["1", "", '{"statusCode":200,"isSuccessStatusCode":true}'])
def test_what_teams_answers_to_a_message_that_it_took_is_no_error(vendor: Vendor, body: str) -> None:
    """A program that took only "1" for success sent all again for days: https://github.com/grafana/grafana/issues/60924."""
    vendor.answer = Answer(200, body)
    assert isinstance(_send(vendor.channel("teams"), MESSAGES["opened"]), str)


@pytest.mark.parametrize(
    ("name", "body", "header", "wait_ms"),
    [
        ("telegram", '{"parameters":{"retry_after":3.5}}', "", 3_500),
        # However long, it is taken for long; the next try is an hour later at most.
        ("telegram", '{"parameters":{"retry_after":"%s"}}' % ("9" * 5_000), "9", 10**15),
        ("discord", '{"retry_after":-3}', "1", 1_000),
        ("discord", '{"retry_after":NaN}', "1", 1_000),
        ("slack", "", "1e400", 0),
        ("slack", "", "-5", 0),
        ("slack", "", "Tue, 24 Nov 2026 14:30:20", 20_000),  # without a zone it is UTC
        ("slack", "", "Tue, 99 Nov 2026 14:30:20 GMT", 0),
    ],
)
def test_an_odd_wish_to_wait_is_read_or_left(
    vendor: Vendor, name: str, body: str, header: str, wait_ms: int
) -> None:
    vendor.answer = Answer(429, body, {"Retry-After": header})
    error = _failure(vendor.channel(name))
    assert (error.final, error.retry_after_ms) == (False, wait_ms)


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
    assert str(_failure(slack)).startswith("slack: no answer (proxy: Tunnel connection failed: 501")


@pytest.mark.parametrize("name", HTTP_CHANNELS)
def test_redirects_are_not_followed(vendor: Vendor, name: str) -> None:
    vendor.answer = Answer(307, "", {"Location": f"{vendor.url}/elsewhere"})
    error = _failure(vendor.channel(name))
    assert len(vendor.got) == 1
    assert not error.final  # a person can set the address that it leads to
    assert "it redirects to 127.0.0.1, which is not followed" in str(error)


@pytest.mark.parametrize("location", ["", "/elsewhere", "https://[", f"https://example.com/{SECRET}"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_says_where_to_and_no_secret(vendor: Vendor, status: int, location: str) -> None:
    vendor.answer = Answer(status, f"see {location}", {"Location": location})
    host = "example.com" if "example.com" in location else "another path"
    said = f"slack: HTTP {status}: it redirects to {host}, which is not followed"
    assert str(_failure(vendor.channel("slack"))) == said


def _raw(reply: bytes) -> Iterator[int]:
    """Yield the port of a server that gives one reply, whatever it is asked."""

    def serve(server: socket.socket) -> None:
        with suppress(OSError):
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(reply)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(
                    65_536
                ):  # closed with a request half read, it would take its answer back
                    pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        yield server.getsockname()[1]


def test_an_odd_header_of_a_server_logs_no_address(caplog: pytest.LogCaptureFixture) -> None:
    for port in _raw(b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 2\r\n\r\nok"):
        slack = channels.declared("slack")(
            Setup({}, {"webhook_url": f"http://127.0.0.1:{port}/hooks/{SECRET}"})
        )
        with caplog.at_level("DEBUG"):
            assert _send(slack, MESSAGES["opened"]) == "ok"
    assert SECRET not in caplog.text


def test_an_error_of_tls_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        http_channel, "ANSWER_SECONDS", 60.0
    )  # to read all authorities takes a slow machine seconds
    for port in _raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"):
        slack = channels.declared("slack")(
            Setup({}, {"webhook_url": f"https://127.0.0.1:{port}/hooks/{SECRET}"})
        )
        assert re.fullmatch(r"slack: no answer \(TLS: [a-z0-9 ]+\)", str(_failure(slack)))


@pytest.mark.parametrize("secret", ["a\nb", "\ud800", "\x00"])
def test_a_secret_that_is_none_is_named_and_not_told(secret: str) -> None:
    with pytest.raises(ChannelError, match=r"ntfy: its secret token holds characters that no secret has$"):
        channels.declared("ntfy")(Setup({}, {"topic": "t", "token": secret}))


def test_a_token_that_no_header_holds_is_an_error_that_says_so(vendor: Vendor) -> None:
    ntfy = channels.declared("ntfy")(Setup({"url": vendor.url}, {"topic": "t", "token": "tökén€"}))
    assert (
        str(_failure(ntfy)) == "ntfy: a header cannot be sent; must be a secret of printable ASCII characters"
    )


def test_a_token_is_not_told_with_escapes_either(vendor: Vendor) -> None:
    settings = {"chat_id": "1", "url": vendor.url}
    telegram = channels.declared("telegram")(Setup(settings, {"bot_token": "123456:ABC-DEFghi"}))
    for said in ("/bot123456%3AABC-DEFghi/sendMessage", "no bot ABC-DEFghi", '"\\/bot123456:ABC-DEFghi"'):
        vendor.answer = Answer(404, said)
        assert "ABC-DEF" not in str(_failure(telegram))


def test_a_channel_without_its_secret_says_how_to_set_it() -> None:
    with mock_aws():
        outlets = Outlets(
            partial(boto3.client, region_name="us-east-1"),
            topic_arn="arn:aws:sns:us-east-1:1:alerts",
            secret_prefix="stock-tracker/channels/",
            dashboard_url="",
            clock=lambda: T0_MS,
            link_key=lambda: b"key",
        )
        settings = AlertSettings.model_validate({"channels": {"desk": {"type": "slack"}}})
        with pytest.raises(ChannelError) as caught:
            outlets.send("desk", MESSAGES["opened"], settings)
    said = "desk: its secret is not set; must be set by `stock-monitor alerts secret desk`"
    assert (str(caught.value), caught.value.final) == (said, False)


@pytest.mark.parametrize(
    "address", ["hooks.slack.com/x", "http://example.com/x", "https://me:pw@example.com/x"]
)
def test_an_address_is_checked_when_it_is_set(address: str) -> None:
    with pytest.raises(ChannelError, match=r"slack: its address .*; must be an https:// address"):
        channels.declared("slack")(Setup({}, {"webhook_url": address}))


@pytest.mark.parametrize("page", ["http://desk:8080", "http://localhost:8080"])
@pytest.mark.parametrize("name", ["telegram", "discord"])
def test_a_link_that_the_vendor_rejects_costs_the_link_alone(vendor: Vendor, name: str, page: str) -> None:
    """Both reject a message with a link to a host without a dot.

    https://github.com/bugsink/bugsink/issues/280, https://github.com/rubenlagus/TelegramBots/issues/302
    """
    vendor.answer, _ = TAKEN[name]
    message = MESSAGES["opened"]
    vendor.channel(name).send(message, content(message, page, "UTC", lambda action: f"{action}-token"))
    posted = vendor.json()
    assert isinstance(posted, dict)
    assert "reply_markup" not in posted
    assert all("url" not in embed for embed in posted.get("embeds", []))


def test_nothing_is_markup_in_slack(vendor: Vendor) -> None:
    vendor.answer, _ = TAKEN["slack"]
    message = MESSAGES["opened"]
    said = replace(content(message, URL, "UTC"), lines=("*a* _b_ ~c~ `d` &amp; <!everyone> :fire:",))
    vendor.channel("slack").send(message, said)
    posted = vendor.json()
    assert isinstance(posted, dict)
    text = {"type": "plain_text", "text": said.lines[0], "emoji": False}
    assert posted["blocks"][1] == {"type": "section", "text": text}


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
    assert all(block["text"]["type"] == "plain_text" for block in blocks[:2])  # nothing is markup
    assert not re.search(r"&(?!amp;|lt;|gt;)|[<>]", posted["text"])  # no half of an entity
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
