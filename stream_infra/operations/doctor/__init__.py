"""The doctor: what is wrong with a monitor, what causes it, and the section of the runbook that helps.

Pure: `stream_infra.operations.gather` queries AWS, and `health` judges the parts.
"""

from __future__ import annotations

from stream_infra.operations import health
from stream_infra.operations.doctor import causes
from stream_infra.operations.doctor.diagnosis import Diagnosis, diagnose
from stream_infra.operations.facts import MonitorFacts


def examine(facts: MonitorFacts) -> list[Diagnosis]:
    """Return what is wrong with a monitor, causes first; empty if nothing is."""
    # Without AWS the programs are the only thing that can be known.
    found = causes.programs(facts) if facts.aws_problem else causes.find(facts)
    return diagnose(found, health.judge(facts), facts.alarms, local=facts.local)
