"""The dashboard: a private bucket and a distribution that serves it and the API from one origin."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import CfnOutput, CfnResource, Duration, Environment, Stack, Token
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_deployment as deployment
from constructs import Construct

from stream_infra import names
from stream_infra.cdk.constructs.permissions import acknowledge
from stream_infra.cdk.constructs.sign_in import SignIn
from stream_infra.cdk.stacks.storage import kept, log_bucket
from stream_infra.cdk.web import CONTENT_SECURITY_POLICY, NOT_SERVED
from stream_infra.config import Config

_STRIP_PREFIX = """
function handler(event) {
  var request = event.request;
  request.uri = request.uri.replace(/^\\/api(?=\\/|$)/, '') || '/';
  return request;
}
"""

_UPLOADER = "Custom::CDKBucketDeployment"
_ENABLED_BY_DEFAULT = {
    "us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1", "eu-central-1", "eu-north-1",
    "eu-west-1", "eu-west-2", "eu-west-3", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1",
    "ap-southeast-1", "ap-southeast-2",
}  # fmt: skip
"""Regions that an account has without enabling them (Account Management guide, "Enable or disable AWS Regions").

Only to their buckets CloudFront delivers this kind of log, and with one of any other it rejects the distribution
(guide, "Configure standard logging (legacy)", Choose an Amazon S3 bucket for standard logs)."""
_NO_LOGS = {
    "CFR3": "CloudFront delivers no such log to a bucket in this region; the bucket and the API have theirs."
}
_REASONS = {
    "CFR1": "Quotes and anomalies are for readers anywhere.",
    "CFR2": "A web ACL costs more than the rest of a small deployment; pages are static, the API is throttled.",
    "CFR4": "Without a domain of one's own CloudFront's certificate fixes the policy; HTTP is redirected to HTTPS.",
}


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
        sign_in: SignIn | None,
    ) -> None:
        super().__init__(scope, id_, env=env)
        removal = kept(config)
        # CloudFront still needs a bucket with ACLs for its logs (developer guide, "Standard logging (legacy)").
        logs = log_bucket(
            self,
            "SiteLogs",
            names.dashboard_bucket(self.account),
            removal,
            s3.ObjectOwnership.BUCKET_OWNER_PREFERRED,
        )
        bucket = s3.Bucket(
            self,
            "Site",
            bucket_name=names.dashboard_bucket(self.account),
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            server_access_logs_bucket=logs,
            server_access_logs_prefix="bucket/",
            removal_policy=removal,
        )
        has_log = config.region is None or config.region in _ENABLED_BY_DEFAULT
        distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment="Stock Market Anomaly Monitor",
            default_root_object="index.html",
            enable_logging=has_log,
            log_bucket=logs if has_log else None,
            log_file_prefix="distribution/" if has_log else None,
            default_behavior=cloudfront.BehaviorOptions(
                origin=origins.S3BucketOrigin.with_origin_access_control(bucket),
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
                response_headers_policy=self._headers(),
                compress=True,
            ),
            additional_behaviors={"/api/*": self._api_behaviour(api)},
        )
        acknowledge(distribution, _REASONS if has_log else {**_REASONS, **_NO_LOGS})
        self.url = f"https://{distribution.distribution_domain_name}/"
        if sign_in is not None:  # on AWS; locally `localstack.site` uploads, and nobody signs in
            sign_in.serve_tokens(distribution)
            client = sign_in.client(self, self.url)
            self._upload(site, bucket, distribution, sign_in.settings(client))
        CfnOutput(self, "Url", value=self.url)
        CfnOutput(self, "DistributionId", value=distribution.distribution_id)

    def _upload(
        self, folder: Path, bucket: s3.Bucket, distribution: cloudfront.Distribution, page: dict[str, object]
    ) -> None:
        upload = deployment.BucketDeployment(
            self,
            "Upload",
            sources=[
                deployment.Source.asset(str(folder), exclude=[*NOT_SERVED, "config.json"]),
                deployment.Source.json_data("config.json", page),
            ],
            destination_bucket=bucket,
            distribution=distribution,
            distribution_paths=["/*"],
            cache_control=[deployment.CacheControl.from_string("no-cache")],
        )
        if again := self.node.try_get_context(names.UPLOAD_CONTEXT):
            for item in upload.node.find_all():
                if isinstance(item, CfnResource) and item.cfn_resource_type == _UPLOADER:
                    item.add_property_override("Again", again)  # the files are sent when a property changes
        (uploader,) = (child for child in self.node.children if child.node.id.startswith(_UPLOADER))
        site = bucket.node.default_child
        assert isinstance(site, s3.CfnBucket)  # noqa: S101  the L2 bucket's child by construction
        # As cdk-nag writes them where the settings do not name them.
        account = "<AWS::AccountId>" if Token.is_unresolved(self.account) else self.account
        region = "<AWS::Region>" if Token.is_unresolved(self.region) else self.region
        assets = f"cdk-hnb659fds-assets-{account}-{region}"
        wildcards = [
            "Resource::*",
            *(
                f"Action::s3:{action}*"
                for action in ("GetObject", "GetBucket", "List", "DeleteObject", "Abort")
            ),
            f"Resource::<{self.get_logical_id(site)}.Arn>/*",
            f"Resource::arn:<AWS::Partition>:s3:::{assets}/*",
        ]
        why = "The CDK's own function, which runs in a deployment only, from the CDK's assets to the site's bucket."
        basic = "Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
        acknowledge(
            uploader,
            {"L1": why, f"IAM4[{basic}]": why, **{f"IAM5[{wildcard}]": why for wildcard in wildcards}},
        )

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
            # The API sends ETags and short lives; a shared cache in front would only add staleness.
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
