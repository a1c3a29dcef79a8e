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
class LambdaVersion:
    """A published version: its number, when it was published (ISO 8601), and the SHA-256 of its code (base64)."""

    number: int
    published: str
    code: str


@dataclass(frozen=True)
class LambdaVersions:
    """A function's versions, the newest first, and the one that is live.

    Attributes
    ----------
    shifting_to
        The version that a deployment under way gives more and more of the calls; None if there is none.
    """

    function: str
    live: int
    shifting_to: int | None
    versions: tuple[LambdaVersion, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the versions as JSON-able values."""
        return asdict(self)


def versions_of(client: LambdaClient, function: str) -> LambdaVersions:
    """Return what is deployed of a function.

    Raises
    ------
    InputError
        There is no such function of ours.
    NotDeployedError
        The function or its alias is not there.
    """
    if function not in names.FUNCTIONS:
        raise InputError(
            f"{function!r} is no function of the monitor", allowed=f"one of {', '.join(names.FUNCTIONS)}"
        )
    try:
        alias = client.get_alias(FunctionName=function, Name=names.LIVE)
    except client.exceptions.ResourceNotFoundException as error:
        raise NotDeployedError(f"{function} has no alias {names.LIVE!r}: deploy the monitor first") from error
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=function)
    versions = [
        LambdaVersion(int(item["Version"]), item["LastModified"], item["CodeSha256"])
        for page in pages
        for item in page["Versions"]
        if item["Version"] != "$LATEST"
    ]
    shifted = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    return LambdaVersions(
        function,
        int(alias["FunctionVersion"]),
        max(map(int, shifted), default=None),
        tuple(sorted(versions, key=lambda version: -version.number)),
    )


def target_of(known: LambdaVersions, to: int | None) -> int:
    """Return the version to go back to: `to`, or else the newest one before the live one.

    Raises
    ------
    InputError
        There is no such version, it is live already, or a deployment is under way.
    """
    numbers = [version.number for version in known.versions]
    function = known.function
    if known.shifting_to is not None:
        raise InputError(
            f"{function}: a deployment is shifting calls from version {known.live} to {known.shifting_to}; end it "
            "with `aws deploy stop-deployment --auto-rollback-enabled --deployment-id …`, which goes back by itself"
        )
    if to is None:
        older = [number for number in numbers if number < known.live]
        if not older:
            raise InputError(f"{function}: version {known.live} is live, and no older one is there")
        return max(older)
    if to == known.live:
        raise InputError(f"{function}: version {to} is live already")
    if to not in numbers:
        allowed = ", ".join(map(str, numbers)) or "none"
        raise InputError(f"{function} has no version {to}; there are {allowed}")
    return to


def roll_back(client: LambdaClient, known: LambdaVersions, to: int) -> LambdaVersions:
    """Let the triggers call version `to`.

    Raises
    ------
    InputError
        The alias was changed by somebody else in between.
    """
    alias = client.get_alias(FunctionName=known.function, Name=names.LIVE)
    if int(alias["FunctionVersion"]) != known.live:
        raise InputError(f"{known.function}: somebody else changed the alias just now; look again")
    try:
        client.update_alias(
            FunctionName=known.function,
            Name=names.LIVE,
            FunctionVersion=str(to),
            RevisionId=alias["RevisionId"],
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "PreconditionFailedException":
            raise InputError(
                f"{known.function}: somebody else changed the alias just now; look again"
            ) from error
        raise
    return versions_of(client, known.function)
