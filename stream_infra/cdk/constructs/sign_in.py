"""Who may use the API on AWS: a user pool, what stands before each method, and the page's way to a token.

Locally nothing of it exists: everything is on 127.0.0.1, and open.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_cognito as cognito
from constructs import Construct

from stream_infra import names
from stream_infra.cdk.constructs.permissions import acknowledge

READS, WRITES = ("GET",), ("POST", "PUT", "DELETE")
TOKEN_PATH = "oauth2/token"  # noqa: S105  a path
_REASONS = {
    "COG8": "Only an administrator makes users, and each has a one-time code; the plus tier is paid by the user.",
}
_PUBLIC = "Reads are public by this deployment's setting; changes need a sign-in."
_HEALTH = "Monitors outside request /health without a sign-in; it says whether all is well, and how old the quotes are."

_LINKS = "A link in a message is a permission by itself: signed, for a day, for one use."


class SignIn(Construct):
    """People whom an administrator invited sign in with a password and a one-time code."""

    def __init__(self, scope: Construct, id_: str, *, people: Sequence[str], removal: RemovalPolicy) -> None:
        super().__init__(scope, id_)
        prefix = names.named(f"stock-monitor-{Aws.ACCOUNT_ID}")
        self.pool = cognito.UserPool(
            self,
            "Users",
            user_pool_name=names.USER_POOL,
            self_sign_up_enabled=False,
            sign_in_aliases=cognito.SignInAliases(email=True),
            mfa=cognito.Mfa.REQUIRED,
            mfa_second_factor=cognito.MfaSecondFactor(otp=True, sms=False),
            password_policy=cognito.PasswordPolicy(
                min_length=12,
                require_digits=True,
                require_lowercase=True,
                require_symbols=True,
                require_uppercase=True,
            ),
            account_recovery=cognito.AccountRecovery.EMAIL_ONLY,
            removal_policy=removal,
        )
        for person in people:
            self._invite(person)
        self.pool.add_domain("Domain", cognito_domain=cognito.CognitoDomainOptions(domain_prefix=prefix))
        self.host = f"{prefix}.auth.{Aws.REGION}.amazoncognito.com"
        acknowledge(self.pool, _REASONS)
        # Cognito guide, "App client settings terms", Callback URL: HTTPS "except for http://localhost"; compared whole.
        ports = [f"http://localhost:{port}/" for port in names.SIGN_IN_PORTS]
        self.command_line = self._client(self, "CommandLine", "command-line", ports)

    def _invite(self, email: str) -> None:
        """Let Cognito invite a person by email (guide, "Creating user accounts as administrator").

        Whoever is taken out of the settings is deleted, and so signed out: nothing is retained.
        """
        digest = hashlib.sha256(email.lower().encode()).hexdigest()[:16]
        cognito.CfnUserPoolUser(
            self,
            f"Person{digest}",
            user_pool_id=self.pool.user_pool_id,
            username=email,
            desired_delivery_mediums=["EMAIL"],
            user_attributes=[
                cognito.CfnUserPoolUser.AttributeTypeProperty(name="email", value=email),
                cognito.CfnUserPoolUser.AttributeTypeProperty(name="email_verified", value="true"),
            ],
        )

    def guard(self, api: apigateway.RestApi, *, public: bool) -> None:
        """Put the pool before every method but /health and /links; where reads are `public`, before changes only."""
        authorizer = apigateway.CognitoUserPoolsAuthorizer(self, "Authorizer", cognito_user_pools=[self.pool])
        guarded: dict[str, Any] = {
            "authorizer": authorizer,
            "authorization_type": apigateway.AuthorizationType.COGNITO,
        }
        free: dict[str, Any] = {"authorization_type": apigateway.AuthorizationType.NONE}
        reads = free if public else guarded
        health = api.root.add_resource("health").add_method("GET", **free)
        acknowledge(health, {"APIG4": _HEALTH, "COG4": _HEALTH})
        links = api.root.add_resource("links").add_method("POST", **free)
        acknowledge(links, {"APIG4": _LINKS, "COG4": _LINKS})
        for resource in (api.root, api.root.add_resource("{proxy+}")):
            for verb in READS:
                read = resource.add_method(verb, **reads)
                if public:
                    acknowledge(read, {"APIG4": _PUBLIC, "COG4": _PUBLIC})
            for verb in WRITES:
                resource.add_method(verb, **guarded)

    def client(self, scope: Construct, page: str) -> cognito.UserPoolClient:
        """Return the dashboard at the address `page`, in its own stack: no secret, a code with PKCE, a day at most."""
        return self._client(scope, "SignIn", "dashboard", [page])

    def _client(self, scope: Construct, id_: str, name: str, urls: list[str]) -> cognito.UserPoolClient:
        return cognito.UserPoolClient(
            scope,
            id_,
            user_pool=self.pool,
            user_pool_client_name=name,
            generate_secret=False,
            prevent_user_existence_errors=True,
            o_auth=cognito.OAuthSettings(
                flows=cognito.OAuthFlows(authorization_code_grant=True),
                scopes=[cognito.OAuthScope.OPENID, cognito.OAuthScope.EMAIL],
                callback_urls=urls,
                logout_urls=urls,
            ),
            supported_identity_providers=[cognito.UserPoolClientIdentityProvider.COGNITO],
            id_token_validity=Duration.hours(1),
            access_token_validity=Duration.hours(1),
            refresh_token_validity=Duration.days(1),
        )

    def serve_tokens(self, distribution: cloudfront.Distribution) -> None:
        """Return the token exchange on the page's own origin, so that its Content-Security-Policy stays closed."""
        distribution.add_behavior(
            f"/{TOKEN_PATH}",
            origins.HttpOrigin(self.host, protocol_policy=cloudfront.OriginProtocolPolicy.HTTPS_ONLY),
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
            allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
            cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
            origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
        )

    def settings(self, client: cognito.UserPoolClient) -> dict[str, object]:
        """Return what the page reads from its config.json."""
        return {"sign_in": {"domain": f"https://{self.host}", "client_id": client.user_pool_client_id}}
