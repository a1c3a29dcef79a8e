"""Why a step of a proof fails: what the doctor finds, as far as it keeps ticks or messages from their way. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stream_infra import names
from stream_infra.operations.doctor import examine
from stream_infra.operations.doctor.diagnosis import Diagnosis
from stream_infra.operations.facts import MonitorFacts

PARTS_OF_FUNCTION = {
    "scanner": names.SCANNER,
    "detector": names.DETECTOR,
    "notifier": names.NOTIFIER,
    "API": names.API_HANDLER,
}
_OF_THE_DAY = frozenset(
    {
        "alarm",
        "clock-ahead",
        "clock-behind",
        "could-not-look",
        "dead-letters",
        "function-throttled",
        "stream-throttled",
        "table-throttled",
    }
)
"""What has gone wrong with data or load: it says nothing of the way that is still open."""


class StepKind(NamedTuple):
    """A step: its name, the parts that it goes through as `status` names them, and the steps that it goes on from."""

    name: str
    parts: tuple[str, ...]
    needs: tuple[str, ...] = ()


class StepResult(NamedTuple):
    """What became of a step; `causes` of a failure, the likeliest first."""

    name: str
    passed: bool
    detail: str
    seconds: float = 0.0
    causes: tuple[Diagnosis, ...] = ()


PARTS = StepKind("parts", ())
STREAM = StepKind("stream", ("stream", "detector", "windows", "event-source-mapping"))
TABLE = StepKind("table", ("tables", "detector"), ("stream",))
API = StepKind("API", ("API", "tables", "front-door"), ("table",))
PAGE = StepKind("page", ("dashboard", "API", "front-door"), ("table",))
NOTIFIER = StepKind("notifier", ("bus", "notifier queue", "notifier", "detector"), ("table",))
MESSAGE = StepKind("message", ("bus", "notifier queue", "notifier"))
DEAD_LETTERS = StepKind("dead letters", ("dead letters", "buckets"), ("stream",))
ALARM = StepKind("alarm", ("alarms",))
CLEAN = StepKind("nothing left", ())


def blocking(facts: MonitorFacts) -> list[Diagnosis]:
    """Return what keeps ticks or messages from their way, whatever the market does."""
    return [found for found in examine(facts) if _blocks(found, facts)]


def _blocks(found: Diagnosis, facts: MonitorFacts) -> bool:
    if found.cause == "nobody-is-notified":
        return True
    if found.follows_from or found.severity != "failed" or found.cause in _OF_THE_DAY:
        return False
    if found.cause == "feed-dead":  # a vendor that is silent is a matter of its own
        return facts.source is not None and bool(facts.source.problem)
    return not found.cause.endswith("-failed") or found.cause in {"deployment-failed", "function-failed"}


def judge_parts(facts: MonitorFacts) -> StepResult:
    """Return the first step: nothing is sent where a part is known not to let it through."""
    causes = blocking(facts)
    if facts.aws_problem:
        causes = [found for found in examine(facts) if found.severity == "failed"]
    market = "open" if facts.market_open else "closed, which changes nothing"
    detail = "; ".join(found.finding for found in causes) or f"all as deployed; the market is {market}"
    return StepResult(PARTS.name, not causes, detail, causes=tuple(causes))


def causes_of(step: StepKind, problem: str, facts: MonitorFacts) -> tuple[Diagnosis, ...]:
    """Return why a step failed: causes of its own parts before others; never none."""
    found = blocking(facts)
    own = [one for one in found if {one.part, *one.explains} & set(step.parts)]
    return tuple(own or found or [_unknown(step, problem, facts)])


def _unknown(step: StepKind, problem: str, facts: MonitorFacts) -> Diagnosis:
    functions = [PARTS_OF_FUNCTION[part] for part in step.parts if part in PARTS_OF_FUNCTION]
    said = [f"{name} logged: {facts.errors[name].last[:300]}" for name in functions if name in facts.errors]
    tails = "; ".join(f"aws logs tail /aws/lambda/{name} --since 10m" for name in functions)
    return Diagnosis(
        cause="unknown",
        part=step.parts[0] if step.parts else step.name,
        finding=problem,
        because="; ".join(said) or "no cause was found in what AWS reports of its parts: the log says more",
        remedy=tails or "stock-monitor doctor",
        section="verify",
    )


def passed(results: Sequence[StepResult]) -> bool:
    """Return whether a proof was made."""
    return all(result.passed for result in results)
