"""Laws over random histories with duplicates, disorder, retries, crashes, overlaps and channels that fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from api.alerts import incident_row, message_row
from consumers.alerts.channels import ChannelError
from consumers.alerts.delivery import WRITE_ATTEMPTS
from consumers.alerts.event import AlertEvent
from consumers.alerts.message_store import StoredMessage
from consumers.alerts.model import HIGH, HOUR_MS, MINUTE_MS, Acknowledgement, Incident, Message, Silence
from consumers.alerts.notifier import Notifier
from consumers.alerts.policy import Policy
from consumers.alerts.settings import AlertSettings, MarketWide
from consumers.alerts.store import AlertStore
from consumers.alerts.table import Delete, Item, MemoryTable, Place, Put
from consumers.contracts.anomaly import SEVERITIES, ms_of_iso
from tests.consumers.alerts.bench import T0_MS, opened, over, worse

FAULTS = ("refused", "lost", "crash before", "crash after", "overlap")
TWO_CHANNELS = AlertSettings.model_validate(
    {
        "channels": {"desk": {"type": "webhook", "settings": {"url": "https://desk.example/"}}},
        "market_wide": None,
    }
)


class CrashError(BaseException):
    """The function was killed."""


@dataclass
class Faults:
    """What goes wrong: at the n-th call from now on, which fault; nothing once `script` is used up.

    Attributes
    ----------
    unclear
        Sends that were taken but not marked, by message and channel: each may come twice.
    """

    script: list[str | None]
    overlap: Callable[[], None] = lambda: None
    unclear: Counter[tuple[str, str]] = field(default_factory=Counter)

    def before(self) -> str | None:
        fault = self.script.pop(0) if self.script else None
        if fault == "overlap":
            self.overlap()
        elif fault == "refused":
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "Write")
        elif fault == "crash before":
            raise CrashError
        return fault

    @staticmethod
    def after(fault: str | None) -> None:
        if fault == "lost":
            raise ClientError({"Error": {"Code": "InternalServerError", "Message": "no answer"}}, "Write")
        if fault == "crash after":
            raise CrashError


class FaultyTable(MemoryTable):
    """A table whose calls go wrong."""

    def __init__(self, inner: MemoryTable, faults: Faults) -> None:
        self._inner, self._faults = inner, faults

    def read(self, places: Iterable[Place]) -> dict[Place, Item]:
        self._faults.before()
        return self._inner.read(places)

    def query(
        self, pk: str, *, after: str = "", until: str = "~", newest: int | None = None
    ) -> Iterator[Item]:
        self._faults.before()
        yield from list(self._inner.query(pk, after=after, until=until, newest=newest))

    def write(self, writes: Sequence[Put | Delete]) -> None:
        fault = self._faults.before()
        self._inner.write(writes)
        self._faults.after(fault)


@dataclass
class Play:
    """Functions, their queue and their minute rule, over one table, with two channels of which one fails.

    Attributes
    ----------
    every_minute
        Sweep as the rule does, without faults; otherwise after each arrival, with faults.
    interrupted
        Deliveries whose function was killed between claim and mark, or to whose claim the table gave no answer.
    """

    script: list[str | None]
    desk_fails: list[bool]
    settings: AlertSettings
    watched: int = 0
    every_minute: bool = False
    now_ms: int = T0_MS
    sends: list[tuple[int, str, Message]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.table = MemoryTable()
        self.faults = Faults(self.script)
        self.store = AlertStore(self.table)
        self.notifier = self._notifier(AlertStore(FaultyTable(self.table, self.faults)), "one")
        self.other = self._notifier(self.store, "other")
        self.alongside: list[AlertEvent] = []
        self.interrupted: set[tuple[str, str]] = set()

    def _notifier(self, store: AlertStore, owner: str) -> Notifier:
        return Notifier(
            store,
            self._send,
            dead_letter=lambda _message, _delivery: None,
            clock=lambda: self.now_ms,
            watched=lambda: self.watched,
            owner=owner,
        )

    def _send(self, channel: str, message: Message, _settings: AlertSettings) -> str:
        if channel == "desk" and self.desk_fails and self.desk_fails.pop(0):
            raise ChannelError("down", where="desk")
        self.sends.append((self.now_ms, channel, message))
        fault = self.faults.script[0] if self.faults.script else None
        if fault in {"refused", "lost", "crash before", "crash after"}:
            self.faults.unclear[message.id, channel] += 1
        return "receipt"

    def deliver(self, arrivals: list[tuple[int, AlertEvent]]) -> None:
        """Deliver events at their times; what fails comes again at once, behind the others."""
        queue = [event for _, event in arrivals]
        self.faults.overlap = lambda: self._alongside(queue)
        for at_ms, event in arrivals:
            self._until(at_ms)
            again = [event]
            for _ in range(50):
                if not again:
                    break
                again = self._invoke(again)
            assert not again
            if self.every_minute:
                self._check_that_all_is_sent()
            else:
                self._quietly(lambda: self.notifier.sweep(self.settings))

    def _until(self, at_ms: int) -> None:
        while self.every_minute and (next_ms := (self.now_ms // MINUTE_MS + 1) * MINUTE_MS) <= at_ms:
            self.now_ms = next_ms
            self.other.sweep(self.settings)
        self.now_ms = max(self.now_ms, at_ms)

    def _check_that_all_is_sent(self) -> None:
        for stored in self.store.messages(T0_MS, self.now_ms):
            if stored.message.kind in {"opened", "escalated"}:
                for one in stored.deliveries:
                    send = stored.message.id, one.channel
                    assert one.channel == "desk" or one.status == "sent" or send in self.interrupted

    def _invoke(self, batch: list[AlertEvent]) -> list[AlertEvent]:
        script = list(self.faults.script)
        try:
            taken = self.notifier.handle(batch, self.settings)
        except CrashError:
            self._interrupt("sending")
            return batch
        met = script[: len(script) - len(self.faults.script)]
        if any(set(met[n : n + WRITE_ATTEMPTS]) <= {"refused", "lost"} for n in range(len(met) - 2)):
            self._interrupt("pending", "sending")
        return [one.event for one in taken if one.error is not None]

    def _interrupt(self, *states: str) -> None:
        for stored in self.store.messages(T0_MS, self.now_ms):
            self.interrupted |= {
                (stored.message.id, one.channel) for one in stored.deliveries if one.status in states
            }

    def _alongside(self, queue: list[AlertEvent]) -> None:
        """Another function, without faults, takes an event that is still in the queue, and sweeps."""
        event = next((one for one in queue if one not in self.alongside and one.at_ms <= self.now_ms), None)
        if event is not None:
            self.alongside.append(event)
            self.other.handle([event], self.settings)
        self.other.sweep(self.settings)

    @staticmethod
    def _quietly(action: Callable[[], object]) -> None:
        with suppress(ClientError, CrashError):
            action()

    def let_time_pass(self, hours: int) -> None:
        """Sweep without faults."""
        self.faults.script.clear()
        self.desk_fails.clear()
        for _ in range(hours * 4):
            self.now_ms += 15 * MINUTE_MS
            assert self.notifier.sweep(self.settings).errors == ()


@st.composite
def _stories(draw: st.DrawFn) -> list[tuple[int, AlertEvent]]:
    """Arrivals of events: openings, escalations and ends, delayed, repeated and out of order."""
    story: list[tuple[int, AlertEvent]] = []
    first = st.builds(
        opened,
        st.integers(0, 40).map(lambda n: T0_MS + n * 20_000),
        st.sampled_from(SEVERITIES),
        ticker=st.sampled_from(["AAPL", "AAPL", "MSFT", "NVDA"]),
        kind=st.sampled_from(["price_spike", "gap", "bad_tick"]),
        source=st.sampled_from(["alpaca", "alpaca", "alpaca", "replay-1"]),
        late=st.sampled_from([False, False, False, True]),
    )
    for event in draw(st.lists(first, max_size=8, unique_by=lambda one: one.anomaly.id)):
        life = [event]
        at_ms = event.at_ms
        for severity in SEVERITIES[event.rank + 1 :]:
            if draw(st.booleans()):
                at_ms += draw(st.integers(1, 300_000))
                life.append(worse(life[-1], at_ms, severity))
        if draw(st.booleans()):
            life.append(over(life[-1], at_ms + draw(st.integers(1, 600_000))))
        for one in life:
            delays = draw(st.lists(st.integers(0, 2 * MINUTE_MS), min_size=1, max_size=2))
            story += [(one.at_ms + delay, one) for delay in delays]
    return sorted(story, key=lambda arrival: arrival[0])


_SCRIPT = st.lists(st.one_of(st.none(), st.none(), st.sampled_from(FAULTS)), max_size=40)
_DESK = st.lists(st.booleans(), max_size=10)
_MARKET = st.sampled_from([None, MarketWide(share=0.5, at_least=2), MarketWide(share=1, at_least=3)])


def _rules(market: MarketWide | None) -> AlertSettings:
    return TWO_CHANNELS.model_copy(update={"market_wide": market})


@settings(max_examples=150, deadline=None)
@given(_stories(), _SCRIPT, _DESK, _MARKET)
def test_no_channel_gets_a_message_twice_but_in_the_documented_case(
    story: list[tuple[int, AlertEvent]], script: list[str | None], desk: list[bool], market: MarketWide | None
) -> None:
    play = Play(script, desk, _rules(market), watched=3)
    play.deliver(story)
    play.let_time_pass(hours=3)
    sends = Counter((message.id, channel) for _, channel, message in play.sends)
    for send, times in sends.items():
        assert times <= 1 + play.faults.unclear[send]
    made = {one.message.id: one for one in play.store.messages(T0_MS, play.now_ms)}
    assert {(id_, channel) for id_, one in made.items() for channel in one.message.channels} == set(sends)
    assert all(one.status == "sent" for one in made.values())
    assert list(play.store.pending()) == []


@settings(max_examples=150, deadline=None)
@given(_stories(), _SCRIPT, _MARKET)
def test_every_anomaly_is_in_exactly_one_incident_that_counts_it(
    story: list[tuple[int, AlertEvent]], script: list[str | None], market: MarketWide | None
) -> None:
    play = Play(script, [], _rules(market), watched=3)
    play.deliver(story)
    play.let_time_pass(hours=2)
    anomalies = {event.anomaly.id for _, event in story}
    found = {id_: play.store.incident_of(id_) for id_ in anomalies}
    counted = Counter(incident.id for incident in found.values() if incident is not None)
    listed = {one.id: one for one in play.store.incidents(T0_MS - HOUR_MS, play.now_ms)}
    assert sum(counted.values()) == len(anomalies)
    assert {id_: one.anomalies for id_, one in listed.items()} == dict(counted)
    ended = {event.anomaly.id for _, event in story if event.change == "ended"}
    going_on = Counter(one.id for id_, one in found.items() if one is not None and id_ not in ended)
    assert {id_: one.open for id_, one in listed.items() if one.open} == dict(going_on)


@settings(max_examples=150, deadline=None)
@given(_stories(), _SCRIPT, _DESK, _MARKET)
def test_every_critical_and_high_incident_is_sent_as_its_event_arrives(
    story: list[tuple[int, AlertEvent]], script: list[str | None], desk: list[bool], market: MarketWide | None
) -> None:
    """Whatever else was sent, whichever other channel fails, and however often a function is killed.

    So is what was high before it got critical.

    But for what is late, replayed, or a misprint's; and where a function was killed between claim and mark, or the
    table refused a claim as often as it is tried, the message is sent when the claim ends, by the next sweep.
    """
    play = Play(script, desk, _rules(market), watched=3, every_minute=True)
    play.deliver(story)
    incident_of = {id_: play.store.incident_of(id_) for id_ in {event.anomaly.id for _, event in story}}
    for incident in play.store.incidents(T0_MS - HOUR_MS, play.now_ms):
        arrived = [
            (at_ms, event)
            for at_ms, event in story
            if incident_of[event.anomaly.id] == incident and event.change != "ended"
        ]
        for rank in (HIGH, HIGH + 1):
            urgent = [
                at_ms
                for at_ms, event in arrived
                if event.rank >= rank
                and Policy(play.settings, at_ms).is_fresh(event)
                and incident.misprint_until_ms == 0
                and not any(one.anomaly.kind == "bad_tick" for _, one in arrived)
            ]
            if urgent:
                sent = [
                    at_ms for at_ms, channel, message in play.sends
                    if channel == "sns" and message.incident and message.incident.peak >= rank
                    and message.kind in {"opened", "escalated"}  # the latter where a digest had what came before
                    and (message.incident.id == incident.id or play.store.incident(message.incident.id) == incident)
                ]  # fmt: skip
                interrupted = {play.store.incident(id_.rpartition("#")[0]) for id_, _ in play.interrupted}
                assert min(sent, default=urgent[0] + 1) <= urgent[0] or incident in interrupted
    play.let_time_pass(hours=1)
    assert all(one.status == "sent" for one in play.store.messages(T0_MS, play.now_ms))


_SILENCES = st.builds(
    Silence,
    until_ms=st.just(T0_MS + 2 * HOUR_MS),
    ticker=st.sampled_from(["AAPL", "MSFT", None]),
    kind=st.sampled_from(["gap", None]),
)


@settings(max_examples=100, deadline=None)
@given(_stories(), _SILENCES, st.integers(0, 15), _SCRIPT, _DESK)
def test_nothing_is_sent_of_what_is_silenced(
    story: list[tuple[int, AlertEvent]],
    silence: Silence,
    after: int,
    script: list[str | None],
    desk: list[bool],
) -> None:
    """From the moment on at which somebody silences it, what a channel did not take before included."""
    play = Play(script, desk, _rules(None))
    play.deliver(story[:after])
    play.store.put_silence(silence)
    before, made = len(play.sends), {one.message.id for one in play.store.messages(T0_MS, play.now_ms)}
    play.deliver(story[after:])
    play.let_time_pass(hours=1)
    for at_ms, _, message in play.sends[before:]:
        if at_ms < silence.until_ms and message.cause is not None:
            assert not silence.covers(message.cause.ticker, message.cause.kind)
        if at_ms < silence.until_ms and message.digest is not None and silence.kind is None:
            covered = [silence.covers(one.subject, one.samples[0].kind) for one in message.digest.listed]
            assert not all(covered) if message.id in made else not any(covered) or after


def _agrees(incident: Incident, made: dict[str, StoredMessage], now_ms: int) -> None:
    row = incident_row(incident, now_ms)
    assert (row["state"] == "resolved") == (row["open_count"] == 0)
    assert ms_of_iso(row["opened_at"]) <= ms_of_iso(row["last_at"])
    assert [one["id"] for one in row["messages"]] == [one.message_id for one in incident.notifications]
    for told in row["messages"]:
        if told["kind"] == "digest":
            continue
        stored = made[told["id"]]
        said = message_row(stored)
        then = stored.message.incident
        assert then is not None
        assert said["severity"] == then.severity
        assert SEVERITIES.index(said["severity"]) <= SEVERITIES.index(row["severity"])
        assert (
            row["severity"].upper() in said["subject"]
            or said["severity"] != row["severity"]
            or (told["kind"] == "resolved" and row["severity"] in said["subject"])
        )
        same = (then.samples, then.anomalies, then.open, then.acknowledgement)
        now = (incident.samples, incident.anomalies, incident.open, incident.acknowledgement)
        if same == now:  # no event, and no person, since
            assert then.severity == row["severity"]
            assert then.state(now_ms) == row["state"]


@settings(max_examples=100, deadline=None)
@given(_stories(), _SCRIPT, _DESK, _MARKET, st.sets(st.integers(0, 15)))
def test_page_api_and_messages_agree_on_state_and_severity_at_every_step(
    story: list[tuple[int, AlertEvent]],
    script: list[str | None],
    desk: list[bool],
    market: MarketWide | None,
    known_after: set[int],
) -> None:
    """The page shows the rows of the API. A message says what they say until an event changes the incident.

    After some arrivals a person acknowledges the incident: nothing new is told of it unless it gets worse.
    """
    play = Play(script, desk, _rules(market), watched=3)
    made: dict[str, StoredMessage] = {}
    known: dict[str, tuple[int, set[str]]] = {}
    for n, arrival in enumerate(story):
        play.deliver([arrival])
        made = {one.message.id: one for one in play.store.messages(T0_MS - HOUR_MS, play.now_ms)}
        incident = play.store.incident_of(arrival[1].anomaly.id)
        if n in known_after and incident is not None and incident.resolved_ms is None:
            by_me = Acknowledgement("me", play.now_ms + 24 * HOUR_MS, 0)
            after = play.store.acknowledge(incident.id, by_me, play.now_ms)
            assert after is not None
            known[after.id] = after.peak, set(made)
        for id_, (rank, before) in known.items():
            for one in (stored.message for key, stored in made.items() if key not in before):
                if one.incident is not None and one.incident.id == id_ and one.kind != "resolved":
                    assert one.incident.peak > rank
        for each in play.store.incidents(T0_MS - HOUR_MS, play.now_ms):
            _agrees(each, made, play.now_ms)
    for incident in play.store.incidents(
        T0_MS - HOUR_MS, play.now_ms
    ):  # an end can come before what led to it
        row = incident_row(incident, play.now_ms)
        urgent = [told for told in row["messages"] if told["kind"] in {"opened", "escalated"}]
        is_plain = incident.misprint_until_ms == 0 and not incident.is_wide and not incident.late
        if urgent and is_plain and incident.id not in known:
            newest = made[urgent[-1]["id"]].message.incident
            assert newest is not None
            assert incident.peak >= HIGH
            assert newest.severity == row["severity"]


class BusyTable(MemoryTable):
    """Lets another notifier do all its work between two calls of one that is at work.

    Attributes
    ----------
    others
        After how many calls, counted over all notifiers, which work begins.
    """

    def __init__(self, inner: MemoryTable, others: list[tuple[int, Callable[[], None]]]) -> None:
        self._inner, self.others = inner, others

    def _let_others_work(self) -> None:
        self.others[:] = [(calls - 1, work) for calls, work in self.others]
        while self.others and self.others[0][0] <= 0:
            self.others.pop(0)[1]()

    def read(self, places: Iterable[Place]) -> dict[Place, Item]:
        self._let_others_work()
        return self._inner.read(places)

    def query(
        self, pk: str, *, after: str = "", until: str = "~", newest: int | None = None
    ) -> Iterator[Item]:
        self._let_others_work()
        yield from list(self._inner.query(pk, after=after, until=until, newest=newest))

    def write(self, writes: Sequence[Put | Delete]) -> None:
        self._let_others_work()
        self._inner.write(writes)


_BEGINS = st.lists(st.integers(0, 25), min_size=4, max_size=4)
_KIND = st.sampled_from(["gap", "price_spike"])


def _at_once(
    play: Play, events: list[AlertEvent], whose: list[int], begins: list[int], order: Sequence[int]
) -> None:
    """Have four notifiers take events in at once, each its own; the next begins at a call of those at work."""
    others = list[tuple[int, Callable[[], None]]]()
    busy = BusyTable(play.table, others)

    def work(notifier: int) -> None:
        batch = [event for event, its in zip(events, whose, strict=True) if its == notifier]
        handled = play._notifier(AlertStore(busy), str(notifier)).handle(batch, play.settings)
        assert [one.error for one in handled] == [None] * len(batch)

    others += [(calls, partial(work, one)) for calls, one in sorted(zip(begins, order, strict=True))]
    while others:
        others.pop(0)[1]()
    # It goes on until its anomalies end, whatever the minute rule finds.
    assert play.other.sweep(play.settings).errors == ()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=4, max_size=8), _BEGINS, st.permutations(range(4)), _KIND)
def test_a_stall_or_a_move_is_one_incident_however_many_notifiers_are_at_work(
    whose: list[int], begins: list[int], order: list[int], kind: str
) -> None:
    """Lambda gives a queue's messages to several functions at once, a few to each."""
    play = Play([], [], _rules(MarketWide()), watched=10, now_ms=T0_MS + 1000)
    events = [opened(T0_MS + n, "high", ticker=f"T{n}", kind=kind) for n in range(len(whose))]
    _at_once(play, events, whose, begins, order)
    found = {play.store.incident_of(event.anomaly.id) for event in events}
    assert len({one and one.id for one in found}) == 1
    (incident,) = {one.id: one for one in found if one is not None}.values()
    assert (incident.is_wide, incident.anomalies, incident.open) == (True, len(events), len(events))
    assert {move.ticker for move in incident.tickers} == {event.anomaly.ticker for event in events}
    assert {one.id for one in found if one} <= {
        message.incident.id for *_, message in play.sends if message.incident
    }


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=2, max_size=6),
    _BEGINS,
    st.permutations(range(4)),
    _KIND,
    st.just({*range(6)}) | st.sets(st.integers(0, 5)),
)
def test_every_incident_has_anomalies_however_many_notifiers_are_at_work(
    whose: list[int], begins: list[int], order: list[int], kind: str, old: set[int]
) -> None:
    """Some tickers have incidents that began before the move, and go on in them."""
    play = Play([], [], _rules(MarketWide(share=0.1, at_least=2)), watched=10, now_ms=T0_MS - 90_000)
    before = [opened(play.now_ms, "high", ticker=f"T{n}", kind=kind) for n in old & {*range(len(whose))}]
    assert [one.error for one in play.other.handle(before, _rules(None))] == [None] * len(before)
    play.now_ms = T0_MS + 1000
    events = [opened(T0_MS + n, "high", ticker=f"T{n}", kind="level_shift") for n in range(len(whose))]
    _at_once(play, events, whose, begins, order)
    found = [play.store.incident_of(event.anomaly.id) for event in (*before, *events)]
    counted = Counter(one.id for one in found if one is not None)
    assert counted.total() == len(found)
    listed = list(play.store.incidents(T0_MS - HOUR_MS, play.now_ms))
    assert {one.id: one.anomalies for one in listed} == {one.id: one.open for one in listed} == counted
    assert all(message.incident.anomalies for *_, message in play.sends if message.incident is not None)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sets(st.integers(0, 119), min_size=1, max_size=3), min_size=1, max_size=8).flatmap(
        lambda bursts: st.permutations([(n, second) for n, burst in enumerate(bursts) for second in burst])
    ),
    st.sets(st.integers(1, 23)),
)
def test_anomalies_of_a_ticker_within_two_minutes_are_one_incident_in_whatever_order_they_come(
    anomalies: list[tuple[int, int]], cuts: set[int]
) -> None:
    """A first batch brings half an hour of history, and another function may have begun with what came after it."""
    play = Play([], [], _rules(None), now_ms=T0_MS + HOUR_MS)
    events = [opened(T0_MS + 5 * MINUTE_MS * burst + 1000 * second) for burst, second in anomalies]
    bounds = [0, *sorted(cut for cut in cuts if cut < len(events)), len(events)]
    for first, last in pairwise(bounds):
        handled = play.other.handle(events[first:last], play.settings)
        assert [one.error for one in handled] == [None] * (last - first)
    bursts: dict[int, set[str]] = {}
    for (burst, _), event in zip(anomalies, events, strict=True):
        found = play.store.incident_of(event.anomaly.id)
        bursts.setdefault(burst, set()).add(found.id if found else "none")
    assert all(len(of) == 1 for of in bursts.values())
    assert len(set.union(*bursts.values())) == len(bursts)


def test_an_incident_over_many_tickers_whose_anomalies_are_all_over_is_resolved() -> None:
    """Ends can come before what they end: nothing else would tell of this move's end."""
    play = Play([], [], _rules(MarketWide(share=0.5, at_least=2)), watched=3, now_ms=T0_MS + 1000)
    first, second = (opened(T0_MS, "high", ticker=ticker) for ticker in ("AAPL", "MSFT"))
    for event in (first, over(first, T0_MS + 1), over(second, T0_MS + 1), second):
        assert [one.error for one in play.other.handle([event], play.settings)] == [None]
    (incident,) = play.store.incidents(T0_MS - HOUR_MS, play.now_ms)
    row = incident_row(incident, play.now_ms)
    assert (incident.is_wide, row["anomaly_count"]) == (True, 2)
    assert (row["open_count"], row["state"]) == (0, "resolved")
