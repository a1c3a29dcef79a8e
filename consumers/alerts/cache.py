"""What is remembered of alerts, in memory: as much as a batch of events needs, or all of a rehearsal. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from consumers.alerts.event import AlertEvent
from consumers.alerts.items import SeriesKey, series_of
from consumers.alerts.model import Alert, Budget, Decision, Market, Mute, Series, State, scopes


@dataclass
class Book:
    """Alerts by the id of their anomaly, budgets and markets by origin, mutes by scope.

    What is not in it was never heard of.
    """

    alerts: dict[str, Alert] = field(default_factory=dict)
    series: dict[SeriesKey, Series] = field(default_factory=dict)
    budgets: dict[str, Budget] = field(default_factory=dict)
    markets: dict[str, Market] = field(default_factory=dict)
    mutes: dict[str, Mute] = field(default_factory=dict)

    def copy(self) -> Book:
        """The book as it is now."""
        return Book(
            dict(self.alerts), dict(self.series), dict(self.budgets), dict(self.markets), dict(self.mutes)
        )

    def state(self, event: AlertEvent) -> State:
        """What a decision about an event depends on, but for the moves around it."""
        key = series_of(event)
        covering = (self.mutes.get(scope) for scope in scopes(key[1], key[2]))
        return State(
            alert=self.alerts.get(event.anomaly.id, Alert()),
            series=self.series.get(key, Series()),
            budget=self.budgets.get(key[0], Budget()),
            market=self.markets.get(key[0], Market()),
            mutes=tuple(mute for mute in covering if mute is not None),
        )

    def remember(self, event: AlertEvent, before: State, decision: Decision) -> None:
        """Write a decision into it; `before` is the state that it was made on."""
        key, after = series_of(event), decision.state
        self.alerts[event.anomaly.id] = after.alert
        self.series[key] = after.series
        self.budgets[key[0]] = after.budget
        self.markets[key[0]] = after.market
        for mute in before.mutes:
            if mute not in after.mutes:
                del self.mutes[mute.scope]
        if decision.market is not None:
            self.alerts.update((move.id, alert) for move, alert in after.moves or ())
