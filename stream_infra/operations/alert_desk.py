"""What `stock-monitor alerts` does with the table, the bus, the topic and the parameter."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from math import prod
from types import ModuleType
from typing import TYPE_CHECKING, Any

from api.alerts import message_row
from consumers.alerts import policy
from consumers.alerts.feedback import Feedback
from consumers.alerts.market import moves_after
from consumers.alerts.message_store import StoredMessage
from consumers.alerts.model import Acknowledgement, Delivery, Incident, Silence, Waiting, is_incident_id
from consumers.alerts.parameters import SettingsEditor
from consumers.alerts.settings import AlertSettings, AlertSettingsError, parse
from consumers.alerts.store import AlertStore
from consumers.alerts.table import ConflictError
from consumers.contracts import events
from consumers.contracts.anomaly import SEVERITIES, iso_ms
from consumers.stores.charts import ChartTable
from producers.parameter import UnusableParameterError
from stream_infra import names
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.errors import FailedError, InputError, NotDeployedError
from stream_infra.operations.watching import tickers_of

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_ssm import SSMClient

POLL_SECONDS = 0.5
DAY_MS = 86_400_000
MOST_COMBINATIONS = 150
"""SNS guide, "Filter policy constraints": the numbers of values of a policy's keys, multiplied."""


@dataclass(frozen=True)
class Overview:
    """Incidents and messages since a moment (the oldest first), and silences in force."""

    now_ms: int
    incidents: list[Incident]
    messages: list[StoredMessage]
    silences: list[Silence]


@dataclass(frozen=True)
class AlertTrail:
    """What became of an anomaly, an incident or a message.

    Attributes
    ----------
    why
        Why there is no message, or what news since the last one waits for; "" where there is nothing to say.
    said
        What people said of the incident, the oldest first.
    after
        What the price did so many minutes after its worst anomaly, a share of the price; None where that is not known.
    """

    now_ms: int
    incident: Incident | None
    messages: list[StoredMessage]
    why: str
    time_zone: str
    said: list[Feedback]
    after: list[tuple[int, float | None]]


def overview(store: AlertStore, since: datetime, now: datetime) -> Overview:
    """Return what `list` shows."""
    since_ms, now_ms = _ms(since), _ms(now)
    silences = [silence for silence in store.silences() if silence.until_ms > now_ms]
    incidents = list(store.incidents(since_ms, now_ms))
    return Overview(now_ms, incidents, list(store.messages(since_ms, now_ms)), silences)


def trail_of(
    store: AlertStore, charts: ChartTable, settings: AlertSettings, id_: str, now: datetime
) -> AlertTrail:
    """Return what became of an anomaly, an incident or a message, by its id.

    Raises
    ------
    InputError
        Nothing is known of it.
    """
    now_ms = _ms(now)
    incident = _incident(store, id_.partition("#")[0])
    if incident is not None:
        wanted = {made.message_id: made.made_ms for made in incident.notifications}
    elif id_.startswith(("digest-", "test-")):
        wanted = {id_: now_ms - DAY_MS}
    else:
        wanted = {}
    since_ms = min(wanted.values(), default=now_ms)
    messages = [one for one in store.messages(since_ms, now_ms) if one.message.id in wanted]
    if incident is None and not messages:
        raise InputError(
            f"nothing is known of {id_!r}",
            allowed="the id of an anomaly of the last 15 days such as AAPL-1763996400123-price_spike, or of an"
            " incident or a message as `stock-monitor alerts list` shows them",
        )
    return AlertTrail(
        now_ms=now_ms,
        incident=incident,
        messages=messages,
        why=_why_none(incident, policy.Policy(settings, now_ms, tuple(store.silences()))),
        time_zone=settings.time_zone,
        said=store.feedback_of(incident.id) if incident is not None else [],
        after=moves_after(charts, incident) if incident is not None else [],
    )


def _why_none(incident: Incident | None, now: policy.Policy) -> str:
    if incident is None:
        return ""
    if incident.waiting is not None:
        return _waits_for(incident, incident.waiting, now)
    if incident.notifications:
        return ""
    if incident.origin not in policy.NOTIFIED:
        return f"Its origin is {incident.origin}, which notifies nobody."
    if (
        incident.origin == "simulated"
        and incident.last_ms < incident.updated_ms - policy.SIMULATED_HISTORY_MS
    ):
        return "It was before the start: nobody is notified of the half hour that the start fills in."
    return "No message: it is acknowledged, a misprint explains it, or a route says never."


def _waits_for(incident: Incident, news: Waiting, now: policy.Policy) -> str:
    due_ms = now.settings.digest.next_ms(news.since_ms, now.settings.time_zone)
    by_silence, by_mute_timing = now.silencing(incident)
    causes = {
        f"the digest at {iso_ms(due_ms)[:16].replace('T', ' ')}Z": due_ms > now.now_ms,
        "the end of a silence": by_silence,
        "the end of a mute timing": by_mute_timing,
    }
    waits = [cause for cause, holds in causes.items() if holds] or ["the sweep of this minute"]
    return f"News of it waits for {' and for '.join(waits)}."


def _incident(store: AlertStore, id_: str) -> Incident | None:
    found = store.incident_of(id_)
    if found is None and is_incident_id(id_):
        return store.incident(id_)
    return found


def acknowledge(
    store: AlertStore, id_: str, *, until_ms: int | None, reason: str, by: str, now: datetime
) -> Incident:
    """Acknowledge the incident of an anomaly, or an incident; return it as it is then.

    Parameters
    ----------
    until_ms
        Until when, epoch ms UTC; None withdraws the acknowledgement.

    Raises
    ------
    InputError
        Nothing is known of it, or there is no acknowledgement to withdraw.
    FailedError
        It changed all the while.
    ResolvedError
        It is over.
    """
    found = _incident(store, id_.partition("#")[0])
    anomaly = "" if found is None or found.id == id_ else id_.partition("#")[0]
    if until_ms is None and found is not None and (state := found.state(_ms(now))) != "acknowledged":
        raise InputError(f"{id_} is not acknowledged: it is {state}")
    known = None if until_ms is None else Acknowledgement(by, until_ms, 0, reason, anomaly)
    try:
        incident = found and store.acknowledge(found.id, known, _ms(now))
    except ConflictError as error:
        raise FailedError(f"{error}; try again") from error
    if incident is None:
        raise InputError(
            f"there is no incident of {id_!r}",
            allowed="the id of an anomaly or an incident of the last 15 days",
        )
    return incident


def send_test(
    endpoints: Endpoints, store: AlertStore, now: datetime, timeout_seconds: int, clock: ModuleType
) -> dict[str, Any]:
    """Put a request for a test on the bus and wait until every channel took it or failed.

    Raises
    ------
    FailedError
        It was rejected, or is not made in time; the message says how far it came.
    """
    now_ms = _ms(now)
    id_ = str(now_ms)
    event = events.alert_test(id_, now_ms)
    entry = {
        "EventBusName": names.BUS,
        "Source": events.SOURCE,
        "DetailType": event.detail_type,
        "Detail": event.detail_json(),
        "Time": now,
    }
    answer = endpoints.client("events").put_events(Entries=[entry])  # type: ignore[list-item]
    if answer["FailedEntryCount"]:
        failed = answer["Entries"][0]
        raise FailedError(f"the bus rejected it: {failed.get('ErrorCode')}: {failed.get('ErrorMessage')}")
    began = clock.monotonic()
    stored = None
    while clock.monotonic() - began < timeout_seconds:
        stored = next(
            (one for one in store.messages(now_ms, now_ms) if one.message.id == f"test-{id_}"), None
        )
        if stored is not None and not any(map(_is_under_way, stored.deliveries)):
            row = message_row(stored)
            took = round(stored.sent_ms - now_ms) / 1000 if stored.sent_ms else None
            return {"id": row["id"], "deliveries": row["deliveries"], "seconds": took}
        clock.sleep(POLL_SECONDS)
    raise FailedError(f"not sent after {timeout_seconds} s: {_stuck(stored)}")


def _stuck(stored: StoredMessage | None) -> str:
    if stored is None:
        return (
            f"the notifier did not take it from the queue {names.NOTIFIER_QUEUE};"
            f" see `stock-monitor status` and: aws logs tail /aws/lambda/{names.NOTIFIER}"
        )
    channels = ", ".join(one.channel for one in stored.deliveries if _is_under_way(one))
    return f"{channels}: not taken yet, it is tried again; see: stock-monitor alerts deliveries"


def _is_under_way(delivery: Delivery) -> bool:
    return delivery.status == "sending" or not delivery.attempts


def settings_in_force(ssm: SSMClient) -> AlertSettings:
    """Return the settings of the parameter, the defaults where it is missing or not allowed."""
    try:
        return SettingsEditor(ssm, names.ALERTS_PARAMETER).read()
    except UnusableParameterError:
        return AlertSettings()


def put_settings(ssm: SSMClient, text: str, by: str) -> dict[str, Any]:
    """Put settings in force; return what was `before`, and `by` whom it was changed.

    Raises
    ------
    InputError
        They are not allowed.
    """
    try:
        before, _ = SettingsEditor(ssm, names.ALERTS_PARAMETER).replace(text, by)
    except AlertSettingsError as error:
        raise InputError(str(error)) from error
    return {"before": _plain(before), "by": by}


def settings_report(ssm: SSMClient) -> dict[str, Any]:
    """Return the settings as the parameter has them, with all defaults; with `error` if it is not allowed."""
    try:
        text = ssm.get_parameter(Name=names.ALERTS_PARAMETER)["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound:
        return {"parameter": names.ALERTS_PARAMETER, "settings": _plain(AlertSettings())}
    try:
        return {"parameter": names.ALERTS_PARAMETER, "settings": _plain(parse(text))}
    except AlertSettingsError as error:
        in_force = "the last good value stays in force"
        return {"parameter": names.ALERTS_PARAMETER, "error": f"{error}; {in_force}", "value": text}


def _plain(settings: AlertSettings) -> Any:
    return json.loads(settings.model_dump_json(by_alias=True))


def subscribe(sns: SNSClient, protocol: str, endpoint: str, severities: list[str], tickers: list[str]) -> str:
    """Subscribe to the topic of alerts; return the ARN, or "pending confirmation".

    Who is subscribed already has the new choice from then on: SNS would reject a second subscription of the same
    endpoint ("Subscription already exists with different attributes": localstack/localstack issue 8816).

    Raises
    ------
    InputError
        A severity or a ticker is none, there are more of them than SNS filters by, or the endpoint has yet to confirm
        another choice.
    NotDeployedError
        There is no topic.
    """
    if wrong := [severity for severity in severities if severity not in SEVERITIES]:
        raise InputError(repr(wrong[0]), where="--severity", allowed=f"one of {', '.join(SEVERITIES)}")
    chosen = {"severity": severities, "ticker": tickers_of(tickers)}
    filters = {name: list(dict.fromkeys(values)) for name, values in chosen.items() if values}
    if (combinations := prod(map(len, filters.values()))) > MOST_COMBINATIONS:
        what = " x ".join(f"{len(values)} of {name}" for name, values in filters.items())
        raise InputError(
            f"{what} = {combinations} combinations",
            where="--severity and --ticker",
            allowed=f"at most {MOST_COMBINATIONS}: fewer tickers, or all of them",
        )
    topic, policy = _topic(sns), json.dumps(filters)
    for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic):
        for known in page["Subscriptions"]:
            arn = known["SubscriptionArn"]
            if (known["Protocol"], known["Endpoint"]) == (protocol, endpoint) and arn.startswith("arn:"):
                sns.set_subscription_attributes(
                    SubscriptionArn=arn, AttributeName="FilterPolicy", AttributeValue=policy
                )
                return arn
    attributes = {"FilterPolicy": policy} if filters else {}
    try:
        answer = sns.subscribe(TopicArn=topic, Protocol=protocol, Endpoint=endpoint, Attributes=attributes)
    except sns.exceptions.InvalidParameterException as error:
        if "already exists" not in str(error):
            raise
        said = "is subscribed with another choice, which it has to confirm before it can be changed"
        raise InputError(said, where=endpoint) from error
    return answer["SubscriptionArn"]


def _topic(sns: SNSClient) -> str:
    for page in sns.get_paginator("list_topics").paginate():
        for topic in page["Topics"]:
            if topic["TopicArn"].endswith(f":{names.ALERTS_TOPIC}"):
                return topic["TopicArn"]
    raise NotDeployedError(f"there is no topic {names.ALERTS_TOPIC}: run `make up`, or deploy on AWS")


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
