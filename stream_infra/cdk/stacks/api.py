"""The REST API: one function behind API Gateway."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import ArnFormat, CfnOutput, Duration, Environment, RemovalPolicy, Size, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from api.settings import SERVER_ERRORS
from producers.sources import get_pollable
from stream_infra import names
from stream_infra.cdk.constructs.function import function, log_retention, with_prefix
from stream_infra.cdk.constructs.permissions import (
    acknowledge,
    allow,
    allow_events,
    allow_everywhere,
    allow_items,
    allow_listing,
    allow_objects,
)
from stream_infra.cdk.constructs.releases import NAMESPACE, live
from stream_infra.cdk.constructs.sign_in import SignIn
from stream_infra.cdk.stacks.storage import INDEXES, StorageStack, kept
from stream_infra.config import Config

_LOCAL = "The local AWS is on 127.0.0.1 only, and open."
_REASONS = {
    "APIG2": "The function checks every request against its models and answers 400 with what is allowed.",
    "APIG3": "A web ACL costs more than the rest of a small deployment; the stage is throttled.",
    "IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs]": (
        "What AWS requires of the one role of an account with which API Gateway writes logs."
    ),
}


class ApiStack(Stack):
    """stock-api-handler and the API `stock-api`."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: Config,
        env: Environment,
        bundle: Path,
        storage: StorageStack,
    ) -> None:
        super().__init__(scope, id_, env=env)
        self.handler = function(
            self,
            names.API_HANDLER,
            bundle,
            description="Serves health, anomalies, tickers and quotes",
            memory_mb=512,
            timeout=Duration.seconds(10),
            concurrency=names.API_CONCURRENCY if config.concurrency_limit else 0,
            environment={
                "PARTITIONS": str(config.partitions),
                "ANOMALIES_TABLE": storage.anomalies.table_name,
                "CHARTS_TABLE": storage.charts.table_name,
                "ALERTS_TABLE": storage.alerts.table_name,
                "WINDOWS_TABLE": storage.windows.table_name,
                "TICKER_PARAMETER": names.TICKER_PARAMETER,
                "DATA_BUCKET": storage.data.bucket_name,
                "DEAD_LETTER_QUEUE_URL": storage.dead_letters.queue_url,
                "SOURCE": config.source,
                "SESSION": config.session,
                "MARKET": get_pollable(config.source).market,
                **({"MARKETS": config.markets} if config.markets else {}),
                "WRITES": "open" if config.local else "signed-in",
                **with_prefix(
                    SCANNER=names.SCANNER,
                    DETECTOR=names.DETECTOR,
                    RULES_PARAMETER=names.RULES_PARAMETER,
                    ALERTS_PARAMETER=names.ALERTS_PARAMETER,
                    BUS_NAME=names.BUS,
                    THRESHOLD_PARAMETER=names.THRESHOLD_PARAMETER,
                ),
            },
            config=config,
        )
        anomalies = storage.anomalies.table_arn
        allow(self.handler, anomalies, "dynamodb:GetItem", "dynamodb:Query")
        for index in INDEXES:
            allow(self.handler, f"{anomalies}/index/{index}", "dynamodb:Query")
        allow(self.handler, storage.charts.table_arn, "dynamodb:BatchGetItem", "dynamodb:Query")
        allow(self.handler, storage.alerts.table_arn, "dynamodb:BatchGetItem", "dynamodb:Query")
        allow_items(self.handler, storage.windows, ["scan#feed"], "dynamodb:GetItem")  # why a poll failed
        for name in (
            names.TICKER_PARAMETER,
            names.RULES_PARAMETER,
            names.THRESHOLD_PARAMETER,
            names.ALERTS_PARAMETER,
        ):
            parameter = self.format_arn(service="ssm", resource="parameter", resource_name=name.lstrip("/"))
            allow(self.handler, parameter, "ssm:GetParameter", "ssm:PutParameter")
        bus = events.EventBus.from_event_bus_name(self, "Bus", names.BUS)
        allow_events(self.handler, bus, "AlertTest")
        scanner = self.format_arn(
            service="lambda",
            resource="function",
            resource_name=names.SCANNER,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        allow(self.handler, scanner, "lambda:InvokeFunction")  # to validate tickers with its source
        allow(self.handler, storage.alerts.table_arn, "dynamodb:PutItem", "dynamodb:DeleteItem")  # silences
        allow(self.handler, storage.dead_letters.queue_arn, "sqs:GetQueueAttributes")
        allow_everywhere(
            self.handler,
            "cloudwatch:GetMetricStatistics",
            why="CloudWatch knows no resources for this action.",
        )
        allow_objects(self.handler, "watch-lists/", "s3:GetObject", "s3:PutObject")
        allow_objects(self.handler, "raw-data/", "s3:GetObject")  # bars below a minute
        allow_listing(self.handler)
        self.api = self._rest_api(config)
        self.sign_in = (
            None if config.local else SignIn(self, "SignIn", people=config.people, removal=kept(config))
        )
        if self.sign_in is None:
            acknowledge(self.api, {"APIG4": _LOCAL, "COG4": _LOCAL})
        else:
            self.sign_in.guard(self.api, public=config.access == "public")
            CfnOutput(self, "UserPoolId", value=self.sign_in.pool.user_pool_id)
            CfnOutput(self, "SignInDomain", value=f"https://{self.sign_in.host}")
            CfnOutput(self, "CommandLineClientId", value=self.sign_in.command_line.user_pool_client_id)
        CfnOutput(self, "ApiUrl", value=self.api.url)
        CfnOutput(self, "ApiId", value=self.api.rest_api_id)

    def _rest_api(self, config: Config) -> apigateway.LambdaRestApi:
        access_log = logs.LogGroup(
            self,
            "AccessLog",
            log_group_name=f"/aws/apigateway/{names.REST_API}",
            retention=log_retention(config),
            removal_policy=RemovalPolicy.DESTROY,
        )
        api = apigateway.LambdaRestApi(
            self,
            "Api",
            rest_api_name=names.REST_API,
            handler=live(self.handler, config, failures=[_server_errors(self.handler)]),
            description="Stock Market Anomaly Monitor",
            proxy=config.local,  # elsewhere `SignIn.guard` adds the methods
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            min_compression_size=Size.kibibytes(1),
            cloud_watch_role=config.api_log_role == "own",
            deploy_options=apigateway.StageOptions(
                stage_name=names.STAGE,
                throttling_rate_limit=100,
                throttling_burst_limit=200,
                metrics_enabled=True,
                tracing_enabled=config.tracing,
                logging_level=apigateway.MethodLoggingLevel.ERROR,
                access_log_destination=apigateway.LogGroupLogDestination(access_log),
                access_log_format=apigateway.AccessLogFormat.json_with_standard_fields(
                    caller=False,
                    http_method=True,
                    ip=True,
                    protocol=True,
                    request_time=True,
                    resource_path=True,
                    response_length=True,
                    status=True,
                    user=False,
                ),
            ),
        )
        acknowledge(api, _REASONS)
        return api


def _server_errors(handler: lambda_.Function) -> cloudwatch.IMetric:
    """Return how many responses of a version were 5xx: to Lambda they are no errors."""
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=SERVER_ERRORS,
        dimensions_map={"service": names.API_HANDLER, "version": handler.current_version.version},
        period=Duration.minutes(1),
        statistic="Sum",
    )
