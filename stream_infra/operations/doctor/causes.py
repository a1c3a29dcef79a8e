"""The causes of trouble that can be read from the facts. Pure: facts in, diagnoses out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from stream_infra import names
from stream_infra.operations.doctor import inputs, stores
from stream_infra.operations.doctor.diagnosis import Diagnosis, missing
from stream_infra.operations.facts import Function, MonitorFacts
from stream_infra.operations.health import saved_data

Check = Callable[[MonitorFacts], Iterator[Diagnosis]]
PART_OF_FUNCTION = {
    names.SCANNER: "scanner",
    names.DETECTOR: "detector",
    names.NOTIFIER: "notifier",
    names.API_HANDLER: "API",
    names.LAKE: "lake",
}
_FOLLOWS = {
    names.SCANNER: ("scanner", "stream", "windows", names.DEAD_LETTER_QUEUE),
    names.DETECTOR: ("detector", "windows", names.DEAD_LETTER_QUEUE),
    names.NOTIFIER: ("notifier", "notifier queue", names.NOTIFIER_DEAD_LETTER_QUEUE),
    names.API_HANDLER: ("API", "dashboard"),
    names.LAKE: ("lake",),
}
_ALL = ("scanner", "stream", "detector", "windows", "balance of ticks", "notifier", "notifier queue", "API")
_PROGRAMS = {
    "emulator": ("AWS", *_ALL, "dashboard", "outbox"),
    "front-door": ("API", "dashboard", "outbox"),
    "event-source-mapping": ("detector", "windows"),
}
_RULES = {
    names.SCHEDULE_RULE: ("scanner", "scanner-stopped", "no scan is started: no quotes come", _ALL[:4]),
    names.DIGEST_RULE: (
        "notifier",
        "rules",
        "digests do not close, failed alerts are not tried again",
        ("notifier",),
    ),
    names.ANOMALY_RULE: ("bus", "rules", "anomalies are found and nobody is notified", ("bus", "notifier")),
    names.CANARY_RULE: ("detector", "heartbeat", "at night nothing shows that ticks come through", ()),
    names.FAILED_BATCH_RULE: ("dead letters", "rules", "failed batches are not announced", ()),
}

_MANY_THROTTLES = 5
"""Fewer in ten minutes are a crowd that has passed: what was throttled is tried again by itself."""


def find(facts: MonitorFacts) -> list[Diagnosis]:
    """Return every cause that the facts show."""
    return [diagnosis for check in _CHECKS for diagnosis in check(facts)]


def programs(facts: MonitorFacts) -> Iterator[Diagnosis]:
    """Find programs of the local monitor that do not run, or are halted."""
    for name, pid in facts.programs.items():
        if pid is not None and pid not in facts.halted:
            continue
        ended = "the local monitor was ended, or the program failed: `stock-monitor status` names its log"
        yield Diagnosis(
            cause="program-stopped",
            part=name,
            finding=f"the program {name} does not run" + (f": process {pid} is halted" if pid else ""),
            because="a signal halted it (SIGSTOP, Ctrl-Z)" if pid else ended,
            remedy="make up",
            section="local-programs",
            explains=_PROGRAMS.get(name, ()),
        )


def _saved_data(facts: MonitorFacts) -> Iterator[Diagnosis]:
    for found in saved_data(facts):
        because = (
            "the disk is full, say, or the folder cannot be written: a kill would cost what was not saved"
        )
        yield Diagnosis("not-saved", found.part, found.detail, because, found.action, "local-programs")


def _stacks(facts: MonitorFacts) -> Iterator[Diagnosis]:
    for name, status in facts.stacks.items():
        if status is None:
            finding, because = f"{name} is not deployed", "it was deleted, or never deployed here"
        elif "FAILED" in status or "ROLLBACK" in status:
            finding, because = f"{name} is {status}", "its last deployment failed and was taken back"
        else:
            continue
        yield Diagnosis(
            cause="deployment-failed",
            part=name,
            finding=finding,
            because=because,
            remedy=f"aws cloudformation describe-stack-events --stack-name {name}; then: {facts.redo}",
            section="failed-deployment",
            severity="failed" if status is None or "FAILED" in status else "warning",
        )


def _functions(facts: MonitorFacts) -> Iterator[Diagnosis]:
    for name, function in facts.functions.items():
        part, follows = PART_OF_FUNCTION[name], _FOLLOWS[name]
        if function is None:
            yield missing(facts, part, f"the function {name}", follows)
        elif not function.works:
            yield Diagnosis(
                cause="function-failed",
                part=part,
                finding=f"{name} is {function.state}, its last update {function.update}: {function.reason}",
                because="its code or configuration was changed to something that cannot run",
                remedy=facts.redo,
                section="failed-deployment",
                explains=follows,
            )
        elif function.wrong_handler:
            yield Diagnosis(
                cause="wrong-handler",
                part=part,
                finding=f"{name} calls {function.wrong_handler}, not {names.HANDLERS[name]}",
                because="its configuration was changed: the version that runs, or the next one, fails on every call",
                remedy=f"stock-monitor rollback {name}; then: "
                f"aws lambda update-function-configuration --function-name {name} --handler {names.HANDLERS[name]}",
                section="failed-deployment",
                explains=follows,
            )
        else:
            yield from _throttled_function(name, part, function, follows)


def _throttled_function(
    name: str, part: str, function: Function, follows: tuple[str, ...]
) -> Iterator[Diagnosis]:
    if function.reserved == 0:
        back = f"put-function-concurrency --reserved-concurrent-executions {function.deployed_reserved}"
        if function.deployed_reserved is None:
            back = "delete-function-concurrency"
        yield Diagnosis(
            cause="function-stopped",
            part=part,
            finding=f"{name} has a reserved concurrency of 0",
            because="somebody stopped it: Lambda throttles every call",
            remedy=f"aws lambda {back} --function-name {name}",
            section="function-throttles",
            explains=follows,
        )
    elif function.throttles:
        yield Diagnosis(
            cause="function-throttled",
            part=part,
            finding=f"{name} was throttled {function.throttles:g} times in the last minutes",
            because="its reserved concurrency, or that of the account, is used up",
            remedy="aws lambda get-account-settings --query AccountLimit",
            section="function-throttles",
            severity="warning" if function.throttles < _MANY_THROTTLES else "failed",
            explains=follows,
        )


def _rules(facts: MonitorFacts) -> Iterator[Diagnosis]:
    for name, rule in facts.rules.items():
        part, section, leads_to, explains = _RULES[name]
        bus = f" --event-bus-name {names.BUS}" if name == names.ANOMALY_RULE else ""
        if rule is None:
            yield missing(facts, part, f"the rule {name}", explains)
        elif rule.state != "ENABLED":
            yield Diagnosis(
                cause="schedule-stopped" if name == names.SCHEDULE_RULE else "rule-disabled",
                part=part,
                finding=f"the rule {name} is {rule.state}",
                because=f"somebody disabled it: {leads_to}",
                remedy=f"aws events enable-rule --name {name}{bus}",
                section=section,
                explains=explains,
            )
        elif not rule.targets:
            yield Diagnosis(
                cause="rule-without-target",
                part=part,
                finding=f"the rule {name} has no target",
                because=f"its target was removed: {leads_to}",
                remedy=facts.restore,
                section="rules",
                explains=explains,
            )


def _mappings(facts: MonitorFacts) -> Iterator[Diagnosis]:
    for function, mapping in facts.mappings.items():
        part, follows = PART_OF_FUNCTION[function], _FOLLOWS[function]
        if facts.functions.get(function) is None:
            continue  # said already
        if mapping is None:
            yield missing(facts, part, f"the event source mapping of {function}", follows)
        elif mapping.state not in {"Enabled", "Enabling", "Updating", "Creating"}:
            yield Diagnosis(
                cause="mapping-disabled",
                part=part,
                finding=f"the event source mapping of {function} is {mapping.state} ({mapping.reason})",
                because="nothing reaches the function: what arrives waits, and is lost when it is too old",
                remedy=f"aws lambda update-event-source-mapping --uuid {mapping.id} --enabled",
                section="mapping",
                explains=follows,
            )


def _permissions(facts: MonitorFacts) -> Iterator[Diagnosis]:
    by_function: dict[str, list[str]] = {}
    for denied in facts.denied:
        by_function.setdefault(denied.function, []).append(f"{denied.action} on {denied.resource}")
    for name, errors in facts.errors.items():
        rejected = re.search(r"(?:AccessDenied\w*|not authorized to perform)[^\"\n]{0,200}", errors.last)
        if rejected and name not in by_function:
            by_function[name] = [rejected.group().strip()]
    for function, refusals in by_function.items():
        yield Diagnosis(
            cause="missing-permission",
            part=PART_OF_FUNCTION[function],
            finding=f"{function} may not: {'; '.join(refusals)}",
            because="the policies of its role were changed, or a boundary or an organisation's policy forbids it",
            remedy=facts.restore,
            section="permissions",
            explains=_FOLLOWS[function],
        )


def _unseen(facts: MonitorFacts) -> Iterator[Diagnosis]:
    for what, why in facts.unseen.items():
        yield Diagnosis(
            cause="could-not-look",
            part=what,
            finding=f"{what} could not be examined: {why}",
            because="your own credentials do not allow it, or AWS did not answer",
            remedy="aws sts get-caller-identity",
            section="aws-does-not-answer",
            severity="warning",
        )


_CHECKS: tuple[Check, ...] = (
    programs,
    _saved_data,
    _stacks,
    _functions,
    _rules,
    _mappings,
    inputs.parameters,
    inputs.feed,
    inputs.clock,
    stores.stream,
    stores.tables,
    stores.buckets,
    _permissions,
    stores.queues,
    stores.quarantine,
    stores.subscribers,
    stores.policies,
    stores.keys,
    stores.alarms,
    _unseen,
)
