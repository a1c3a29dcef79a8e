"""The ways to people: one file a channel, which declares its name, settings, secrets and limits.

Every file in this folder holds one subclass of `Channel`. A package of its own adds one by an entry point in the group
``stock_monitor.channels`` whose value is such a class. Nothing else lists them. docs/extending.md builds one.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from inspect import isabstract
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from producers.declaration import Check, are_some, check, is_count, is_text, takes
from producers.errors import MonitorError, shortened
from producers.extensions import Declaration, Found, declarations, unusable, without_twins

if TYPE_CHECKING:
    from consumers.alerts.model import Message
    from consumers.alerts.rendering.texts import Content

ENTRY_POINT_GROUP = "stock_monitor.channels"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class ChannelError(MonitorError):
    """A channel did not take a message, or is not set up; says why, and holds no secret.

    Attributes
    ----------
    final
        Another try would fail alike: the message itself is not acceptable.
    retry_after_ms
        How long the channel wants to be left alone; 0 where it does not say.
    """

    def __init__(
        self, what: str, *, where: str = "", allowed: str = "", final: bool = False, retry_after_ms: int = 0
    ) -> None:
        super().__init__(what, where=where, allowed=allowed)
        self.final = final
        self.retry_after_ms = retry_after_ms


class ChannelSpecError(ChannelError):
    """A channel is declared in part, or wrongly; names the file or package and what is missing."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a channel is set up with; `secrets` are not shown by `repr`."""

    settings: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    clock: Callable[[], int] = lambda: 0
    client: Callable[[str], Any] = lambda _service: None


class Channel(ABC):
    """A way to people.

    Attributes
    ----------
    name
        Its type, as settings name it.
    settings
        What it has to be set up with, and what each is, for people.
    secrets
        What it takes from Secrets Manager.
    optional
        Settings and secrets that may be left out.
    characters
        The longest text that it takes.
    keeps_state
        Whether an incident is open there until it is resolved: such a channel gets every acknowledgement and end.
    carries_pictures
        Whether a picture can be added to a message that it took: see `add_picture`.
    """

    name: ClassVar[str]
    settings: ClassVar[Mapping[str, str]] = {}
    optional: ClassVar[frozenset[str]] = frozenset()
    secrets: ClassVar[Mapping[str, str]] = {}
    characters: ClassVar[int]
    keeps_state: ClassVar[bool] = False
    carries_pictures: ClassVar[bool] = False

    def __init__(self, setup: Setup) -> None:
        self.check(setup.settings)
        for secret in self.secrets:
            if not setup.secrets.get(secret) and secret not in self.optional:
                raise ChannelError(f"its secret {secret} is missing", where=self.name)
            if not setup.secrets.get(secret, "").isprintable():
                raise ChannelError(
                    f"its secret {secret} holds characters that no secret has", where=self.name
                )
        self.setup = setup

    @classmethod
    def check(cls, settings: Mapping[str, str]) -> None:
        """Check settings.

        Raises
        ------
        ChannelError
            One is unknown or missing.
        """
        for name in settings:
            if name not in cls.settings:
                allowed = f"one of {', '.join(cls.settings)}" if cls.settings else "left out"
                raise ChannelError(f"setting {name!r} is unknown", where=cls.name, allowed=allowed)
        for name in cls.settings:
            if not settings.get(name) and name not in cls.optional:
                raise ChannelError(f"setting {name} is missing", where=cls.name, allowed=cls.settings[name])

    @abstractmethod
    def send(self, message: Message, content: Content) -> str:
        """Send a message; return the channel's receipt for it.

        Raises
        ------
        ChannelError
            The channel did not take it.
        """

    def add_picture(self, receipt: str, message: Message, content: Content, png: bytes) -> None:
        """Add a picture to a message that the channel took, without a sound.

        Parameters
        ----------
        receipt
            What `send` returned.

        Raises
        ------
        ChannelError
            The channel did not take it.
        """
        del receipt, message, content, png
        raise ChannelError("it carries no pictures", where=self.name, final=True)


def names() -> tuple[str, ...]:
    """Return the names of all channels that can be used, sorted."""
    return tuple(sorted(name for name, found in _declared().items() if found.spec))


def declared(name: str) -> type[Channel]:
    """Return the channel of a name.

    Raises
    ------
    ChannelError
        There is none, or it cannot be used.
    """
    found = _declared().get(name)
    if found is None:
        allowed = f"one of {', '.join(names())}{unusable(_declared().values())}"
        raise ChannelError(f"{name!r} is no type of channel", allowed=allowed)
    if found.spec is None:
        raise ChannelError(f"channel {name} cannot be used: {found.problem}")
    return found.spec


@cache
def _declared() -> dict[str, Found[type[Channel]]]:
    found = map(_loaded, declarations(__name__, ENTRY_POINT_GROUP, _own_channel))
    return {each.name: each for each in without_twins(found)}


def _own_channel(module: ModuleType) -> object:
    own = [
        one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, Channel) and one.__module__ == module.__name__
    ]
    return own[0] if len(own) == 1 else own


def _loaded(declaration: Declaration) -> Found[type[Channel]]:
    try:
        channel = _checked(declaration.load(), declaration.place)
    except ChannelSpecError as error:
        return Found(declaration.name, declaration.place, None, str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - what a package of others raises is reported, not swallowed
        said = f"{declaration.place} cannot be loaded: {type(error).__name__}: {error}"
        return Found(declaration.name, declaration.place, None, shortened(said, 300))
    return Found(channel.name, declaration.place, channel)


def _checked(one: object, place: str) -> type[Channel]:
    """Return a channel whose declaration is whole, and may be so."""
    if not (isinstance(one, type) and issubclass(one, Channel)):
        raise ChannelSpecError(
            "declares no channel", where=place, allowed="one subclass of consumers.alerts.channels.Channel"
        )
    lacking = [part for part in ("name", "characters") if not hasattr(one, part)]
    if isabstract(one):
        lacking += sorted(one.__abstractmethods__)
    if lacking:
        raise ChannelSpecError(
            f"{one.__name__} lacks {', '.join(lacking)}",
            where=place,
            allowed="a class with name, characters and send, or post for one over HTTP (docs/extending.md)",
        )
    check(_checks(one), ChannelSpecError, place)
    return one


def _checks(one: type[Channel]) -> Iterator[Check]:
    """Yield every part of a declaration with what it must be; a part after those that it is judged by."""
    texts = "texts by their names, each with what it is"
    yield "name", one.name, "1 to 32 of a-z 0-9 -", is_text(one.name) and bool(_NAME.fullmatch(one.name))
    yield "settings", one.settings, texts, _are_texts(one.settings)
    yield "secrets", one.secrets, texts, _are_texts(one.secrets)
    are_named = _are_of(one.optional, {**one.settings, **one.secrets})
    yield "optional", one.optional, "a frozenset of names of settings and secrets", are_named
    yield "characters", one.characters, "a whole number from 1", is_count(one.characters)
    yield "keeps_state", one.keeps_state, "True or False", isinstance(one.keeps_state, bool)
    is_right = isinstance(one.carries_pictures, bool) and (
        not one.carries_pictures or one.add_picture is not Channel.add_picture
    )
    yield "carries_pictures", one.carries_pictures, "True only with a method add_picture", is_right
    yield "send", one.send, "a method (self, message, content)", takes(one.send, 3)


def _are_texts(given: object) -> bool:
    return isinstance(given, Mapping) and all(is_text(name) and is_text(what) for name, what in given.items())


def _are_of(given: object, settings: Mapping[str, str]) -> bool:
    return isinstance(given, frozenset | set) and are_some(tuple(given), tuple(settings))
