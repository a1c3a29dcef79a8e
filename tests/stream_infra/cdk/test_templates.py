"""What the runbook and the design say about the deployed system, asserted on the templates."""

from __future__ import annotations

import json

import pytest

from stream_infra import names
from stream_infra.cdk.schedule import scan_schedule
from stream_infra.config import Config
from tests.stream_infra.cdk.assembly import Properties, Templates, properties


def named(templates: Templates, kind: str, key: str) -> dict[str, Properties]:
    return {str(item[key]): item for item in properties(templates, kind) if key in item}


def test_the_names_that_the_runbook_types_exist(aws_templates: Templates) -> None:
    assert set(named(aws_templates, "AWS::Lambda::Function", "FunctionName")) >= {
        "stock-scanner",
        "stock-detector",
        "stock-notifier",
        "stock-api-handler",
        "stock-lake",
    }
    assert set(named(aws_templates, "AWS::DynamoDB::Table", "TableName")) == {
        "stock-anomalies",
        "stock-windows",
        "stock-charts",
        "stock-alerts",
    }
    assert "stock-quotes" in named(aws_templates, "AWS::Kinesis::Stream", "Name")
    assert "stock-scanner-dlq" in named(aws_templates, "AWS::SQS::Queue", "QueueName")
    assert "stock-tracker-alerts" in named(aws_templates, "AWS::SNS::Topic", "TopicName")
    assert "stock-market" in named(aws_templates, "AWS::Events::EventBus", "Name")
    assert "StockScannerSchedule" in named(aws_templates, "AWS::Events::Rule", "Name")
    assert set(named(aws_templates, "AWS::SSM::Parameter", "Name")) == {
        "/stock-tracker/ticker",
        "/stock-tracker/threshold",
    }
    assert set(named(aws_templates, "AWS::CloudWatch::Alarm", "AlarmName")) >= {
        "stock-scanner-errors",
        "api-5xx-errors",
    }
    buckets = json.dumps(properties(aws_templates, "AWS::S3::Bucket"))
    assert "stock-scan-data-" in buckets
    assert "stock-dashboard-" in buckets


def test_anomalies_can_be_found_by_date_and_by_severity_and_restored(aws_templates: Templates) -> None:
    table = named(aws_templates, "AWS::DynamoDB::Table", "TableName")["stock-anomalies"]
    assert [key["AttributeName"] for key in table["KeySchema"]] == ["ticker", "timestamp"]
    indexes = {
        item["IndexName"]: [k["AttributeName"] for k in item["KeySchema"]]
        for item in table["GlobalSecondaryIndexes"]
    }
    assert indexes == {"DateIndex": ["date", "timestamp"], "SeverityIndex": ["severity", "timestamp"]}
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_the_page_is_logged_only_where_cloudfront_delivers_such_logs(
    aws_templates: Templates, traced_templates: Templates
) -> None:
    """CloudFront guide, "Configure standard logging (legacy)": not to buckets of regions such as Europe (Milan).

    There CreateDistribution fails: "You don't have permission to access the S3 bucket for CloudFront logs".
    """

    def configuration(templates: Templates) -> Properties:
        (distribution,) = properties(templates, "AWS::CloudFront::Distribution")
        found: Properties = distribution["DistributionConfig"]
        return found

    assert "SiteLogs" in json.dumps(configuration(aws_templates)["Logging"])
    assert "Logging" not in configuration(traced_templates)


def test_windows_alerts_and_charts_expire(aws_templates: Templates) -> None:
    tables = named(aws_templates, "AWS::DynamoDB::Table", "TableName")
    for name in ("stock-windows", "stock-alerts", "stock-charts"):
        assert tables[name]["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


def test_the_detectors_mapping_delays_rather_than_skips(aws_templates: Templates) -> None:
    mappings = properties(aws_templates, "AWS::Lambda::EventSourceMapping")
    (kinesis,) = [item for item in mappings if "ParallelizationFactor" in item]
    assert kinesis["Enabled"] is True
    assert kinesis["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert kinesis["BisectBatchOnFunctionError"] is True
    assert kinesis["MaximumRecordAgeInSeconds"] == 6 * 3600
    assert "MaximumRetryAttempts" not in kinesis  # retries do not end before the record age does
    assert kinesis["StartingPosition"] == "TRIM_HORIZON"
    assert ":s3:::stock-scan-data-" in json.dumps(kinesis["DestinationConfig"])


def test_the_notifiers_mapping_leaves_concurrency_to_others(
    aws_templates: Templates, local_templates: Templates
) -> None:
    """Lambda API reference, ScalingConfig: 2 at least, which is what a new account with ten places gets."""

    def queue_of(templates: Templates) -> Properties:
        mappings = properties(templates, "AWS::Lambda::EventSourceMapping")
        (queue,) = [item for item in mappings if "ScalingConfig" in item]
        return queue

    assert queue_of(local_templates)["ScalingConfig"] == {"MaximumConcurrency": 2}
    queue = queue_of(aws_templates)
    assert queue["ScalingConfig"] == {"MaximumConcurrency": 5}
    assert queue["BatchSize"] == 10
    assert queue["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_failed_batches_in_the_bucket_become_messages_in_the_dead_letter_queue(
    aws_templates: Templates,
) -> None:
    (notified,) = [
        item for item in properties(aws_templates, "AWS::S3::Bucket") if "NotificationConfiguration" in item
    ]
    assert notified["NotificationConfiguration"] == {
        "EventBridgeConfiguration": {"EventBridgeEnabled": True}
    }, "S3's own notifications begin with a test event, which the queue's alarm would take for a failed batch"
    rules = properties(aws_templates, "AWS::Events::Rule")
    (rule,) = [item for item in rules if item["Name"] == "StockFailedBatches"]
    assert rule["EventPattern"]["source"] == ["aws.s3"]
    assert rule["EventPattern"]["detail"]["object"] == {"key": [{"prefix": "aws/lambda/"}]}
    transformer = rule["Targets"][0]["InputTransformer"]
    assert set(transformer["InputPathsMap"].values()) == {"$.detail.bucket.name", "$.detail.object.key"}
    assert '"s3":{"bucket":{"name":' in transformer["InputTemplate"]


def test_a_failed_scan_is_not_retried_and_lands_in_the_dead_letter_queue(aws_templates: Templates) -> None:
    (invoke,) = properties(aws_templates, "AWS::Lambda::EventInvokeConfig")
    assert invoke["MaximumRetryAttempts"] == 0
    assert invoke["MaximumEventAgeInSeconds"] == 60
    assert "OnFailure" in invoke["DestinationConfig"]


def test_locally_the_emulators_own_poller_stays_out(local_templates: Templates) -> None:
    mappings = properties(local_templates, "AWS::Lambda::EventSourceMapping")
    (kinesis,) = [item for item in mappings if "ParallelizationFactor" in item]
    assert kinesis["Enabled"] is False


def test_both_targets_have_the_same_resources_but_for_what_the_emulator_refuses(
    aws_templates: Templates, local_templates: Templates
) -> None:
    only_on_aws = {"AWS::CDK::Metadata", "AWS::Events::Archive"}
    # The emulator has no schema registry: the front door serves the contracts.
    only_on_aws |= {"AWS::EventSchemas::Registry", "AWS::EventSchemas::Schema"}
    # Locally DuckDB reads the lake's files without a catalog.
    only_on_aws |= {
        "AWS::Glue::Database",
        "AWS::Glue::Table",
        "AWS::Athena::WorkGroup",
        "AWS::Athena::NamedQuery",
    }
    # Locally nobody signs in: no users, and no methods with and without an authorizer.
    open_locally = ("AWS::Cognito::", "AWS::ApiGateway::", "AWS::Lambda::Permission")
    # The emulator has no CodeDeploy, and no alarm that one would look at.
    # No canary keeps a simulated market awake, which never closes.
    not_locally = ("shift", "stockdetectorcheck", "Canary", "QuotesEventsRole", "stockheartbeat")

    def kinds(templates: Templates, stack: str) -> list[str]:
        return sorted(
            item["Type"]
            for logical_id, item in templates[stack]["Resources"].items()
            if item["Type"] not in only_on_aws
            and not any(part in logical_id for part in not_locally)
            and not item["Type"].startswith(open_locally)
            and not (item["Type"] == "AWS::CloudWatch::Alarm" and stack != names.OBSERVABILITY_STACK)
        )

    for stack in names.STACKS:
        if stack != "DashboardStack":  # the upload of the site needs the AWS CLI layer
            assert kinds(local_templates, stack) == kinds(aws_templates, stack), stack
    assert set(kinds(local_templates, "DashboardStack")) <= set(kinds(aws_templates, "DashboardStack"))
    assert not only_on_aws & {
        item["Type"] for template in local_templates.values() for item in template["Resources"].values()
    }


def test_the_schedule_covers_the_session_in_summer_and_winter_time(aws_templates: Templates) -> None:
    schedule = named(aws_templates, "AWS::Events::Rule", "Name")["StockScannerSchedule"]
    assert schedule["ScheduleExpression"] == "cron(* 13-21 ? * MON-FRI *)"


@pytest.mark.parametrize(
    ("settings", "is_always"),
    [
        ({}, False),
        ({"tickers": "AAPL,BTC/USD"}, True),
        ({"tickers": "AAPL,VOD.L"}, True),
        ({"tickers": "AAPL,VOD", "markets": "VOD=XLON"}, True),
        ({"session": "always"}, True),
        ({"source": "finnhub"}, True),
    ],
)
def test_scans_are_started_all_day_where_another_market_may_be_watched(
    settings: dict[str, str], *, is_always: bool
) -> None:
    assert (scan_schedule(Config(**settings)) is None) == is_always


def test_data_is_kept_when_a_stack_is_deleted(aws_templates: Templates) -> None:
    kept = {"AWS::DynamoDB::Table", "AWS::S3::Bucket"}
    for template in aws_templates.values():
        for logical_id, item in template["Resources"].items():
            if item["Type"] in kept:
                assert item["DeletionPolicy"] == "RetainExceptOnCreate", logical_id


def test_only_the_notifier_publishes_alerts_and_they_are_encrypted(aws_templates: Templates) -> None:
    topic = named(aws_templates, "AWS::SNS::Topic", "TopicName")["stock-tracker-alerts"]
    assert json.dumps(topic["KmsMasterKeyId"]).endswith(':alias/aws/sns"]]}')
    (denied,) = [
        statement
        for policy in properties(aws_templates, "AWS::SNS::TopicPolicy")
        for statement in policy["PolicyDocument"]["Statement"]
        if statement.get("Sid") == "OnlyTheNotifierPublishes"
    ]
    assert (denied["Effect"], denied["Action"], denied["Principal"]) == ("Deny", "sns:Publish", {"AWS": "*"})
    pattern = json.dumps(denied["Condition"]["ArnNotLike"]["aws:PrincipalArn"])
    assert ':role/LambdaStack-stocknotifierServiceRole*"' in pattern
    roles = [
        logical_id
        for logical_id, item in aws_templates["LambdaStack"]["Resources"].items()
        if item["Type"] == "AWS::IAM::Role"
    ]
    assert [role for role in roles if role.startswith("stocknotifierServiceRole")]


def test_alerts_link_to_the_deployed_dashboard(aws_templates: Templates) -> None:
    function = named(aws_templates, "AWS::Lambda::Function", "FunctionName")["stock-notifier"]
    url = json.dumps(function["Environment"]["Variables"]["DASHBOARD_URL"])
    assert "DashboardStack" in url
    assert "DomainName" in url


def test_cloudfront_serves_the_api_under_its_prefix(aws_templates: Templates) -> None:
    (distribution,) = properties(aws_templates, "AWS::CloudFront::Distribution")
    behaviours = distribution["DistributionConfig"]["CacheBehaviors"]
    assert {behaviour["PathPattern"] for behaviour in behaviours} == {"/api/*", "/oauth2/token"}
    (strip,) = properties(aws_templates, "AWS::CloudFront::Function")
    assert r"^\/api(?=\/|$)" in strip["FunctionCode"]


def test_the_defaults_reserve_concurrency_for_the_lanes_of_the_stream() -> None:
    config = Config()
    assert config.shards * config.parallelization_factor <= config.concurrency_limit == 5


def test_what_grows_on_this_machine_is_kept_for_a_day(
    local_templates: Templates, aws_templates: Templates
) -> None:
    """A simulated market never closes: a week of it would be a gigabyte of blocks."""
    kept = {}
    for templates in (local_templates, aws_templates):
        (detector,) = (
            of["Environment"]["Variables"]
            for of in properties(templates, "AWS::Lambda::Function")
            if of.get("FunctionName") == "stock-detector"
        )
        (data,) = (
            {rule["Id"]: rule for rule in of["LifecycleConfiguration"]["Rules"]}
            for of in properties(templates, "AWS::S3::Bucket")
            if "stock-scan-data" in str(of.get("BucketName"))
        )
        (dead_letters,) = (
            of["MessageRetentionPeriod"]
            for of in properties(templates, "AWS::SQS::Queue")
            if of.get("QueueName") == "stock-scanner-dlq"
        )
        snapshots = data["snapshots-go"]["ExpirationInDays"]
        # A redrive needs blocks and snapshots for as long as there is a message.
        assert dead_letters < int(detector["KEPT_DAYS"]) * 86_400
        assert int(detector["KEPT_DAYS"]) <= snapshots
        logs = {of["RetentionInDays"] for of in properties(templates, "AWS::Logs::LogGroup")}
        old = data["old-versions-go"]["NoncurrentVersionExpiration"]["NoncurrentDays"]
        raw = data["raw-data-goes"]["ExpirationInDays"]
        kept[templates is local_templates] = (dead_letters, snapshots, logs, old, raw)
    assert kept == {True: (23 * 3600, 1, {1}, 1, 1), False: (14 * 86_400, 15, {30}, 30, 365)}


def test_what_lies_in_the_bucket_gets_cold_or_goes_as_it_really_is(aws_templates: Templates) -> None:
    """S3 guide: Infrequent Access bills 128 KB at least; what expires in a versioned bucket leaves a delete marker.

    A rule may not have both a number of days and ExpiredObjectDeleteMarker ("Lifecycle configuration elements").
    """
    (data,) = [
        bucket
        for bucket in properties(aws_templates, "AWS::S3::Bucket")
        if "stock-scan-data" in str(bucket.get("BucketName"))
    ]
    rules = {rule["Id"]: rule for rule in data["LifecycleConfiguration"]["Rules"]}
    assert rules["large-raw-data-gets-cold"]["ObjectSizeGreaterThan"] == 128 * 1024
    assert rules["raw-data-goes"]["ExpirationInDays"] == 365
    assert rules["old-versions-go"]["ExpiredObjectDeleteMarker"] is True
    assert "ExpirationInDays" not in rules["old-versions-go"]
