"""Who may read and change what on AWS, by the setting `access`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from api import contract
from stream_infra import names
from tests.stream_infra.cdk.assembly import Templates, properties


def guards(templates: Templates) -> dict[tuple[str, str], str]:
    """What stands before each verb: at the root, at `health`, and at all other paths."""
    paths = {
        logical_id: item["Properties"]["PathPart"]
        for logical_id, item in templates["ApiStack"]["Resources"].items()
        if item["Type"] == "AWS::ApiGateway::Resource"
    }
    return {
        (method["HttpMethod"], paths.get(method["ResourceId"].get("Ref", ""), "/")): method[
            "AuthorizationType"
        ]
        for method in properties(templates, "AWS::ApiGateway::Method")
    }


def test_by_default_only_health_is_told_to_strangers(aws_templates: Templates) -> None:
    found = guards(aws_templates)
    assert {where for where, guard in found.items() if guard == "NONE"} == {
        ("GET", "health"),
        ("POST", "links"),
    }
    assert set(found.values()) == {"NONE", "COGNITO_USER_POOLS"}
    assert {verb for verb, path in found if path == "{proxy+}"} == verbs_of_the_api()


def verbs_of_the_api() -> set[str]:
    return {verb.upper() for path in contract.document()["paths"].values() for verb in path}


def test_public_means_that_reads_are_and_changes_are_not(settled: Templates) -> None:
    found = guards(settled)
    for (verb, path), guard in found.items():
        is_free = verb == "GET" or path == "links"  # a link in a message is a permission by itself
        assert guard == ("NONE" if is_free else "COGNITO_USER_POOLS")


def test_locally_there_is_nobody_to_ask(local_templates: Templates) -> None:
    assert set(guards(local_templates).values()) == {"NONE"}
    assert properties(local_templates, "AWS::Cognito::UserPool") == []


def test_people_are_invited_and_sign_in_with_a_code_and_pkce(aws_templates: Templates) -> None:
    (pool,) = properties(aws_templates, "AWS::Cognito::UserPool")
    assert pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True
    assert (pool["MfaConfiguration"], pool["EnabledMfas"]) == ("ON", ["SOFTWARE_TOKEN_MFA"])
    clients = {of["ClientName"]: of for of in properties(aws_templates, "AWS::Cognito::UserPoolClient")}
    assert set(clients) == {"dashboard", "command-line"}
    for one in clients.values():
        assert (one["AllowedOAuthFlows"], one["GenerateSecret"]) == (["code"], False)
    client = clients["dashboard"]
    assert client["AllowedOAuthFlows"] == ["code"]
    assert client["GenerateSecret"] is False  # a page cannot keep one; PKCE stands in
    assert "DomainName" in json.dumps(client["CallbackURLs"])
    assert client["CallbackURLs"] == client["LogoutURLs"]


def test_the_command_line_is_a_client_of_its_own_on_ports_of_this_machine(aws_templates: Templates) -> None:
    """Cognito guide, "App client settings terms", Callback URL: HTTPS "except for http://localhost", compared whole.

    So the ports are fixed, and the command takes the first that is free (RFC 8252, section 7.3).
    """
    (client,) = (
        of
        for of in properties(aws_templates, "AWS::Cognito::UserPoolClient")
        if of["ClientName"] == "command-line"
    )
    assert client["CallbackURLs"] == [f"http://localhost:{port}/" for port in names.SIGN_IN_PORTS]
    outputs = aws_templates["ApiStack"]["Outputs"]
    assert {"SignInDomain", "CommandLineClientId"} <= outputs.keys()


def resolved(value: Any, references: dict[str, str]) -> str:
    """What CloudFormation makes of a string, a Ref, or a join of them."""
    if isinstance(value, str):
        return value
    if "Ref" in value:
        return references[value["Ref"]]
    separator, parts = value["Fn::Join"]
    return str(separator).join(resolved(part, references) for part in parts)


def test_the_page_learns_where_to_sign_in(aws_assembly: Path, aws_templates: Templates) -> None:
    (upload,) = properties(aws_templates, "Custom::CDKBucketDeployment")
    (client_id,) = (
        logical_id
        for logical_id, item in aws_templates["DashboardStack"]["Resources"].items()
        if item["Type"] == "AWS::Cognito::UserPoolClient"
    )
    references = {"AWS::AccountId": "111122223333", "AWS::Region": "us-east-1", client_id: "the-client"}
    pages = {}
    for key, markers in zip(upload["SourceObjectKeys"], upload["SourceMarkers"], strict=True):
        page = aws_assembly / f"asset.{key.removesuffix('.zip')}" / "config.json"
        if page.exists():  # as uploaded: the deployment puts what is resolved in the place of each marker
            pages[page] = page.read_text()
            for marker, value in markers.items():
                pages[page] = pages[page].replace(marker, resolved(value, references))
    (uploaded,) = map(json.loads, pages.values())
    (pool_domain,) = properties(aws_templates, "AWS::Cognito::UserPoolDomain")
    host = f"{resolved(pool_domain['Domain'], references)}.auth.us-east-1.amazoncognito.com"
    assert uploaded == {"sign_in": {"domain": f"https://{host}", "client_id": "the-client"}}
    (distribution,) = properties(aws_templates, "AWS::CloudFront::Distribution")
    settings = distribution["DistributionConfig"]
    (tokens,) = (way for way in settings["CacheBehaviors"] if way["PathPattern"] == "/oauth2/token")
    (origin,) = (origin for origin in settings["Origins"] if origin["Id"] == tokens["TargetOriginId"])
    assert resolved(origin["DomainName"], references) == host
