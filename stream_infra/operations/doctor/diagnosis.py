"""What the doctor says, and how it separates causes from what merely follows from them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from stream_infra import names
from stream_infra.operations.facts import Alarm, MonitorFacts
from stream_infra.operations.health import Finding

RUNBOOK = "docs/runbook.md"
Severity = Literal["failed", "warning"]


@dataclass(frozen=True)
class Diagnosis:
    """Something that is wrong.

    Parameters
    ----------
    cause
        Short name of the cause, the same whenever it is found.
    part
        The part of the monitor that it concerns, as `stock-monitor status` names it.
    finding
        What was observed.
    because
        Why that is so, or what it leads to.
    remedy
        The command to run, or what to do.
    section
        Anchor of the section in the runbook.
    severity
        A "warning" works now, but should not stay.
    explains
        Parts whose failure follows from this.
    follows_from
        Causes that explain it, where it is no cause itself.
    """

    cause: str
    part: str
    finding: str
    because: str
    remedy: str
    section: str
    severity: Severity = "failed"
    explains: tuple[str, ...] = ()
    follows_from: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able values, with the runbook's section as a link."""
        values = asdict(self)
        del values["explains"]
        return {**values, "runbook": f"{RUNBOOK}#{values.pop('section')}"}


SECTIONS = {
    "emulator": "local-programs",
    "front-door": "local-programs",
    "event-source-mapping": "local-programs",
    "saved data": "local-programs",
    "AWS": "aws-does-not-answer",
    "source": "feed-silence",
    "stream": "no-quotes",
    "scanner": "scanner-stopped",
    "detector": "detector-errors",
    "windows": "iterator-age",
    "balance of ticks": "ticks-not-accounted-for",
    "tables": "missing-resources",
    "bus": "rules",
    "notifier": "notifier-errors",
    "notifier queue": "notifier-queue",
    "dead letters": "dead-letters",
    names.DEAD_LETTER_QUEUE: "dead-letters",
    names.NOTIFIER_DEAD_LETTER_QUEUE: "notifier-dead-letters",
    "API": "api-5xx-errors",
    "dashboard": "dashboard-not-loading",
    "outbox": "local-programs",
}


def missing(
    facts: MonitorFacts, part: str, what: str, explains: tuple[str, ...], section: str = "missing-resources"
) -> Diagnosis:
    """Return the diagnosis of something that is not there although a stack made it."""
    return Diagnosis(
        cause="missing-resource",
        part=part,
        finding=f"{what} is not there",
        because="it was deleted outside of the stacks",
        remedy=facts.restore,
        section=section,
        explains=explains,
    )


def diagnose(
    causes: Iterable[Diagnosis], findings: Iterable[Finding], alarms: Iterable[Alarm], *, local: bool
) -> list[Diagnosis]:
    """Return causes first, then what follows from them, then warnings.

    Parameters
    ----------
    causes
        What `causes.find` found.
    findings
        What `health.judge` found of each part; one that failed and no cause explains is a diagnosis of its own.
    alarms
        Those that ring; one whose section of the runbook is that of a cause is explained by it.
    local
        An emulator rings on what it knows of an alarm's metric, so that there they only warn.
    """
    found = list(causes)
    causes = [_placed(cause, found) for cause in found]
    said = {(cause.part, cause.section) for cause in causes}  # a cause says the same as its symptom, and why
    symptoms = [_of(finding) for finding in findings if finding.state == "failed"]
    own = [_explained(symptom, causes) for symptom in symptoms if (symptom.part, symptom.section) not in said]
    ringing = [_of_alarm(alarm, causes, local=local) for alarm in alarms]
    return sorted([*causes, *own, *ringing], key=_rank)


def _rank(diagnosis: Diagnosis) -> int:
    if diagnosis.follows_from:
        return 1
    return 0 if diagnosis.severity == "failed" else 2


def _explained(symptom: Diagnosis, causes: Iterable[Diagnosis]) -> Diagnosis:
    explaining = dict.fromkeys(cause.cause for cause in causes if symptom.part in cause.explains)
    return replace(symptom, follows_from=tuple(explaining))


def _placed(cause: Diagnosis, causes: Iterable[Diagnosis]) -> Diagnosis:
    """Dead letters are a cause of their own only if nothing else explains why there are some."""
    if cause.cause != "dead-letters":
        return cause
    others = [other.cause for other in causes if other.cause != cause.cause and cause.part in other.explains]
    return replace(cause, follows_from=tuple(dict.fromkeys(others)))


def _of_alarm(alarm: Alarm, causes: Iterable[Diagnosis], *, local: bool) -> Diagnosis:
    """Sections of alarms are named in their descriptions, as the stack of alarms writes them."""
    named = re.search(r"runbook\.md#([\w-]+)", alarm.description)
    section = named.group(1) if named else "alarms"
    return Diagnosis(
        cause="alarm",
        part=alarm.name,
        finding=f"the alarm {alarm.name} rings: {alarm.description.split(' Runbook:')[0]}",
        because=alarm.reason or "its metric crossed the threshold",
        remedy="see the runbook",
        section=section,
        severity="warning" if local else "failed",
        follows_from=tuple(dict.fromkeys(cause.cause for cause in causes if cause.section == section)),
    )


def _of(finding: Finding) -> Diagnosis:
    return Diagnosis(
        cause=f"{finding.part.replace(' ', '-').lower()}-failed",
        part=finding.part,
        finding=finding.detail,
        because="no cause was found in what AWS reports of its parts: the log says more",
        remedy=finding.action or "see the runbook",
        section=SECTIONS.get(finding.part, "troubleshooting"),
    )


def healthy(diagnoses: Iterable[Diagnosis]) -> bool:
    """Return whether nothing has failed; warnings do not count."""
    return all(diagnosis.severity != "failed" for diagnosis in diagnoses)
