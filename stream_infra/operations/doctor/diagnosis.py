"""What the doctor says, and how it tells causes from what merely follows from them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from stream_infra.operations.doctor.facts import Alarm
from stream_infra.operations.health import Finding

RUNBOOK = "docs/runbook.md"
DEPLOY, UP = "npx cdk deploy --all", "make up"
LOST_LOCAL = "make clean up"
# An unchanged template is no reason for CloudFormation to look at what was deleted behind its back.
LOST = "remove it from its stack and add it again, as the runbook says"
Severity = Literal["failed", "warning"]


@dataclass(frozen=True)
class Diagnosis:
    """Something that is wrong.

    Attributes:
        cause: short name of the cause, the same whenever it is found.
        part: the part of the monitor that it concerns, as `stock-monitor status` names it.
        finding: what was seen.
        because: why that is so, or what it leads to.
        remedy: the command to run, or what to do.
        section: anchor of the section in the runbook.
        severity: a "warning" works now, but should not stay.
        explains: parts whose failure follows from this.
        follows_from: causes that explain it, where it is no cause itself.
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
        """JSON-able values, with the runbook's section as a link."""
        values = asdict(self)
        del values["explains"]
        return {**values, "runbook": f"{RUNBOOK}#{values.pop('section')}"}


SECTIONS = {
    "emulator": "local-programs",
    "front-door": "local-programs",
    "event-source-mapping": "local-programs",
    "AWS": "aws-does-not-answer",
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
    "stock-scanner-dlq": "dead-letters",
    "stock-notifier-dlq": "notifier-dead-letters",
    "API": "api-5xx-errors",
    "dashboard": "dashboard-not-loading",
}


def missing(
    local: bool, part: str, what: str, explains: tuple[str, ...], section: str = "missing-resources"
) -> Diagnosis:
    """Something that is not there although a stack made it."""
    return Diagnosis(
        cause="missing-resource",
        part=part,
        finding=f"{what} is not there",
        because="it was deleted outside of the stacks",
        remedy=LOST_LOCAL if local else LOST,
        section=section,
        explains=explains,
    )


def diagnose(
    causes: Iterable[Diagnosis], findings: Iterable[Finding], alarms: Iterable[Alarm], *, local: bool
) -> list[Diagnosis]:
    """Causes first, then what follows from them; a failed part that no cause explains is a diagnosis of its own.

    Args:
        causes: what `causes.find` found.
        findings: what `health.examine` found of each part.
        alarms: those that ring; one whose section of the runbook is that of a cause is explained by it.
        local: an emulator rings on what it knows of an alarm's metric, so that there they only warn.
    """
    found = list(causes)
    causes = [_placed(cause, found) for cause in found]
    own, explained = [], []
    failed = [_of(finding) for finding in findings if finding.state == "failed"]
    named = {(cause.part, cause.section) for cause in causes}
    for symptom in failed:
        if (symptom.part, symptom.section) in named:
            continue  # the cause says the same, and why
        explaining = tuple(dict.fromkeys(c.cause for c in causes if symptom.part in c.explains))
        if explaining:
            explained.append(replace(symptom, follows_from=explaining))
        else:
            own.append(symptom)
    ringing = [_of_alarm(alarm, causes, local=local) for alarm in alarms]
    everything = [*causes, *own, *ringing]
    roots = [found for found in everything if not found.follows_from]
    explained += [found for found in everything if found.follows_from]
    return [
        *(found for found in roots if found.severity == "failed"),
        *explained,
        *(found for found in roots if found.severity == "warning"),
    ]


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
        because="no cause was found in what AWS tells of its parts: the log says more",
        remedy=finding.action or "see the runbook",
        section=SECTIONS.get(finding.part, "troubleshooting"),
    )


def healthy(diagnoses: Iterable[Diagnosis]) -> bool:
    """Whether nothing has failed; warnings do not count."""
    return all(diagnosis.severity != "failed" for diagnosis in diagnoses)
