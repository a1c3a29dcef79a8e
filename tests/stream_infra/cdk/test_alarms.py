"""The operators are told of everything that stops or delays the flow, and where to read on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from producers.origin import origin_of
from producers.quote_batch import decode
from stream_infra import names
from stream_infra.cdk.schedule import SCHEDULES
from stream_infra.operations import cost
from tests.stream_infra.cdk.assembly import Properties, Templates, properties, synthesize, templates_of

if TYPE_CHECKING:
    import aws_cdk as cdk

ROOT = Path(__file__).resolve().parents[3]
ALARMS = {
    "stock-scanner-errors": "scanner-errors",
    "stock-scanner-stopped": "scanner-stopped",
    "stock-feed-silence": "feed-silence",
    "stock-detector-errors": "detector-errors",
    "stock-detector-iterator-age": "iterator-age",
    "stock-anomaly-latency": "anomaly-latency",
    "stock-ticks-quarantined": "quarantine",
    "stock-ticks-out-of-order": "out-of-order",
    "stock-threshold-rejected": "threshold-rejected",
    "stock-notifier-errors": "notifier-errors",
    "stock-notifier-queue-age": "notifier-queue",
    "stock-scanner-dlq-messages": "dead-letters",
    "stock-notifier-dlq-messages": "notifier-dead-letters",
    "api-5xx-errors": "api-5xx-errors",
    "api-latency": "api-latency",
    "stock-lake-errors": "lake-errors",
    "stock-scanner-throttles": "function-throttles",
    "stock-detector-throttles": "function-throttles",
    "stock-notifier-throttles": "function-throttles",
    "stock-api-handler-throttles": "function-throttles",
    "stock-lake-throttles": "function-throttles",
    "stock-quotes-throttles": "stream-throttles",
    "stock-ticks-waiting": "stream-throttles",
    "stock-anomalies-throttles": "table-throttles",
    "stock-windows-throttles": "table-throttles",
    "stock-charts-throttles": "table-throttles",
    "stock-alerts-throttles": "table-throttles",
    "stock-heartbeat": "heartbeat",
    "stock-monthly-cost": "cost",
}


def alarms(templates: Templates) -> dict[str, Properties]:
    resources = templates["ObservabilityStack"]["Resources"].values()
    found = [item["Properties"] for item in resources if item["Type"] == "AWS::CloudWatch::Alarm"]
    return {alarm["AlarmName"]: alarm for alarm in found}


def test_every_alarm_is_there_and_names_its_section_of_the_runbook(aws_templates: Templates) -> None:
    sections = {}
    for name, alarm in alarms(aws_templates).items():
        said, _, section = alarm["AlarmDescription"].partition(" Runbook: docs/runbook.md#")
        assert said.endswith("."), name
        sections[name] = section
    assert sections == ALARMS


def test_every_section_that_an_alarm_names_is_in_the_runbook() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text()
    anchors = {
        re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-")
        for title in re.findall(r"(?m)^#+ (.+)$", text)
    }
    assert set(ALARMS.values()) - anchors == set()


def test_an_alarm_that_is_missing_is_missed(tmp_path: Path) -> None:
    def without(app: cdk.App) -> None:
        assert app.node.find_child("ObservabilityStack").node.try_remove_child("stock-monthly-cost")

    with pytest.raises(RuntimeError, match="stockmonthlycost"):  # the dashboard shows each of them
        synthesize(tmp_path, change=without)
    assert set(ALARMS) - set(alarms(templates_of(tmp_path / "cdk.out"))) == {"stock-monthly-cost"}


def test_every_alarm_tells_the_operations_topic_and_none_says_at_its_birth_that_all_is_well(
    aws_templates: Templates,
) -> None:
    for name, alarm in alarms(aws_templates).items():
        assert "Operations" in json.dumps(alarm["AlarmActions"]), name
        assert not {"OKActions", "InsufficientDataActions"} & alarm.keys(), name


def test_operators_are_subscribed_by_a_setting(aws_templates: Templates, settled: Templates) -> None:
    def subscribed(templates: Templates) -> list[str]:
        found = properties(templates, "AWS::SNS::Subscription")
        return [item["Endpoint"] for item in found if "Operations" in json.dumps(item["TopicArn"])]

    assert subscribed(aws_templates) == []
    assert subscribed(settled) == ["ops@example.com"]


def test_the_alarms_of_the_runbook_are_as_it_has_them(aws_templates: Templates) -> None:
    found = alarms(aws_templates)
    common = {"Statistic": "Sum", "Period": 300, "EvaluationPeriods": 1}
    common |= {"ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching"}
    scanner = {"Namespace": "AWS/Lambda", "MetricName": "Errors", "Threshold": 1}
    assert found["stock-scanner-errors"].items() >= {**common, **scanner}.items()
    assert found["stock-scanner-errors"]["Dimensions"][0]["Name"] == "FunctionName"
    api = {"Namespace": "AWS/ApiGateway", "MetricName": "5XXError", "Threshold": 5}
    assert found["api-5xx-errors"].items() >= {**common, **api}.items()


def test_a_scanner_that_is_not_started_is_noticed_but_not_at_night(aws_templates: Templates) -> None:
    alarm = alarms(aws_templates)["stock-scanner-stopped"]
    assert (alarm["TreatMissingData"], alarm["ComparisonOperator"]) == ("breaching", "LessThanThreshold")
    (expression,) = [item["Expression"] for item in alarm["Metrics"] if "Expression" in item]
    assert expression == ("IF(DAY(beat) > 5 || HOUR(beat) < 13 || HOUR(beat) > 21, 1, FILL(found, 0))"), (
        "the hours of the schedule"
    )


def test_silence_rings_at_any_hour_for_the_canary_never_stops(
    aws_templates: Templates, local_templates: Templates
) -> None:
    """CloudWatch guide, "Configuring how CloudWatch alarms treat missing data": `breaching`."""
    alarm = alarms(aws_templates)["stock-heartbeat"]
    assert (alarm["TreatMissingData"], alarm["ComparisonOperator"]) == ("breaching", "LessThanThreshold")
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", "Invocations"), "costs no metric"
    assert "stock-heartbeat" not in alarms(local_templates)

    def canaries(templates: Templates) -> list[Properties]:
        found = templates["StreamStack"]["Resources"].values()
        return [
            item["Properties"] for item in found if item.get("Properties", {}).get("Name") == "StockCanary"
        ]

    (rule,) = canaries(aws_templates)
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(5 minutes)", "ENABLED")
    assert alarm["Period"] * alarm["EvaluationPeriods"] >= 2 * 300, "one that is late rings nobody"
    (target,) = rule["Targets"]
    batch, rejected = decode(target["Input"].encode())
    assert (batch.symbol, rejected, origin_of(batch.source)) == (["CANARY"], [], "verify")
    assert target["KinesisParameters"] == {"PartitionKeyPath": "$.source"}
    assert canaries(local_templates) == []


@pytest.mark.parametrize("session", sorted(SCHEDULES))
def test_the_quiet_hours_are_those_in_which_the_schedule_starts_nothing(session: str) -> None:
    schedule = SCHEDULES[session]
    python = schedule.outside.replace("||", "or").replace("&&", "and")
    started = {
        hour
        for part in schedule.hours.split(",")
        for hour in range(int(part.split("-")[0]), int(part.split("-")[1]) + 1)
    }
    days = {"MON-FRI": range(1, 6), "MON-SAT": range(1, 7)}[schedule.days]
    for day in range(1, 8):
        for hour in range(24):
            said = re.sub(r"DAY\(beat\)", str(day), re.sub(r"HOUR\(beat\)", str(hour), python))
            assert eval(said) == (day not in days or hour not in started), (day, hour)  # noqa: S307


def test_the_cost_alarm_exists_only_where_its_metric_does(
    aws_templates: Templates, traced_templates: Templates
) -> None:
    cost = alarms(aws_templates)["stock-monthly-cost"]
    assert (cost["Namespace"], cost["MetricName"]) == ("AWS/Billing", "EstimatedCharges")
    assert "stock-monthly-cost" not in alarms(traced_templates)


def widgets(templates: Templates) -> list[Properties]:
    (dashboard,) = properties(templates, "AWS::CloudWatch::Dashboard")
    parts = dashboard["DashboardBody"]["Fn::Join"][1]
    text = "".join(part if isinstance(part, str) else "x" for part in parts)
    return list(json.loads(text)["widgets"])


def test_the_dashboard_shows_the_flow_from_left_to_right(aws_templates: Templates) -> None:
    shown = widgets(aws_templates)
    rows: dict[int, list[tuple[int, str]]] = {}
    for widget in shown:
        rows.setdefault(widget["y"], []).append((widget["x"], widget["properties"]["title"]))
    titles = [[title for _, title in sorted(row)] for _, row in sorted(rows.items())]
    stations = ["Feed", "Stream", "Detector", "Anomalies", "Alerts", "API"]
    assert titles == [
        ["Alarms"],
        stations,
        [f"{station}: delay" for station in stations],
        [f"{station}: trouble" for station in stations],
    ]
    (status,) = [widget for widget in shown if widget["type"] == "alarm"]
    assert len(status["properties"]["alarms"]) == len(ALARMS)


def test_every_function_has_its_own_log_that_ends(aws_templates: Templates) -> None:
    groups = {
        item["Properties"]["LogGroupName"]: item["Properties"]["RetentionInDays"]
        for stack in ("LambdaStack", "ApiStack")
        for item in aws_templates[stack]["Resources"].values()
        if item["Type"] == "AWS::Logs::LogGroup" and "LogGroupName" in item["Properties"]
    }
    logs = [f"/aws/lambda/{function}" for function in names.FUNCTIONS]
    assert groups == dict.fromkeys([*logs, "/aws/apigateway/stock-api"], 30)


def test_the_estimate_of_the_cost_counts_what_is_watched(aws_templates: Templates) -> None:
    watched = sum(
        sum("MetricStat" in item for item in alarm["Metrics"]) if "Metrics" in alarm else 1
        for alarm in properties(aws_templates, "AWS::CloudWatch::Alarm")
    )
    assert watched == cost.RATES.alarm_metrics


def test_the_dashboard_is_small_enough_to_be_free(aws_templates: Templates) -> None:
    """50 metrics at most on each of three dashboards (CloudWatch pricing, free tier)."""
    shown = [widget["properties"].get("metrics", []) for widget in widgets(aws_templates)]
    assert 30 < sum(map(len, shown)) <= 50


def test_calls_are_traced_where_asked_for(aws_templates: Templates, traced_templates: Templates) -> None:
    def traced(templates: Templates) -> list[str | bool]:
        items = [
            item for stack in ("LambdaStack", "ApiStack") for item in templates[stack]["Resources"].values()
        ]
        functions = [item["Properties"] for item in items if "Code" in item.get("Properties", ())]
        functions = [of for of in functions if "FunctionName" in of]  # the check of a deployment has no name
        (stage,) = [item["Properties"] for item in items if item["Type"] == "AWS::ApiGateway::Stage"]
        modes = [function.get("TracingConfig", {}).get("Mode") for function in functions]
        return [*modes, stage.get("TracingEnabled", False)]

    assert traced(aws_templates) == [None, None, None, None, None, False]
    assert traced(traced_templates) == ["Active"] * 5 + [True]
