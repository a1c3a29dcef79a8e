"""One examination: ask, judge, answer."""

from __future__ import annotations

from datetime import datetime

from stream_infra.operations import health
from stream_infra.operations.doctor import causes
from stream_infra.operations.doctor.diagnosis import Diagnosis, diagnose
from stream_infra.operations.doctor.facts import Facts
from stream_infra.operations.doctor.gather import Gatherer
from stream_infra.operations.endpoints import Endpoints


def examine(endpoints: Endpoints, now: datetime) -> list[Diagnosis]:
    """What is wrong with a monitor, causes first; empty if nothing is."""
    findings = health.examine(endpoints, now)
    if any(finding.part == "AWS" and finding.state == "failed" for finding in findings):
        programs = tuple(health.stopped_programs(endpoints))  # the only thing that can be known now
        return diagnose(causes.programs(programs), findings, (), local=endpoints.aws is not None)
    facts: Facts = Gatherer(endpoints, now).facts()
    return diagnose(causes.find(facts), findings, facts.alarms, local=facts.local)
