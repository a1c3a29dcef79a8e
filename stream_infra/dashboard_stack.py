"""The dashboard: a private bucket and a distribution that serves it and the API from one origin."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import Aws, CfnOutput, Duration, Environment, RemovalPolicy, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_deployment as deployment
from constructs import Construct

from stream_infra import names
from stream_infra.config import Config
from stream_infra.web import CONTENT_SECURITY_POLICY, NOT_SERVED

_STRIP_PREFIX = """
function handler(event) {
  var request = event.request;
  request.uri = request.uri.replace(/^\\/api(?=\\/|$)/, '') || '/';
  return request;
}
"""


class DashboardStack(Stack):
    """Bucket and distribution; `/api/*` goes to the API with the prefix stripped."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: Config,
        env: Environment,
        site: Path,
        api: apigateway.RestApi,
    ) -> None:
        super().__init__(scope, id_, env=env)
        bucket = s3.Bucket(
            self,
            "Site",
            bucket_name=names.dashboard_bucket(Aws.ACCOUNT_ID),
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            removal_policy=RemovalPolicy.RETAIN if config.retain_data else RemovalPolicy.DESTROY,
        )
        distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment="Stock Market Anomaly Monitor",
            default_root_object="index.html",
            default_behavior=cloudfront.BehaviorOptions(
                origin=origins.S3BucketOrigin.with_origin_access_control(bucket),
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
                response_headers_policy=self._headers(),
                compress=True,
            ),
            additional_behaviors={"/api/*": self._api_behaviour(api)},
        )
        if not config.local:  # its custom resource needs the AWS CLI layer, which the local AWS has not
            deployment.BucketDeployment(
                self,
                "Upload",
                sources=[deployment.Source.asset(str(site), exclude=list(NOT_SERVED))],
                destination_bucket=bucket,
                distribution=distribution,
                distribution_paths=["/*"],
                cache_control=[deployment.CacheControl.from_string("no-cache")],
            )
        self.url = f"https://{distribution.distribution_domain_name}/"
        CfnOutput(self, "Url", value=self.url)
        CfnOutput(self, "DistributionId", value=distribution.distribution_id)

    def _api_behaviour(self, api: apigateway.RestApi) -> cloudfront.BehaviorOptions:
        strip = cloudfront.Function(
            self,
            "StripApiPrefix",
            code=cloudfront.FunctionCode.from_inline(_STRIP_PREFIX),
            runtime=cloudfront.FunctionRuntime.JS_2_0,
        )
        return cloudfront.BehaviorOptions(
            origin=origins.RestApiOrigin(api),
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
            allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
            # The API answers with ETags and short lives; a shared cache in front would only add staleness.
            cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
            origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
            function_associations=[
                cloudfront.FunctionAssociation(
                    function=strip,
                    event_type=cloudfront.FunctionEventType.VIEWER_REQUEST,
                )
            ],
        )

    def _headers(self) -> cloudfront.ResponseHeadersPolicy:
        return cloudfront.ResponseHeadersPolicy(
            self,
            "Headers",
            security_headers_behavior=cloudfront.ResponseSecurityHeadersBehavior(
                content_security_policy=cloudfront.ResponseHeadersContentSecurityPolicy(
                    content_security_policy=CONTENT_SECURITY_POLICY, override=True
                ),
                content_type_options=cloudfront.ResponseHeadersContentTypeOptions(override=True),
                frame_options=cloudfront.ResponseHeadersFrameOptions(
                    frame_option=cloudfront.HeadersFrameOption.DENY, override=True
                ),
                referrer_policy=cloudfront.ResponseHeadersReferrerPolicy(
                    referrer_policy=cloudfront.HeadersReferrerPolicy.NO_REFERRER, override=True
                ),
                strict_transport_security=cloudfront.ResponseHeadersStrictTransportSecurity(
                    access_control_max_age=Duration.days(365), include_subdomains=True, override=True
                ),
            ),
        )
