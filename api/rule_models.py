"""The shapes of rules and thresholds in requests and responses."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.models import Severity
from api.parameters import TickerOrAll
from consumers.contracts.kinds import KINDS
from consumers.stream.thresholds import HIGHEST, LOWEST


# For the document only: what it rejects the rules reject in words.
def _span(lowest: float, highest: float) -> dict[str, Any]:
    return {"minimum": lowest, "maximum": highest}


def _kind(text: str) -> str:
    if text and text not in KINDS:
        raise ValueError(f"must be one of {', '.join(KINDS)}")
    return text


class RuleModel(BaseModel):
    """A person's own rule; `when` it is met an anomaly of the kind `rule` says so."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str = Field(
        description="A name of one's own: 1 to 32 of A-Z a-z 0-9 -.",
        json_schema_extra={"pattern": "^[A-Za-z0-9-]{1,32}$"},
    )
    when: Literal["above", "below", "moves", "spread", "volume"] = Field(
        description="The price rises above or falls below `value`, or moves `value` percent within `minutes`; the"
        " spread is `value` basis points or wider; a tick trades `value` times its usual volume."
    )
    value: float
    ticker: TickerOrAll = Field("", description="Empty for every ticker.")
    minutes: float = Field(0, description="Of moves: 1 to 240.", json_schema_extra=_span(0, 240))
    repeat: Literal["once", "daily", "always"] = "always"
    hysteresis: float = Field(
        0.1, description="Percent to go back before it can be met again.", json_schema_extra=_span(0, 50)
    )
    severity: Severity = "high"


class RuleList(BaseModel):
    """A person's own rules."""

    rules: list[RuleModel]
    count: int


class Thresholds(BaseModel):
    """The scores from which on a tick is an anomaly: per ticker before per kind before the default."""

    default: float
    kinds: dict[str, float] = Field(description="By kind.")
    tickers: dict[str, float | dict[str, float]] = Field(
        description="By ticker; for all its kinds, or by kind."
    )


class ThresholdRequest(BaseModel):
    """One threshold: of a ticker, of a kind, of both, or the default; null leaves it to the wider one."""

    model_config = ConfigDict(extra="forbid", strict=True)

    value: float | None = Field(json_schema_extra=_span(LOWEST, HIGHEST))
    ticker: TickerOrAll = Field("", description="Empty for every ticker.")
    kind: Annotated[str, AfterValidator(_kind)] = Field(
        "", description="Empty for every kind.", json_schema_extra={"enum": ["", *KINDS]}
    )


class ThresholdChange(Thresholds):
    """What is in force within a minute, who set it and when."""

    by: str
    at: str = Field(description="ISO 8601, ms, UTC.")
