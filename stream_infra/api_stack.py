"""The REST API: one function behind API Gateway."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import CfnOutput, Duration, Environment, Size, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from constructs import Construct

from stream_infra import names
from stream_infra.config import Config
from stream_infra.lambda_stack import function
from stream_infra.storage_stack import StorageStack


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
            "api.handler.handler",
            bundle,
            description="Serves health, anomalies, tickers and quotes",
            memory_mb=512,
            timeout=Duration.seconds(10),
            environment={
                "PARTITIONS": str(config.partitions),
                "ANOMALIES_TABLE": storage.anomalies.table_name,
                "CHARTS_TABLE": storage.charts.table_name,
                "WINDOWS_TABLE": storage.windows.table_name,
                "ALERTS_TABLE": storage.alerts.table_name,
                "TICKER_PARAMETER": names.TICKER_PARAMETER,
                "DEAD_LETTER_QUEUE_URL": storage.dead_letters.queue_url,
                "SOURCE": config.source,
                "SESSION": config.session,
                "WRITES": "open" if config.local else "signed-in",
            },
        )
        for table in (storage.anomalies, storage.charts, storage.windows, storage.alerts):
            table.grant(self.handler, "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query")
        self.handler.add_to_role_policy(
            iam.PolicyStatement(
                actions=["ssm:GetParameter"],
                resources=[
                    self.format_arn(
                        service="ssm", resource="parameter", resource_name=names.TICKER_PARAMETER.lstrip("/")
                    )
                ],
            )
        )
        storage.alerts.grant(self.handler, "dynamodb:PutItem", "dynamodb:DeleteItem")  # mutes
        storage.dead_letters.grant(self.handler, "sqs:GetQueueAttributes")
        self.handler.add_to_role_policy(  # CloudWatch knows no resources for this action
            iam.PolicyStatement(actions=["cloudwatch:GetMetricStatistics"], resources=["*"])
        )
        storage.data.grant_read(self.handler, "watch-lists/*")
        self.api = apigateway.LambdaRestApi(
            self,
            "Api",
            rest_api_name=names.REST_API,
            handler=self.handler,
            description="Stock Market Anomaly Monitor",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            min_compression_size=Size.kibibytes(1),
            deploy_options=apigateway.StageOptions(
                stage_name=names.STAGE,
                throttling_rate_limit=100,
                throttling_burst_limit=200,
                metrics_enabled=True,
            ),
        )
        CfnOutput(self, "ApiUrl", value=self.api.url)
        CfnOutput(self, "ApiId", value=self.api.rest_api_id)
