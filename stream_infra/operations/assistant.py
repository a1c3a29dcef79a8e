"""Tools for assistants: a server of the Model Context Protocol, on its official SDK.

Reading goes through the API. A silence is made only after the person behind the assistant has said yes: the question
goes to them by the protocol's elicitation, and a client that cannot put it gets an error.

Annotations are evaluated here, not deferred: the SDK reads them, and some name a function within a function.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec, Protocol, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from mcp.server.mcpserver import Elicit, ElicitationResult, MCPServer, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

from api.alerts import silence_row
from api.client import Monitor
from api.incident_models import IncidentModel
from api.models import AnomalyModel, BarModel, Safety
from consumers.alerts.model import Silence
from consumers.contracts.anomaly import ms_of_iso
from consumers.contracts.kinds import EVERY_KIND, RULE, spec_of
from consumers.stream.thresholds import Threshold
from producers.errors import MonitorError
from producers.symbols import SYMBOL_RULE, in_capitals, is_symbol
from stream_infra.operations.errors import InputError

INSTRUCTIONS = (
    "The Stock Market Anomaly Monitor: what was not normal in the quotes of the watched tickers, and why. Times are "
    "UTC. `source` tells real quotes from simulated and replayed ones: say so when you report them."
)
MAX_SILENCE_HOURS = 24 * 30
AROUND = timedelta(minutes=15)
"""How much of the chart before and after an anomaly explains it."""

_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
Hours = Annotated[float, Field(gt=0, le=168, description="How far to look back.")]
Ticker = Annotated[str | None, Field(description="Only this ticker.")]


P = ParamSpec("P")
T = TypeVar("T")


class Desk(Protocol):
    """Where silences go."""

    def put_silence(self, silence: Silence) -> None:
        """Put a silence in force, in place of one for the same."""


@dataclass(frozen=True, slots=True)
class AssistantPorts:
    """What the tools work with; `now` returns the time (aware, UTC)."""

    monitor: Monitor
    desk: Desk
    examine: Callable[[], list[dict[str, Any]]]
    now: Callable[[], datetime]
    by: str


class FoundAnomalies(BaseModel):
    """Anomalies, the newest first."""

    anomalies: list[AnomalyModel]
    more: bool = Field(description="Whether there are more than were asked for.")


class Explanation(BaseModel):
    """An anomaly, what was compared, and the minutes around it."""

    anomaly: AnomalyModel
    compared: str = Field(description="What its kind compares with what.")
    bars: list[BarModel] = Field(description="Minute bars from 15 minutes before to 15 minutes after it.")
    incident: IncidentModel | None = Field(
        description="The incident it belongs to, if it is of the last week."
    )


class Confirmation(BaseModel):
    """What the person is asked."""

    confirm: bool = Field(description="Silence it?")


def build(ports: AssistantPorts) -> MCPServer:
    """Return the server; it is run by the caller."""
    server: MCPServer = MCPServer("stock-monitor", instructions=INSTRUCTIONS, log_level="WARNING")
    _register_reads(server, ports)
    _register_silence(server, ports)
    _register_examinations(server, ports)
    return server


def _with_error_text(tool: Callable[P, T]) -> Callable[P, T]:
    """Let an expected error reach the assistant with its text; the SDK shows no other's."""

    @wraps(tool)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return tool(*args, **kwargs)
        except MonitorError as error:
            raise ToolError(str(error)) from error
        except (BotoCoreError, ClientError) as error:
            raise ToolError(f"AWS: {error}") from error

    return called


def _register_reads(server: MCPServer, ports: AssistantPorts) -> None:
    monitor = ports.monitor

    @server.tool(annotations=_READS)
    @_with_error_text
    def anomalies(
        hours: Hours = 24,
        ticker: Ticker = None,
        kind: Annotated[str | None, Field(description=f"One or more of {', '.join(EVERY_KIND)}.")] = None,
        severity: Annotated[
            str | None, Field(description="One or more of low, medium, high, critical, with commas.")
        ] = None,
        limit: Annotated[int, Field(ge=1, le=200)] = 20,
    ) -> FoundAnomalies:
        """List what was not normal lately, the newest first, each with a sentence that says why."""
        since = ports.now() - timedelta(hours=hours)
        listed = list(
            monitor.anomalies(ticker=ticker, kind=kind, severity=severity, since=since, limit=limit + 1)
        )
        return FoundAnomalies(anomalies=listed[:limit], more=len(listed) > limit)

    @server.tool(annotations=_READS)
    @_with_error_text
    def incidents(hours: Hours = 24) -> list[IncidentModel]:
        """List incidents, the newest first: anomalies that belong together, with their state and messages."""
        return monitor.incidents(since=max(_week(ports), ports.now() - timedelta(hours=hours)))

    @server.tool(annotations=_READS)
    @_with_error_text
    def incident(incident_id: str) -> IncidentModel:
        """Return one incident as it is now."""
        return monitor.incidents.get(incident_id)

    @server.tool(annotations=_READS)
    @_with_error_text
    def explain(ticker: str, anomaly_id: str) -> Explanation:
        """Return all that is known of an anomaly: what was compared with what, the prices around it, its incident."""
        found = monitor.anomalies.get(ticker, anomaly_id)
        at = datetime.fromtimestamp(ms_of_iso(found.timestamp.partition("#")[0]) / 1000, UTC)
        bars = monitor.bars(ticker, since=at - AROUND, until=at + AROUND, source=found.source)
        return Explanation(
            anomaly=found, compared=_compared(found.kind), bars=bars, incident=_incident_of(ports, found)
        )

    @server.tool(annotations=_READS)
    @_with_error_text
    def safe_to_trade(ticker: str) -> Safety:
        """Say whether quotes are fresh, no critical incident is open and the market is; if not, why not."""
        return monitor.safe_to_trade(ticker)


def _compared(kind: str) -> str:
    return "what a person's own rule names" if kind == RULE else spec_of(kind).summary


def _week(ports: AssistantPorts) -> datetime:
    """Return since when the API knows incidents, with a minute for a clock that is not ours."""
    return ports.now() - timedelta(days=7) + timedelta(minutes=1)


def _incident_of(ports: AssistantPorts, anomaly: AnomalyModel) -> IncidentModel | None:
    listed = ports.monitor.incidents(since=_week(ports))
    return next((one for one in listed if any(part.id == anomaly.id for part in one.anomalies)), None)


def _register_silence(server: MCPServer, ports: AssistantPorts) -> None:
    @_with_error_text
    def confirm(ticker: str | None, kind: str | None, hours: float, reason: str) -> Elicit[Confirmation]:
        made = _silence(ports, ticker, kind, hours, reason)
        until = ports.now() + timedelta(hours=hours)
        question = (
            f"Silence {made.words} until {until:%Y-%m-%d %H:%M} UTC? No alerts of it are sent until then."
        )
        return Elicit(f"{question} Reason: {reason or 'none given'}.", Confirmation)

    @server.tool(
        annotations=ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True)
    )
    @_with_error_text
    def silence(
        hours: Annotated[float, Field(gt=0, le=MAX_SILENCE_HOURS)],
        answer: Annotated[ElicitationResult[Confirmation], Resolve(confirm)],
        ticker: Ticker = None,
        kind: Annotated[str | None, Field(description=f"Only this kind: {', '.join(EVERY_KIND)}.")] = None,
        reason: Annotated[str, Field(max_length=200)] = "",
    ) -> dict[str, Any]:
        """Silence a ticker, a kind, or both, for some hours. The person is asked first, and may decline."""
        if answer.action != "accept" or not answer.data.confirm:
            return {"silenced": False, "detail": "the person did not confirm: nothing was changed"}
        made = _silence(ports, ticker, kind, hours, reason)
        ports.desk.put_silence(made)
        return {"silenced": True, **silence_row(made)}


def _silence(
    ports: AssistantPorts, ticker: str | None, kind: str | None, hours: float, reason: str
) -> Silence:
    if ticker is None and kind is None:
        raise InputError("say what to silence", allowed="a ticker, a kind, or both")
    symbol = in_capitals(ticker) if ticker is not None else None
    if symbol is not None and not is_symbol(symbol):
        raise InputError(f"ticker {ticker!r}", allowed=f"a ticker of {SYMBOL_RULE}")
    if kind is not None and kind not in EVERY_KIND:
        raise InputError(f"kind {kind!r}", allowed=f"one of {', '.join(EVERY_KIND)}")
    until = ports.now() + timedelta(hours=hours)
    return Silence(int(until.timestamp() * 1000), symbol, kind, reason, ports.by)


def _register_examinations(server: MCPServer, ports: AssistantPorts) -> None:
    @server.tool(annotations=_READS)
    @_with_error_text
    def backtest(
        file: Annotated[
            str, Field(description="Recorded ticks on this machine: .csv, .jsonl (.gz), .parquet.")
        ],
        threshold: Annotated[float, Field(gt=0)] = 2.5,
    ) -> dict[str, Any]:
        """Say what the detectors would have found in a recording, by kind; no monitor is needed."""
        from stream_infra.operations.offline import backtest as core  # noqa: PLC0415  numpy

        recording = core.Recording()
        outcomes = core.run([Path(file)], [Threshold.parse(str(threshold))], recording)
        report = core.as_dict(recording, outcomes)
        (found,) = report.pop("thresholds")
        return {**found, **report, "rejected": report["rejected"][:5]}

    @server.tool(annotations=_READS)
    @_with_error_text
    def doctor() -> dict[str, Any]:
        """Examine every part of the monitor: what is wrong, its cause, and the remedy."""
        found = ports.examine()
        return {"healthy": not any(one["severity"] == "failed" for one in found), "diagnoses": found}
