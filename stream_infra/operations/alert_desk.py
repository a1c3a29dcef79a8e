"""What `stock-monitor alerts` does with the table, the bus, the topic and the parameter."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any, get_args

from consumers.alerts.event import TEST_SOURCE
from consumers.alerts.items import Due, Stored, days_between
from consumers.alerts.model import Alert, Mute, Series
from consumers.alerts.parameters import PARAMETER
from consumers.alerts.rendering.compose import compose
from consumers.alerts.rendering.texts import Texts
from consumers.alerts.settings import AlertSettings, AlertSettingsError, parse
from consumers.alerts.store import AlertStore
from consumers.contracts import events
from consumers.contracts.anomaly import SEVERITIES, Anomaly, AnomalyKey, anomaly_id, iso_ms, sort_key
from producers.origin import Origin
from producers.quote_batch import SYMBOL_RULE, is_symbol
from stream_infra import names
from stream_infra.operations.endpoints import Endpoints
from stream_infra.operations.errors import FailedError, InputError, NotDeployedError

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_ssm import SSMClient

POLL_SECONDS = 0.5
TEST_TICKER = "TEST"
SOME_DAYS_MS = 2 * 86_400_000


@dataclass(frozen=True)
class Overview:
    """Messages since a moment (the oldest first), what waits for a digest, and mutes in force."""

    messages: list[Stored]
    waiting: list[tuple[Due, Series]]
    mutes: list[Mute]


@dataclass(frozen=True)
class Found:
    """What became of an anomaly or a message: its messages with their texts.

    Attributes:
        alert: what is remembered of the anomaly; None if a digest was asked for.
    """

    id: str
    alert: Alert | None
    messages: list[tuple[Stored, Texts]]


def overview(store: AlertStore, since: datetime, now: datetime) -> Overview:
    """What `list` shows."""
    since_ms, now_ms = _ms(since), _ms(now)
    stored = [
        message for day in days_between(since_ms, now_ms) for message in store.messages(day, since_ms - 1)
    ]
    held = [(due, store.series(due)) for class_ in get_args(Origin) for due in store.held(class_)]
    mutes = [mute for mute in store.mutes() if mute.until_ms > now_ms]
    return Overview(stored, [(due, series) for due, series in held if series.held is not None], mutes)


def look_up(store: AlertStore, id_: str, dashboard_url: str) -> Found:
    """What became of an anomaly, a message or a digest.

    Raises:
        InputError: nothing is known of it.
    """
    if id_.startswith("digest-") and id_.rpartition("-")[2].isdecimal():
        stored, alert = _digest(store, id_), None
    else:
        anomaly = id_.partition("#")[0]
        alert = store.alert(anomaly)
        made = {} if alert is None else alert.made_ms
        found = (store.message(f"{anomaly}#{key}", made_ms) for key, made_ms in made.items())
        stored = [message for message in found if message is not None]
    if alert is None and not stored:
        raise InputError(
            f"{id_}: no alert is known of that; allowed are ids of anomalies of the last 15 days, such as"
            " AAPL-1763996400123-price_spike, and of messages as `stock-monitor alerts list` shows them"
        )
    texts = [(one, compose(one.message, store.parts, dashboard_url).texts) for one in stored]
    return Found(id_, alert, texts)


def _digest(store: AlertStore, id_: str) -> list[Stored]:
    made_ms = int(id_.rpartition("-")[2])
    days = days_between(made_ms, made_ms + SOME_DAYS_MS)
    return [one for day in days for one in store.messages(day, made_ms - 1) if one.message.id == id_]


def acknowledgement(anomaly: str, until_ms: int, reason: str) -> Mute:
    """The order that holds an anomaly's ticker and kind back until it is over.

    Raises:
        AnomalyIdError: that is no id of an anomaly.
    """
    id_ = anomaly.partition("#")[0]
    key = AnomalyKey.parse(id_)
    return Mute(until_ms, key.ticker, key.kind, acknowledged=id_, reason=reason)


def send_test(
    endpoints: Endpoints, store: AlertStore, now: datetime, timeout_seconds: int, clock: ModuleType
) -> dict[str, Any]:
    """Put an anomaly of the source `test` on the bus and wait until its message is sent.

    Raises:
        FailedError: it was refused, or was not sent in time; the message says how far it came.
    """
    anomaly = _test_anomaly(_ms(now))
    event = events.detected(anomaly)
    answer = endpoints.client("events").put_events(
        Entries=[
            {
                "EventBusName": names.BUS,
                "Source": events.SOURCE,
                "DetailType": event.detail_type,
                "Detail": event.detail_json(),
                "Time": now,
            }
        ]
    )
    if answer["FailedEntryCount"]:
        entry = answer["Entries"][0]
        raise FailedError(f"the bus refused it: {entry.get('ErrorCode')}: {entry.get('ErrorMessage')}")
    began = clock.monotonic()
    alert = None
    while clock.monotonic() - began < timeout_seconds:
        alert = store.alert(anomaly.id)
        stored = _message_of(store, anomaly.id, alert)
        if stored is not None and stored.status == "sent":
            took = round(stored.sent_ms - _ms(now)) / 1000
            return {
                "id": stored.message.id,
                "subject": stored.subject,
                "sns_id": stored.sns_id,
                "seconds": took,
            }
        clock.sleep(POLL_SECONDS)
    raise FailedError(f"not sent after {timeout_seconds} s: {_stuck(alert)}")


def _message_of(store: AlertStore, anomaly: str, alert: Alert | None) -> Stored | None:
    made_ms = None if alert is None else alert.made_ms.get("detected")
    return None if made_ms is None else store.message(f"{anomaly}#detected", made_ms)


def _stuck(alert: Alert | None) -> str:
    if alert is None:
        return (
            f"the notifier did not take it from the queue {names.NOTIFIER_QUEUE};"
            f" see `stock-monitor status` and: aws logs tail /aws/lambda/{names.NOTIFIER}"
        )
    return f"the topic did not take it, it is retried; see: aws logs tail /aws/lambda/{names.NOTIFIER}"


def _test_anomaly(now_ms: int) -> Anomaly:
    kind = "price_spike"
    return Anomaly(
        id=anomaly_id(TEST_TICKER, now_ms, kind, TEST_SOURCE),
        source=TEST_SOURCE,
        ticker=TEST_TICKER,
        timestamp=sort_key(now_ms, kind, TEST_SOURCE),
        date=iso_ms(now_ms)[:10],
        kind=kind,
        severity="low",
        score=2.5,
        threshold=2.5,
        value=0.01,
        expected=0.0,
        tolerance=0.004,
        direction="up",
        late=False,
        explanation="This is a test of alerts that somebody asked for. Nothing happened.",
        window={"unit": "return"},
    )


def put_settings(ssm: SSMClient, text: str) -> None:
    """Put settings in force.

    Raises:
        InputError: they are not allowed.
    """
    try:
        parse(text)
    except AlertSettingsError as error:
        raise InputError(str(error)) from error
    ssm.put_parameter(Name=PARAMETER, Value=text, Type="String", Overwrite=True)


def settings_report(ssm: SSMClient) -> dict[str, Any]:
    """The settings as the parameter has them, with all defaults; with `error` if it is not allowed."""
    try:
        text = ssm.get_parameter(Name=PARAMETER)["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound:
        return {"parameter": PARAMETER, "settings": _plain(AlertSettings())}
    try:
        return {"parameter": PARAMETER, "settings": _plain(parse(text))}
    except AlertSettingsError as error:
        in_force = "the last good value stays in force"
        return {"parameter": PARAMETER, "error": f"{error}; {in_force}", "value": text}


def _plain(settings: AlertSettings) -> Any:
    return json.loads(settings.model_dump_json(by_alias=True))


def subscribe(sns: SNSClient, protocol: str, endpoint: str, severities: list[str], tickers: list[str]) -> str:
    """Subscribe to the topic of alerts; the answer is the ARN, or "pending confirmation".

    Raises:
        InputError: a severity or a ticker is none.
        NotDeployedError: there is no topic.
    """
    if wrong := [severity for severity in severities if severity not in SEVERITIES]:
        raise InputError(f"--severity {wrong[0]}: allowed are {', '.join(SEVERITIES)}")
    if wrong := [ticker for ticker in tickers if not is_symbol(ticker.upper())]:
        raise InputError(f"--ticker {wrong[0]}: no ticker; allowed are {SYMBOL_RULE}")
    chosen = {"severity": severities, "ticker": [ticker.upper() for ticker in tickers]}
    policy = {name: values for name, values in chosen.items() if values}
    answer = sns.subscribe(
        TopicArn=_topic(sns),
        Protocol=protocol,
        Endpoint=endpoint,
        Attributes={"FilterPolicy": json.dumps(policy)} if policy else {},
    )
    return answer["SubscriptionArn"]


def _topic(sns: SNSClient) -> str:
    for page in sns.get_paginator("list_topics").paginate():
        for topic in page["Topics"]:
            if topic["TopicArn"].endswith(f":{names.ALERTS_TOPIC}"):
                return topic["TopicArn"]
    raise NotDeployedError(f"there is no topic {names.ALERTS_TOPIC}: run `make up`, or deploy on AWS")


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
