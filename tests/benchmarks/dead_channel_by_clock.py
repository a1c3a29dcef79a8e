"""A minute's flood with one channel dead, by a clock of its own: what the design makes people wait, on any machine.

The notifier is the real one, over a table in memory. Whatever it asks of AWS, of a channel or of its processor takes as
long as is stated below, by a simulated clock; functions are threads of which one runs at a time, so that a run has the
same result wherever it is made. `dead_channel.py` is the same by a wall clock.
"""

from __future__ import annotations

import argparse
import heapq
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from consumers.alerts.channels import ChannelError
from consumers.alerts.event import AlertEvent
from consumers.alerts.model import Message
from consumers.alerts.notifier import Notifier
from consumers.alerts.settings import AlertSettings
from consumers.alerts.store import AlertStore
from consumers.alerts.table import Delete, Item, MemoryTable, Place, Put
from stream_infra.names import NOTIFIER_CONCURRENCY
from tests.consumers.alerts import pump
from tests.consumers.alerts.bench import T0_MS, received

CALL_MS = 6.0
"""DynamoDB's answer to a read or a write of one item, and the network: single-digit milliseconds (its guide)."""
TRANSACTION_MS = 20.0
CPU_SHARE = 512 / 1769
"""Of a processor, for the notifier's 512 MB (Lambda guide, "Configure Lambda function memory")."""
CALL_CPU_MS = 1.3 / CPU_SHARE
"""Processor time of a call (docs/performance.md: .5 to 1.3 ms)."""
EVENT_CPU_MS = 0.6 / CPU_SHARE
"""Processor time of the notifier's own for an event: a third of what `pump.py` measures is not botocore's."""
SENDS_MS = {"sns": 50.0, "chat": 250.0}
TIME_OUT_MS = 3_000.0


class Clock:
    """A simulated clock for threads of which one runs at a time: each runs until it sleeps, then the one due first."""

    def __init__(self) -> None:
        self.now_ms = float(T0_MS)
        self._due: list[tuple[float, int, threading.Event]] = []
        self._number = 0

    def __call__(self) -> int:
        """Return the time, epoch ms UTC."""
        return round(self.now_ms)

    def sleep(self, ms: float) -> None:
        """Let time pass."""
        mine = self._list(ms)
        self._next()
        mine.wait()

    def run(self, jobs: Sequence[Callable[[], Any]]) -> list[Any]:
        """Run jobs side by side; return their results when all are done."""
        results: list[Any] = [None] * len(jobs)
        left, all_done = [len(jobs)], threading.Event()

        def work(n: int, begin: threading.Event) -> None:
            begin.wait()
            results[n] = jobs[n]()
            left[0] -= 1
            if not left[0]:
                self._number += 1
                heapq.heappush(self._due, (self.now_ms, self._number, all_done))
            self._next()

        for n in range(len(jobs)):
            threading.Thread(target=work, args=(n, self._list(0)), daemon=True).start()
        self._next()
        all_done.wait()
        return results

    def _list(self, ms: float) -> threading.Event:
        event = threading.Event()
        self._number += 1
        heapq.heappush(self._due, (self.now_ms + ms, self._number, event))
        return event

    def _next(self) -> None:
        if self._due:
            self.now_ms, _, event = heapq.heappop(self._due)
            event.set()


class SlowTable(MemoryTable):
    """A table whose calls take as long as DynamoDB's."""

    def __init__(self, inner: MemoryTable, clock: Clock, calls: Counter[str]) -> None:
        self._inner, self._clock, self._calls = inner, clock, calls

    def _takes(self, what: str, ms: float) -> None:
        self._calls[what] += 1
        self._clock.sleep(ms + CALL_CPU_MS)

    def read(self, places: Iterable[Place]) -> dict[Place, Item]:
        places = list(places)
        if places:  # as `DynamoTable`: for none it asks nothing
            self._takes("read", CALL_MS)
        return self._inner.read(places)

    def query(
        self, pk: str, *, after: str = "", until: str = "~", newest: int | None = None
    ) -> Iterator[Item]:
        self._takes("query", CALL_MS)
        yield from list(self._inner.query(pk, after=after, until=until, newest=newest))

    def write(self, writes: Sequence[Put | Delete]) -> None:
        self._takes("write", CALL_MS if len(writes) == 1 else TRANSACTION_MS)
        self._inner.write(writes)


@dataclass
class Flood:
    """A minute, and what came of it.

    Attributes
    ----------
    waits_ms
        By channel: from the event that each message sent at once tells of until the channel had it.
    waited_ms
        From the time of each event until a function took it.
    """

    asked: argparse.Namespace
    dead: tuple[str, ...] = ()
    clock: Clock = field(default_factory=Clock)
    random: Random = field(default_factory=lambda: Random(1))
    calls: Counter[str] = field(default_factory=Counter)
    waits_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    waited_ms: list[float] = field(default_factory=list)
    got: Counter[tuple[str, str]] = field(default_factory=Counter)
    hung: int = 0

    def __post_init__(self) -> None:
        hooks = {
            name: {"type": "webhook", "settings": {"url": f"https://{name}.example/"}}
            for name in ("chat", *self.dead)
        }
        self.settings = AlertSettings.model_validate(
            {"channels": hooks, **({"market_wide": None} if self.asked.apart else {})}
        )
        self.table = MemoryTable()
        share = argparse.Namespace(**{**vars(self.asked), "worker": 0, "workers": 1, "start_ms": T0_MS})
        events = [received(event) for event in pump.twice(pump.events(share))]
        self.events = sorted(events, key=lambda event: event.at_ms)
        self.due: deque[tuple[AlertEvent, int]] = deque((event, 1) for event in self.events)
        self.times: dict[str, list[int]] = defaultdict(list)
        for event in self.events:
            self.times[event.anomaly.id].append(event.at_ms)

    def live(self) -> Flood:
        """Let the functions take all events."""
        self.clock.run([partial(self._function, n) for n in range(self.asked.workers)])
        return self

    def _function(self, number: int) -> None:
        notifier = Notifier(
            AlertStore(SlowTable(self.table, self.clock, self.calls)),
            self._send,
            dead_letter=lambda _message, _delivery: None,
            clock=self.clock,
            watched=lambda: self.asked.tickers,
            pause=lambda attempt: self.clock.sleep(self.random.uniform(0, min(20 * 2**attempt, 1000))),
            run=lambda send, items: self.clock.run([partial(send, one) for one in items]) if items else [],
            owner=str(number),
        )
        while self.due:
            batch: list[tuple[AlertEvent, int]] = []
            while self.due and len(batch) < pump.BATCH and self.due[0][0].at_ms <= self.clock.now_ms:
                batch.append(self.due.popleft())
            if not batch:
                self.clock.sleep(max(5.0, self.due[0][0].at_ms - self.clock.now_ms))
                continue
            self.waited_ms += [self.clock.now_ms - event.at_ms for event, _ in batch]
            self.clock.sleep(EVENT_CPU_MS * len(batch))
            handled = notifier.handle([event for event, _ in batch], self.settings)
            for (event, receives), one in zip(batch, handled, strict=True):
                if one.error is not None:
                    assert receives < pump.RECEIVES, "an event is lost"
                    self.due.appendleft((event, receives + 1))

    def _send(self, channel: str, message: Message, _settings: AlertSettings) -> str:
        if channel in self.dead:
            self.hung += 1
            self.clock.sleep(TIME_OUT_MS)
            raise ChannelError("no answer", where=channel)
        self.clock.sleep(SENDS_MS[channel] + CALL_CPU_MS)
        self.got[message.id, channel] += 1
        if message.kind in {"opened", "escalated"} and message.cause is not None:
            times = [at_ms for at_ms in self.times[message.cause.id] if at_ms <= self.clock.now_ms]
            self.waits_ms[channel].append(self.clock.now_ms - max(times))
        return "taken"

    def check(self) -> None:
        """Check that nothing is lost.

        Raises
        ------
        AssertionError
            It is, or came twice.
        """
        store = AlertStore(self.table)
        opened = sum(
            event.change == "detected"
            for event in {(one.key, one.anomaly.id): one for one in self.events}.values()
        )
        assert sum(one.anomalies for one in store.incidents(T0_MS, self.clock())) == opened
        for stored in store.messages(T0_MS, self.clock()):
            for one in stored.deliveries:
                expected = 0 if one.channel in self.dead else 1
                assert self.got[stored.message.id, one.channel] == expected or one.status == "pending"
        assert max(self.got.values()) == 1

    def row(self) -> dict[str, str]:
        """Its figures."""
        figures = {}
        for channel, of_it in sorted(self.waits_ms.items()):
            waits = sorted(of_it)
            figures[f"{channel}: within 3 s"] = f"{sum(wait <= 3000 for wait in waits)} of {len(waits)}"
            figures[f"{channel}: median"] = f"{waits[len(waits) // 2] / 1000:.2f} s"
            figures[f"{channel}: longest"] = f"{waits[-1] / 1000:.2f} s"
        return {
            **figures,
            "event waits, longest": f"{max(self.waited_ms) / 1000:.2f} s",
            "calls an event": f"{sum(self.calls.values()) / len(self.events):.2f}",
            "sends that hung": str(self.hung),
        }


def main() -> None:
    asked = pump.asked(__doc__, NOTIFIER_CONCURRENCY)
    rows = {}
    for name, dead in (("all well", ()), ("one dead", ("desk",)), ("three dead", ("desk", "pager", "team"))):
        flood = Flood(asked, dead).live()
        flood.check()
        rows[name] = flood.row()
    pump.print_columns(rows)


if __name__ == "__main__":
    main()
