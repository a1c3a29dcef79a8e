"""What is remembered of alerts: of each anomaly, each series, the hour's messages, mutes, the whole market."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from consumers.alerts.event import AlertEvent
from consumers.contracts.anomaly import SEVERITIES, Anomaly

HOUR_MS = 3_600_000
SAMPLES = 3
"""Anomalies of a series that a digest names; the others are counted."""

MessageKind = Literal["alert", "escalation", "back_to_normal", "market_wide", "digest"]


@dataclass(frozen=True, slots=True)
class Sample:
    """An anomaly that a digest will name, with the severity that it has reached.

    Attributes:
        counted: it is one of the held anomalies, not one that was told before and got worse.
    """

    anomaly: Anomaly
    severity: str
    rank: int
    counted: bool


@dataclass(frozen=True, slots=True)
class Held:
    """What of a series waits for a digest.

    Attributes:
        anomalies: how many of them; `late` and `replayed` of these came late or from a replay.
        escalations: of alerts told before; `ended` likewise counts those that are back to normal.
        first_ms, last_ms: the span of all that is held, epoch ms UTC.
        samples: the worst, at most `SAMPLES`, the worst first.
    """

    anomalies: int = 0
    late: int = 0
    replayed: int = 0
    escalations: int = 0
    ended: int = 0
    first_ms: int = 0
    last_ms: int = 0
    samples: tuple[Sample, ...] = ()

    @property
    def live(self) -> int:
        """Anomalies that were neither late nor replayed."""
        return self.anomalies - self.late - self.replayed


@dataclass(frozen=True, slots=True)
class Series:
    """What is remembered of a ticker and kind.

    Attributes:
        version: grows with every change, so that concurrent ones are noticed.
        quiet_until_ms: end of the cooldown.
        told_rank: rank of the worst that was told in the cooldown; -1 for nothing.
        digest: how many digests took what was held.
        due_ms: when what is held is to be told; None if nothing is held.
    """

    version: int = 0
    quiet_until_ms: int = 0
    told_rank: int = -1
    digest: int = 0
    held: Held | None = None
    due_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """What is remembered of one anomaly.

    Attributes:
        version: as in `Series`.
        seen: keys of the events taken; a repeated one changes nothing.
        fate: "told" in a message of its own, "held" for the digest number `digest`, "" not yet known.
        told_rank: rank of the severity last told; -1 for none.
        under_market: its message is a market-wide alert.
        made_ms: when the message about an event was made, epoch ms UTC, by the event's key.
    """

    version: int = 0
    seen: frozenset[str] = frozenset()
    fate: Literal["", "told", "held"] = ""
    digest: int = 0
    told_rank: int = -1
    under_market: bool = False
    made_ms: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Made:
    """A message of the last hour.

    Attributes:
        at_ms: when it was made, epoch ms UTC.
        ticker, rank: what it told of, and how bad; "" and -1 for many tickers, ends and digests.
    """

    at_ms: int
    ticker: str = ""
    rank: int = -1


@dataclass(frozen=True, slots=True)
class Budget:
    """The messages of the last hour, the oldest first."""

    version: int = 0
    made: tuple[Made, ...] = ()

    def take(self, made: Made, places: int) -> Budget | None:
        """The budget after one more message, or None if there were `places` in the last 60 minutes."""
        recent = self._recent(made.at_ms)
        return Budget(self.version + 1, (*recent, made)) if len(recent) < places else None

    def take_digest(self, now_ms: int, places: int) -> Budget | None:
        """The same for a digest, or None if it has to wait.

        While half of the places are free it has not to. Then what is left of them is spread evenly over the
        hour: the space between messages is the smallest one at which digests could go on for ever.
        """
        recent = [made.at_ms for made in self._recent(now_ms)]
        if len(recent) >= max(1, places // 2) and now_ms < recent[-1] + _space_ms(recent, places):
            return None
        return self.take(Made(now_ms), places)

    def told_rank(self, ticker: str, now_ms: int) -> int:
        """Rank of the worst that a message of the last hour told of a ticker; -1 for nothing."""
        return max((made.rank for made in self._recent(now_ms) if made.ticker == ticker), default=-1)

    def _recent(self, now_ms: int) -> tuple[Made, ...]:
        return tuple(made for made in self.made if made.at_ms > now_ms - HOUR_MS)


def _space_ms(recent: list[int], places: int) -> int:
    # The n-th digest from now on has to be an hour after the message that is `places` before it.
    first = max(1, places - len(recent) + 1)
    waits = (-((recent[-1] - HOUR_MS - at) // n) for n, at in enumerate(recent[-places:], first))
    return max(-(-HOUR_MS // places), *waits)


EVERYTHING = "*#*"
"""Scope of the mute of all tickers and kinds."""


@dataclass(frozen=True, slots=True)
class Mute:
    """An order of a person: hold what it covers until then.

    Attributes:
        ticker, kind: what it covers; None for all.
        until_ms: when it ends, epoch ms UTC.
        acknowledged: id of the anomaly whose end ends it earlier; "" for a plain mute.
        reason: what the person said.
    """

    until_ms: int
    ticker: str | None = None
    kind: str | None = None
    acknowledged: str = ""
    reason: str = ""

    @property
    def scope(self) -> str:
        """What it covers, as text; a newer order for the same replaces it."""
        return f"{'ack#' if self.acknowledged else ''}{self.ticker or '*'}#{self.kind or '*'}"

    @property
    def words(self) -> str:
        """What it covers, for people."""
        named = " ".join(part for part in (self.ticker, self.kind) if part)
        return named or "everything"

    def covers(self, ticker: str, kind: str) -> bool:
        """Whether it holds this ticker and kind."""
        return self.ticker in {None, ticker} and self.kind in {None, kind}


def scopes(ticker: str, kind: str) -> tuple[str, ...]:
    """The scopes of all orders that can cover a ticker and kind."""
    return EVERYTHING, f"{ticker}#*", f"*#{kind}", f"{ticker}#{kind}", f"ack#{ticker}#{kind}"


@dataclass(frozen=True, slots=True)
class Move:
    """A live anomaly of the last minute, as the market-wide alert sees it."""

    id: str
    ticker: str
    kind: str
    rank: int
    at_ms: int
    explanation: str

    @classmethod
    def of(cls, event: AlertEvent) -> Move:
        """The move that an event tells of."""
        anomaly = event.anomaly
        return cls(
            anomaly.id, anomaly.ticker, anomaly.kind, event.rank, event.at_ms, anomaly.explanation[:300]
        )

    @property
    def severity(self) -> str:
        """Its severity as it opened."""
        return SEVERITIES[self.rank]


@dataclass(frozen=True, slots=True)
class Market:
    """What is remembered of market-wide alerts of an origin.

    Attributes:
        version: as in `Series`.
        covers_until_ms: singles of market time up to then are under the last alert, epoch ms UTC.
        quiet_until_ms, told_rank: as in `Series`.
    """

    version: int = 0
    covers_until_ms: int = 0
    quiet_until_ms: int = 0
    told_rank: int = -1


@dataclass(frozen=True, slots=True)
class MarketMove:
    """What a market-wide alert tells.

    Attributes:
        tickers: that moved within the minute, those with the worst anomalies first.
        watched: tickers on the watch list.
        moves: the anomalies that this alert is the one message of, the worst first.
    """

    tickers: tuple[str, ...]
    watched: int
    moves: tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class State:
    """All that a decision about one event depends on.

    Attributes:
        watched: tickers on the watch list; 0 if that is not known.
        moves: live anomalies around the event, with what is remembered of each; None if they were not loaded.
    """

    alert: Alert = field(default_factory=Alert)
    series: Series = field(default_factory=Series)
    budget: Budget = field(default_factory=Budget)
    market: Market = field(default_factory=Market)
    mutes: tuple[Mute, ...] = ()
    watched: int = 0
    moves: tuple[tuple[Move, Alert], ...] | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The state after an event, and the kind of the message to send now, if any.

    Attributes:
        market: what a market-wide alert tells; the alerts of its moves are in `state.moves` as they are after it.
        asks_for_moves: it depends on the moves, which were not loaded: decide again with them.
    """

    state: State
    message: MessageKind | None = None
    market: MarketMove | None = None
    asks_for_moves: bool = False
