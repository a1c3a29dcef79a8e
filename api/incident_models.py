"""The shapes of one incident: with what people said of it, and what the price did since."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from api.models import IncidentModel


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
