"""The ways to people: one file a channel, which declares its name, settings, secrets and limits.

A package of its own adds a channel by an entry point in the group `stock_monitor.channels`, whose value is a
subclass of `Channel`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, ClassVar, cast

from producers.entry_points import entry_points
from producers.errors import MonitorError

if TYPE_CHECKING:
    from consumers.alerts.model import Message
    from consumers.alerts.rendering.texts import Content

ENTRY_POINT_GROUP = "stock_monitor.channels"


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
        What it has to be set up with, and what each is, for people; `optional` ones may be left out.
    secrets
        What it takes from Secrets Manager.
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
            if not setup.secrets.get(secret):
                raise ChannelError(f"its secret {secret} is missing", where=self.name)
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
    """Return the names of all channels, sorted."""
    return tuple(sorted(_declared()))


def declared(name: str) -> type[Channel]:
    """Return the channel of a name.

    Raises
    ------
    ChannelError
        There is none.
    """
    found = _declared().get(name)
    if found is None:
        raise ChannelError(f"{name!r} is no type of channel", allowed=f"one of {', '.join(names())}")
    return found


@cache
def _declared() -> dict[str, type[Channel]]:
    found: dict[str, type[Channel]] = {}
    for module in iter_modules(__path__):
        if not module.name.startswith("_"):
            held = vars(import_module(f"{__name__}.{module.name}")).values()
            own = [
                one
                for one in held
                if isinstance(one, type) and issubclass(one, Channel) and "name" in vars(one)
            ]
            found.update((one.name, one) for one in own)
    for point in entry_points(ENTRY_POINT_GROUP):
        one = cast(type[Channel], point.load())
        found[one.name] = one
    return found
