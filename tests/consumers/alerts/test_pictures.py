"""The chart around the moment: how it is drawn, how each channel takes it, and that no message waits for it."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message as Part
from pathlib import Path
from random import Random

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.alerts import channels
from consumers.alerts.channels import ChannelError
from consumers.alerts.event import AlertEvent
from consumers.alerts.model import AnomalySummary, Delivery, Message, Silence
from consumers.alerts.notifier import Notifier
from consumers.alerts.pictures import PicturePorts, drawer
from consumers.alerts.rendering.picture import HEIGHT, WIDTH, decimals, picture
from consumers.alerts.rendering.texts import content
from consumers.alerts.settings import AlertSettings
from consumers.contracts.anomaly import SEVERITIES
from consumers.contracts.charts import Bar
from tests.consumers.alerts.bench import MINUTE_MS, T0_MS, URL, Bench, opened
from tests.consumers.alerts.vendor import SECRET, Answer, Vendor
from tests.json_types import Json

APPROVED = Path(__file__).parent / "approved" / "pictures"
FIRST_MS = T0_MS // MINUTE_MS * MINUTE_MS - 30 * MINUTE_MS
DESK = AlertSettings.model_validate({"channels": {"desk": {"type": "discord"}, "room": {"type": "slack"}}})
CARRIERS = [name for name in channels.names() if channels.declared(name).carries_pictures]


def _bars(seed: int, price: float, *, jump: float = 0.0, gap: range = range(0)) -> list[Bar]:
    """Return 34 minutes of a random walk; minute 30 jumps by a share, those of `gap` have no quote."""
    random, bars = Random(seed), []
    for minute in range(34):
        close = price * (1 + random.gauss(0, 0.0006) + jump * (minute == 30))
        high = max(price, close) + abs(price) * abs(random.gauss(0, 0.0003))
        low = min(price, close) - abs(price) * abs(random.gauss(0, 0.0003))
        if minute not in gap:
            bars.append(Bar(FIRST_MS + minute * MINUTE_MS, price, high, low, close, 100.0, 60, None, None))
        price = close
    return bars


def _anomaly(
    minute: int, kind: str, severity: str, value: float = 0.02, unit: str = "return"
) -> AnomalySummary:
    at_ms = FIRST_MS + minute * MINUTE_MS + 5_000
    return AnomalySummary(f"{kind}-{minute}", "AAPL", kind, severity, at_ms, value, 0.0, unit, "It did.")


def _misprinted(bars: list[Bar]) -> list[Bar]:
    """Return bars whose minute 30 holds a print of 60 % above."""
    return [replace(bar, high=bar.close * 1.6) if number == 30 else bar for number, bar in enumerate(bars)]


SCENES: dict[str, Callable[[], bytes | None]] = {
    "spike": lambda: picture(
        "AAPL",
        _bars(1, 221.4, jump=0.021),
        [_anomaly(30, "price_spike", "critical"), _anomaly(31, "volume_burst", "medium")],
        "America/New_York",
    ),
    "misprint": lambda: picture(
        "SHIB/USD",
        _misprinted(_bars(2, 1.2e-8)),
        [_anomaly(30, "bad_tick", "high", 1.92e-8, "price")],
        "Asia/Tokyo",
    ),
    "gap": lambda: picture(
        "EURUSD=X", _bars(3, 1.08712, gap=range(20, 30)), [_anomaly(30, "gap", "medium")], "Europe/Berlin"
    ),
    "negative": lambda: picture("CL=F", _bars(4, -37.63), [_anomaly(30, "slow_drift", "low")], "UTC"),
    "long": lambda: picture(
        "BINANCE:ABCDEFGHIJKLMNOPQRSTUVWX",
        _bars(5, 412_345.5, jump=-0.01),
        [_anomaly(30, "spread_blowout", "high")],
        "UTC",
        "simulated",
    ),
}


def _pixels(png: bytes) -> tuple[int, int, bytes, bytes]:
    """Return width, height, palette and pixels of a picture: what another zlib would compress otherwise."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, at = {}, 8
    while at < len(png):
        size, name = struct.unpack(">I4s", png[at : at + 8])
        chunks[name] = png[at + 8 : at + 8 + size]
        assert zlib.crc32(name + chunks[name]) == struct.unpack(">I", png[at + 8 + size : at + 12 + size])[0]
        at += 12 + size
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    lines = zlib.decompress(chunks[b"IDAT"])
    assert len(lines) == height * (width + 1)
    return width, height, chunks[b"PLTE"], lines


@pytest.mark.parametrize("scene", sorted(SCENES))
def test_the_picture_is_the_approved(scene: str) -> None:
    png = SCENES[scene]()
    assert png is not None
    assert len(png) < 8_000
    assert _pixels(png) == _pixels((APPROVED / f"{scene}.png").read_bytes())


def test_with_fewer_than_two_bars_there_is_no_picture() -> None:
    assert picture("AAPL", [], [], "UTC") is None
    assert picture("AAPL", _bars(1, 100.0)[:1], [], "UTC") is None


PRICES = st.floats(-1e12, 1e12, allow_nan=False) | st.floats(-1e-6, 1e-6) | st.just(0.0)


@settings(max_examples=60)
@given(
    rows=st.dictionaries(st.integers(0, 200), st.tuples(PRICES, PRICES, PRICES, PRICES), max_size=40),
    marks=st.lists(
        st.tuples(
            st.integers(-300, 300), st.sampled_from(["gap", "bad_tick"]), st.sampled_from(SEVERITIES), PRICES
        ),
        max_size=10,
    ),
    ticker=st.text(max_size=40),
)
def test_whatever_the_bars_are_the_picture_is_a_small_png(
    rows: dict[int, tuple[float, float, float, float]],
    marks: list[tuple[int, str, str, float]],
    ticker: str,
) -> None:
    bars = [
        Bar(FIRST_MS + minute * MINUTE_MS, first, max(of), min(of), last, None, 1, None, None)
        for minute, of in sorted(rows.items())
        for first, *_, last in [of]
    ]
    anomalies = [_anomaly(minute, kind, severity, value, "price") for minute, kind, severity, value in marks]
    png = picture(ticker, bars, anomalies, "UTC")
    if png is not None:
        assert _pixels(png)[:2] == (WIDTH, HEIGHT)
        assert len(png) < 20_000


@given(st.floats(1e-9, 1e9), st.floats(1e-4, 0.5))
def test_prices_of_the_axis_are_told_apart(price: float, share: float) -> None:
    low, high = price, price * (1 + share)
    digits = decimals([low, high])
    assert digits == 12 or f"{low:.{digits}f}" != f"{high:.{digits}f}"


# Each channel


PNG = SCENES["spike"]() or b""
# What each vendor answers to a picture that it takes.
TAKEN = {
    # the message: https://docs.discord.com/developers/resources/webhook#edit-webhook-message
    "discord": Answer(200, '{"id":"1234"}'),
    # https://core.telegram.org/bots/api#sendphoto
    "telegram": Answer(200, '{"ok":true,"result":{"message_id":43}}'),
    # https://docs.ntfy.sh/publish/#attach-local-file
    "ntfy": Answer(200, '{"id":"x","attachment":{"name":"chart.png","type":"image/png"}}'),
}


def _message() -> Message:
    bench = Bench()
    bench.take(opened(severity="critical", value=0.02006, unit="return"))
    (message,) = bench.sent()
    return message


MESSAGE = _message()
SAID = content(MESSAGE, URL, "America/New_York", lambda action: f"{action}-token")


def _form(vendor: Vendor) -> dict[str, Part]:
    """Return the parts of the form that was posted last."""
    _, headers, body = vendor.got[-1]
    found = message_from_bytes(b"Content-Type: " + headers["Content-Type"].encode() + b"\r\n\r\n" + body)
    return {
        str(part.get_param("name", header="content-disposition")): part
        for part in found.walk()
        if not part.is_multipart()
    }


def _bytes(part: Part) -> bytes:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload


def test_every_channel_that_carries_pictures_has_its_case() -> None:
    assert sorted(TAKEN) == CARRIERS


def test_discord_shows_it_in_the_message_that_is_there(vendor: Vendor) -> None:
    vendor.answer = TAKEN["discord"]
    vendor.channel("discord").add_picture("1234", MESSAGE, SAID, PNG)
    assert (vendor.methods[-1], vendor.got[-1][0]) == ("PATCH", f"/hooks/{SECRET}/messages/1234")
    form = _form(vendor)
    posted: Json = json.loads(_bytes(form["payload_json"]))
    vendor.answer = Answer(200, '{"id":"1234"}')
    vendor.channel("discord").send(MESSAGE, SAID)
    sent: Json = json.loads(vendor.got[-1][2])
    (embed,) = posted["embeds"]
    assert embed.pop("image") == {"url": "attachment://chart.png"}
    assert [embed] == sent["embeds"]  # the text stays
    assert posted["attachments"] == [{"id": 0, "filename": "chart.png", "description": SAID.title}]
    assert _bytes(form["files[0]"]) == PNG
    assert form["files[0]"].get_filename() == "chart.png"


def test_telegram_gets_it_as_a_silent_reply(vendor: Vendor) -> None:
    vendor.answer = TAKEN["telegram"]
    vendor.channel("telegram").add_picture("42", MESSAGE, SAID, PNG)
    assert (vendor.methods[-1], vendor.got[-1][0]) == ("POST", f"/bot{SECRET}/sendPhoto")
    form = _form(vendor)
    assert _bytes(form.pop("photo")) == PNG
    texts = {name: _bytes(part).decode() for name, part in form.items()}
    reply = json.loads(texts.pop("reply_parameters"))
    assert reply == {"message_id": 42, "allow_sending_without_reply": True}
    assert texts == {"chat_id": "-100123", "caption": SAID.title, "disable_notification": "true"}


def test_ntfy_gets_it_as_an_attachment_of_the_least_priority(vendor: Vendor) -> None:
    vendor.answer = TAKEN["ntfy"]
    said = replace(SAID, title=f"€ {SAID.title}" * 6)
    vendor.channel("ntfy").add_picture("x", MESSAGE, said, PNG)
    path, headers, body = vendor.got[-1]
    assert (vendor.methods[-1], path, body) == ("PUT", f"/{SECRET}", PNG)
    assert (headers["Filename"], headers["Priority"], headers["Content-Type"]) == (
        "chart.png",
        "1",
        "image/png",
    )
    assert headers["Click"] == SAID.link
    assert str(make_header(decode_header(headers["Title"]))).startswith("€ CRITICAL: AAPL")


@pytest.mark.parametrize("name", CARRIERS)
@pytest.mark.parametrize("status", [400, 401, 413, 429, 500])
def test_what_a_channel_says_instead_holds_no_secret(vendor: Vendor, name: str, status: int) -> None:
    vendor.answer = Answer(status, f"not /{SECRET}")
    with pytest.raises(ChannelError) as caught:
        vendor.channel(name).add_picture("42", MESSAGE, SAID, PNG)
    assert str(status) in str(caught.value)
    assert SECRET not in f"{caught.value!r} {caught.value}"


@pytest.mark.parametrize("name", sorted(set(channels.names()) - set(CARRIERS) - {"sns"}))
def test_the_others_carry_none(vendor: Vendor, name: str) -> None:
    with pytest.raises(ChannelError, match="carries no pictures"):
        vendor.channel(name).add_picture("1", MESSAGE, SAID, PNG)


# The notifier


@dataclass
class Studio:
    """A notifier whose pictures a test reads; `fault` is raised in place of drawing, or of adding."""

    draw_fault: Exception | None = None
    add_fault: BaseException | None = None
    added: list[tuple[str, str]] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    bench: Bench = field(default_factory=lambda: Bench(settings=DESK))

    def __post_init__(self) -> None:
        bench = self.bench
        bench.notifier = Notifier(
            bench.store,
            self._send,
            dead_letter=lambda message, delivery: bench.dead.append((message, delivery)),
            clock=lambda: bench.now_ms,
            pictures=PicturePorts(self._draw, self._add, lambda name, _settings: name == "desk"),
        )

    def _send(self, channel: str, message: Message, settings: AlertSettings) -> str:
        receipt = self.bench.phones.send(channel, message, settings)
        self.order.append(channel)
        return receipt

    def _draw(self, _message: Message, _settings: AlertSettings) -> bytes | None:
        if self.draw_fault is not None:
            raise self.draw_fault
        return PNG

    def _add(self, name: str, receipt: str, _message: Message, _settings: AlertSettings, png: bytes) -> None:
        assert png == PNG
        if self.add_fault is not None:
            raise self.add_fault
        self.added.append((name, receipt))
        self.order.append("picture")

    def deliveries(self) -> dict[str, Delivery]:
        """Return the deliveries of the one message, by channel."""
        (stored,) = self.bench.store.messages(T0_MS - MINUTE_MS, self.bench.now_ms)
        return {one.channel: one for one in stored.deliveries}


def _critical() -> AlertEvent:
    return opened(severity="critical", value=0.02, unit="return")


def test_a_message_is_sent_at_once_and_its_picture_once_by_a_sweep() -> None:
    studio = Studio()
    studio.bench.take(_critical())
    assert studio.added == []
    before = studio.deliveries()
    assert {one.status for one in before.values()} == {"sent"}
    for _ in range(3):
        studio.bench.sweep(after_minutes=1)
    assert studio.added == [("desk", before["desk"].receipt)]
    assert {name: one.picture for name, one in studio.deliveries().items()} == {
        "sns": "",
        "desk": "sent",
        "room": "",
    }
    assert len(studio.bench.phones.sent) == 3  # no message came twice


@pytest.mark.parametrize(
    ("draw_fault", "add_fault", "said"),
    [
        (
            ClientError({"Error": {"Code": "ThrottlingException"}}, "Query"),
            None,
            "the bars could not be read",
        ),
        (None, ChannelError("HTTP 413: too large", where="discord"), "HTTP 413"),
        (None, RuntimeError("of somebody's channel"), "RuntimeError"),
    ],
)
def test_a_picture_that_cannot_be_made_or_sent_changes_nothing_else(
    draw_fault: Exception | None, add_fault: Exception | None, said: str
) -> None:
    studio = Studio(draw_fault, add_fault)
    studio.bench.take(_critical())
    for _ in range(2):
        assert studio.bench.sweep(after_minutes=1).errors == ()
    desk = studio.deliveries()["desk"]
    assert (desk.status, desk.error, desk.attempts) == ("sent", "", 1)
    assert said in desk.picture
    assert studio.bench.dead == []
    assert len(studio.bench.phones.sent) == 3


def test_a_kill_while_a_picture_is_sent_costs_the_picture_only() -> None:
    class KilledError(BaseException):
        pass

    studio = Studio()
    studio.bench.take(_critical())
    studio.add_fault = KilledError()
    with pytest.raises(KilledError):
        studio.bench.sweep(after_minutes=1)
    studio.add_fault = None
    studio.bench.sweep(after_minutes=1)
    assert studio.added == []
    assert studio.deliveries()["desk"].picture == "not known to be sent"


def test_no_picture_is_sent_while_silenced() -> None:
    studio = Studio()
    studio.bench.take(_critical())
    until_ms = studio.bench.now_ms + 30 * MINUTE_MS
    studio.bench.store.put_silence(Silence(until_ms, "AAPL"))
    studio.bench.sweep(after_minutes=1)
    assert studio.added == []


def test_what_waits_is_sent_before_any_picture() -> None:
    studio = Studio()
    studio.bench.phones.down["room"] = ChannelError("HTTP 503")
    studio.bench.take(_critical())
    del studio.bench.phones.down["room"]
    studio.bench.sweep(after_minutes=2)
    assert studio.order == ["sns", "desk", "room", "picture"]


@dataclass
class Charts:
    """Bars in memory, as `ChartTable` reads them."""

    kept: list[Bar]
    read: list[tuple[str, str, int, int]] = field(default_factory=list)

    def bars(self, origin: str, symbol: str, since_ms: int, until_ms: int) -> list[Bar]:
        """Return the bars."""
        self.read.append((origin, symbol, since_ms, until_ms))
        return self.kept


def test_it_is_drawn_of_the_incident_s_own_bars() -> None:
    charts = Charts(_bars(1, 189.0, jump=0.02))
    draw = drawer(charts)
    assert draw(MESSAGE, DESK) is not None
    ((origin, symbol, since_ms, until_ms),) = charts.read
    assert (origin, symbol) == ("live", "AAPL")
    assert since_ms == T0_MS // MINUTE_MS * MINUTE_MS - 30 * MINUTE_MS
    assert until_ms > MESSAGE.made_ms
    assert draw(replace(MESSAGE, incident=None), DESK) is None
