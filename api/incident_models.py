"""The shapes of incidents, of what people said of them and of what the price did since."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from api.models import Severity
from consumers.alerts.context import Verdict
from consumers.alerts.model import IncidentState, MessageKind
from consumers.alerts.policy import Unsent
from producers.origin import Origin


class IncidentAnomaly(BaseModel):
    """An anomaly of an incident, with the severity that it reached."""

    id: str
    ticker: str
    kind: str
    severity: Severity
    began_at: str
    ended_at: str | None
    explanation: str


class IncidentTicker(BaseModel):
    """A ticker of an incident over many."""

    ticker: str
    first_at: str
    severity: Severity
    move: float = Field(description="Its largest return, a share of the price; 0 where none is known.")


class IncidentMessage(BaseModel):
    """A message that was made about an incident."""

    id: str
    kind: MessageKind
    made_at: str
    channels: list[str]


class IncidentContext(BaseModel):
    """What the market did in the minutes before an incident. Moves are returns; null where one is not known."""

    verdict: Verdict | None = Field(description="What explains the move; null where that is not known.")
    why: str = Field(description="Why there is no verdict; empty where there is one.")
    move: float | None = Field(description="The ticker's own, over 5 minutes.")
    median: float | None = Field(description="The median of the other watched tickers' moves.")
    others: int = Field(description="Of how many.")
    index: str = Field(description="The index ticker that is watched; empty for none.")
    index_move: float | None
    beta: float | None = Field(description="How much the ticker usually moves with the index.")
    residual: float | None = Field(
        description="The move less beta times the index's, or less the median where no beta is known."
    )
    sector: str = Field(description="The group of the settings that holds the ticker; empty for none.")
    sector_move: float | None = Field(description="The median of the sector's other tickers.")
    sentence: str = Field(description="The same for people.")


class IncidentModel(BaseModel):
    """Anomalies that belong together, with a state: what people are notified of."""

    id: str
    origin: Origin
    subject: str = Field(
        description="The ticker; `market` for a market-wide move, `feed` for a stall of the feed."
    )
    state: IncidentState
    severity: Severity = Field(description="The highest that was reached.")
    opened_at: str
    last_at: str
    resolved_at: str | None
    acknowledged_by: str | None
    acknowledged_until: str | None
    late: bool
    anomaly_count: int
    open_count: int = Field(description="Anomalies that go on.")
    anomalies: list[IncidentAnomaly] = Field(description="The worst.")
    tickers: list[IncidentTicker] = Field(description="Who moved first; empty for an incident of one ticker.")
    context: IncidentContext | None = Field(description="null for an incident of before there was any.")
    messages: list[IncidentMessage]
    unsent: Unsent | None = Field(
        description="What news of it waits for: the next digest, or the end of a silence or a mute timing."
    )


class IncidentList(BaseModel):
    """Incidents, newest first."""

    incidents: list[IncidentModel]
    count: int


class FeedbackModel(BaseModel):
    """What a person said of an anomaly of an incident; the newest of each anomaly counts."""

    anomaly_id: str
    useful: bool = Field(description="false: noise.")
    by: str
    at: str


class AfterModel(BaseModel):
    """What the price did after an incident began."""

    minutes: int
    move: float | None = Field(
        description="Return since the minute in which its worst anomaly began; null while it is not known."
    )


class IncidentDetail(IncidentModel):
    """An incident, what people said of it, and what the price did since."""

    feedback: list[FeedbackModel] = Field(description="The oldest first.")
    after: list[AfterModel] = Field(
        description="After 5 and 30 minutes; empty for an incident of many tickers."
    )


class FeedbackRequest(BaseModel):
    """Whether it was useful."""

    model_config = ConfigDict(extra="forbid", strict=True)

    useful: bool = Field(description="false: noise.")
    anomaly_id: str = Field(
        "", max_length=256, description="One of the incident's `anomalies`; the worst unless named."
    )
