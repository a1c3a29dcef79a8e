"""docs/extending.md, "A channel": one file or package added is a channel everywhere; half of one stops no other."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from api.routes import alert_settings
from consumers.alerts import channels
from consumers.alerts.channels import ChannelError, Setup
from consumers.alerts.rendering.texts import content
from consumers.alerts.settings import AlertSettingsError, parse
from stream_infra.config import EXTENSION_GROUPS, ConfigError
from stream_infra.monitor_toml import load
from stream_infra.operations.channel_secrets import needed
from tests.consumers.alerts.test_channels import MESSAGES
from tests.consumers.alerts.vendor import Answer, Vendor
from tests.extending import ROOT, check_types, example, install

EXAMPLE = example("consumers/alerts/channels")
SETTINGS = '{"channels": {"night": {"type": "acme-pager", "settings": {"team": "desk"}}}}'
Add = Callable[[str], None]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Add]:
    """Install a package with a channel, as its own pyproject.toml would say it."""
    install("acme-monitor", channels.ENTRY_POINT_GROUP, "acme-pager = acme_pager:AcmePager", tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def add(text: str) -> None:
        (tmp_path / "acme_pager.py").write_text(text)
        channels._declared.cache_clear()

    yield add
    sys.modules.pop("acme_pager", None)
    channels._declared.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Add]:
    """Add the file that the document names, without touching the checkout."""
    monkeypatch.setattr(channels, "__path__", [*channels.__path__, str(tmp_path)])

    def add(text: str) -> None:
        (tmp_path / "acme_pager.py").write_text(text)
        channels._declared.cache_clear()

    yield add
    sys.modules.pop("consumers.alerts.channels.acme_pager", None)
    monkeypatch.delattr(channels, "acme_pager", raising=False)
    channels._declared.cache_clear()


@pytest.fixture(params=["folder", "package"])
def added(request: pytest.FixtureRequest) -> Add:
    found: Add = request.getfixturevalue(request.param)
    return found


def test_one_is_a_type_with_settings_secrets_and_messages(added: Add) -> None:
    added(EXAMPLE)
    assert "acme-pager" in channels.names()
    settings = parse(SETTINGS)
    assert needed(settings, "night") == {"token": "a token of the team, from its settings at Acme"}
    page = alert_settings._types()["acme-pager"]
    assert (list(page["settings"]), page["optional"], list(page["secrets"])) == (
        ["team", "url"],
        ["url"],
        ["token"],
    )
    with pytest.raises(AlertSettingsError, match="setting team is missing; must be the team to page"):
        parse('{"channels": {"night": {"type": "acme-pager"}}}')

    vendor = Vendor()
    vendor.answer = Answer(200, '{"page": {"id": 77}}')
    pager = channels.declared("acme-pager")(
        Setup({"team": "desk", "url": vendor.url}, {"token": "sesame-0123456789"})
    )
    message = MESSAGES["opened"]
    assert pager.send(message, content(message, "https://monitor.example", "UTC")) == "77"
    path, headers, _ = vendor.got[-1]
    assert (path, headers["Authorization"]) == ("/v1/pages", "Bearer sesame-0123456789")
    posted = vendor.json()
    assert isinstance(posted, dict)
    assert posted["id"] == message.id
    assert posted["title"].startswith("HIGH: AAPL price spike")


@pytest.mark.parametrize(
    ("part", "instead", "why"),
    [
        ('    name: ClassVar[str] = "acme-pager"\n', "", "AcmePager lacks name"),
        ('"acme-pager"', '"Acme Pager"', "name is 'Acme Pager'; must be 1 to 32 of a-z 0-9 -"),
        ("    characters: ClassVar[int] = 2000\n", "", "AcmePager lacks characters"),
        ("= 2000", '= "2000"', "characters is '2000'; must be a whole number from 1"),
        ("def post(", "def page(", "AcmePager lacks post"),
        ('frozenset({"url"})', 'frozenset({"colour"})', "must be a frozenset of names of settings"),
        ('{"token": "a token', '{"token": 1, "x": "a token', "must be texts by their names"),
        (
            "characters:",
            "carries_pictures: ClassVar[bool] = True\n    characters:",
            "with a method add_picture",
        ),
        (
            '{"token": "a token of the team, from its settings at Acme"}',
            '["token"]',
            "secrets is ['token']; must be",
        ),
        (
            "    def receipt(",
            "    send = 5\n\n    def receipt(",
            "send is 5; must be a method (self, message",
        ),
        ("class AcmePager(HttpChannel)", "class AcmePager", "declares no channel"),
        ("from typing import", "from nowhere import", "cannot be loaded: ModuleNotFoundError"),
        ('name: ClassVar[str] = "acme-pager"', 'name: ClassVar[str] = "slack"', "is declared twice: by "),
    ],
)
def test_half_of_one_is_named_and_the_others_go_on(added: Add, part: str, instead: str, why: str) -> None:
    assert part in EXAMPLE
    others = set(channels.names())
    added(EXAMPLE.replace(part, instead))
    name = "slack" if "twice" in why else "acme-pager"
    assert set(channels.names()) == others - {name}
    with pytest.raises(ChannelError, match=re.escape(why)) as caught:
        channels.declared(name)
    assert "acme_pager.py" in str(caught.value) or "package acme-monitor" in str(caught.value)
    with pytest.raises(
        ChannelError, match=r"'nobody' is no type of channel; must be one of .*cannot be used"
    ):
        channels.declared("nobody")


@pytest.mark.parametrize("raised", ["KeyError('team')", "SystemExit('no team')"])
def test_one_whose_file_ends_the_program_ends_only_itself(added: Add, raised: str) -> None:
    others = set(channels.names())
    added(f"{EXAMPLE}\n\nraise {raised}\n")
    assert set(channels.names()) == others
    with pytest.raises(ChannelError, match=f"cannot be loaded: {raised.partition('(')[0]}: "):
        channels.declared("acme-pager" if "acme-pager" in channels._declared() else "acme_pager")


def test_a_check_that_fails_is_named_with_its_channel(added: Add) -> None:
    """Settings that cannot be read would notify nobody of anything."""
    check = "    @classmethod\n    def check(cls, settings):\n        settings['colour']\n\n    def post("
    added(EXAMPLE.replace("    def post(", check, 1))
    with pytest.raises(AlertSettingsError, match="acme-pager: its check fails: KeyError: 'colour'"):
        parse(SETTINGS)


def test_a_file_without_a_channel_is_named(folder: Add) -> None:
    folder("A = 1\n")
    with pytest.raises(ChannelError, match=r"acme_pager\.py: declares no channel; must be one subclass"):
        channels.declared("acme_pager")


def test_one_that_is_installed_and_not_named_is_rejected(package: Add, tmp_path: Path) -> None:
    """Here its settings would be taken; the notifier would not know it."""
    package(EXAMPLE)
    assert EXTENSION_GROUPS[2] == channels.ENTRY_POINT_GROUP
    file = tmp_path / "monitor.toml"
    file.write_text('[prod]\nsource = "alpaca"\n')
    with pytest.raises(
        ConfigError, match=r"channel acme-pager is of the package acme-monitor, .*must be named"
    ):
        load("prod", file)
    file.write_text('[prod]\npackages = ["acme-monitor"]\n')
    assert load("prod", file).packages == ("acme-monitor",)


def test_the_example_is_typed(tmp_path: Path) -> None:
    path = tmp_path / "acme_pager.py"
    path.write_text(EXAMPLE)
    check_types(path, ROOT, "--follow-imports=silent")
