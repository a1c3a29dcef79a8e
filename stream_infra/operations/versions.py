"""Which versions of a function there are, which one its triggers call, and how to go back to an older one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from stream_infra import names
from stream_infra.operations.errors import InputError, NotDeployedError

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


@dataclass(frozen=True)
class Version:
    """A published version: its number, when it was published (ISO 8601), and the SHA-256 of its code (base64)."""

    number: int
    published: str
    code: str


@dataclass(frozen=True)
class Release:
    """A function's versions, the newest first, and the one that is live.

    Attributes:
        shifting_to: the version that a deployment under way gives more and more of the calls; None if there is none.
    """

    function: str
    live: int
    shifting_to: int | None
    versions: tuple[Version, ...]

    def as_dict(self) -> dict[str, Any]:
        """The release as JSON-able values."""
        return asdict(self)


def release_of(client: LambdaClient, function: str) -> Release:
    """What is deployed of a function.

    Raises:
        InputError: there is no such function of ours.
        NotDeployedError: the function or its alias is not there.
    """
    if function not in names.FUNCTIONS:
        raise InputError(
            f"{function} is no function of the monitor; allowed are {', '.join(names.FUNCTIONS)}"
        )
    try:
        alias = client.get_alias(FunctionName=function, Name=names.LIVE)
    except client.exceptions.ResourceNotFoundException as error:
        raise NotDeployedError(f"{function} has no alias {names.LIVE!r}: deploy the monitor first") from error
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=function)
    versions = [
        Version(int(item["Version"]), item["LastModified"], item["CodeSha256"])
        for page in pages
        for item in page["Versions"]
        if item["Version"] != "$LATEST"
    ]
    shifted = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    return Release(
        function,
        int(alias["FunctionVersion"]),
        max(map(int, shifted), default=None),
        tuple(sorted(versions, key=lambda version: -version.number)),
    )


def target_of(release: Release, to: int | None) -> int:
    """The version to go back to: `to`, or else the newest one before the live one.

    Raises:
        InputError: there is no such version, it is live already, or a deployment is under way.
    """
    numbers = [version.number for version in release.versions]
    function = release.function
    if release.shifting_to is not None:
        raise InputError(
            f"{function}: a deployment is shifting calls from version {release.live} to {release.shifting_to}; end it "
            "with `aws deploy stop-deployment --auto-rollback-enabled --deployment-id …`, which goes back by itself"
        )
    if to is None:
        older = [number for number in numbers if number < release.live]
        if not older:
            raise InputError(f"{function}: version {release.live} is live, and no older one is there")
        return max(older)
    if to == release.live:
        raise InputError(f"{function}: version {to} is live already")
    if to not in numbers:
        allowed = ", ".join(map(str, numbers)) or "none"
        raise InputError(f"{function} has no version {to}; there are {allowed}")
    return to


def roll_back(client: LambdaClient, release: Release, to: int) -> Release:
    """Let the triggers call version `to`.

    Raises:
        InputError: the alias was changed by somebody else in between.
    """
    alias = client.get_alias(FunctionName=release.function, Name=names.LIVE)
    if int(alias["FunctionVersion"]) != release.live:
        raise InputError(f"{release.function}: somebody else changed the alias just now; look again")
    try:
        client.update_alias(
            FunctionName=release.function,
            Name=names.LIVE,
            FunctionVersion=str(to),
            RevisionId=alias["RevisionId"],
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "PreconditionFailedException":
            raise InputError(
                f"{release.function}: somebody else changed the alias just now; look again"
            ) from error
        raise
    return release_of(client, release.function)
