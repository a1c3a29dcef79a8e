"""The types of settings: what a value may be, checked alike whether it stands in `monitor.toml` or behind ``-c``."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from producers import sources
from producers.errors import ArgumentError, did_you_mean
from producers.markets import NEW_YORK
from producers.markets.listings import Listings
from producers.source import SourceError
from producers.symbols import SYMBOL_RULE, in_capitals
from producers.watch_list import WatchListError, is_reference, is_ticker, items, parse

_PARAMETER_LIMIT = 4096
"""Characters in a value of an SSM parameter of the standard tier:
https://docs.aws.amazon.com/general/latest/gr/ssm.html."""


_PREFIX_CHARACTERS = 12
_KEY_BYTES = 1024
"""S3 guide, "Naming Amazon S3 objects"."""
_MARKETS_CHARACTERS, _URL_CHARACTERS, _OPTION_CHARACTERS = 2000, 1000, 256
"""What is handed to the functions: all variables of one have 4 KB (Lambda guide, "Lambda quotas")."""
_ATOM, _LABEL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+", r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
EMAIL = rf"(?=.{{1,254}}\Z)(?=[^@]{{1,64}}@){_ATOM}(\.{_ATOM})*@{_LABEL}(\.{_LABEL})+"
"""SES guide, "Email header fields": an address is of ASCII characters; RFC 5321, 4.1.2 and 4.5.3.1: 64, 254 of them."""
EMAIL_RULE = "an email address, as in ops@example.com: at most 254 ASCII characters, 64 of them before the @"
_USERNAME_CHARACTERS = 128
"""Cognito API reference, AdminCreateUser: the email address is the name that a person has there."""
_MOST_PEOPLE = 400
"""Each is a resource of ApiStack, which has 500 at most (CloudFormation guide, "Understand CloudFormation quotas")."""
_SERVICES = (
    ("lambda", "Lambda"),
    ("kinesis", "Kinesis"),
    ("apigateway", "API Gateway"),
    ("cognito-idp", "Cognito user pools"),
    ("codedeploy", "CodeDeploy"),
    ("schemas", "EventBridge schemas"),
    ("athena", "Athena"),
    ("glue", "Glue"),
)
"""Services that a deployment has resources of, and that are not in every region."""


def normal_name(distribution_name: str) -> str:
    """Return the name of a distribution as package indices compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution_name).lower()


def _number(given: object) -> object:
    if isinstance(given, bool):
        raise ValueError(f"{str(given).lower()}; must be a number")
    return given


def _source(given: str) -> str:
    try:
        sources.get_pollable(given)
    except SourceError as error:
        suggestion = "" if given in sources.names() else did_you_mean(given, sources.names())
        what = f"{error.what}{suggestion}"
        raise ValueError(f"{what}; must be {error.allowed}" if error.allowed else what) from error
    return given


def _options(given: object) -> object:
    given = _json(given) if isinstance(given, str) else given
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise ValueError(f"{given!r}; must be a table of variables with their values in quotes")
    for name, value in given.items():
        _at_most(_OPTION_CHARACTERS, value, f"{name} has")
    return given


def _at_most(characters: int, text: str, what: str) -> None:
    if len(text) > characters:
        raise ValueError(f"{what} {len(text)} characters; must be {characters} at most")


def _markets(given: object) -> object:
    if isinstance(given, dict):
        given = ",".join(f"{ticker}={market}" for ticker, market in given.items())
    if not isinstance(given, str):
        raise ValueError(f'{given!r}; must be markets by ticker, as in {{ ABC = "XLON" }}')
    _at_most(_MARKETS_CHARACTERS, given, "there are")
    try:
        Listings(given, NEW_YORK)
    except ArgumentError as error:
        raise ValueError(str(error)) from error
    return given


def _packages(given: object) -> object:
    if isinstance(given, str):
        given = _json(given) if given.startswith("[") else re.findall(r"[^\s,]+", given)
    if not isinstance(given, list | tuple) or not all(isinstance(name, str) for name in given):
        raise ValueError(f"{given!r}; must be names of installed packages, as a list")
    _once(map(normal_name, given))
    for name in given:
        try:
            distribution(name)
        except (PackageNotFoundError, ValueError) as error:
            allowed = "the name of an installed package, as `pip list` shows it"
            raise ValueError(f"package {name!r} is not installed; must be {allowed}") from error
    return given


def _tickers(given: object) -> str:
    text = _joined(given) if isinstance(given, list) else given
    if not isinstance(text, str):
        raise ValueError(f"{text!r}; must be tickers, as a list or separated by commas")
    if is_reference(text):
        if len(text.strip().split("/", 3)[3].encode()) > _KEY_BYTES:
            raise ValueError(f"{text!r}; must have a key of at most {_KEY_BYTES} bytes")
        return text
    if text.lower().startswith("s3:"):
        raise ValueError(f"{text!r} is no reference to an object; must be s3://bucket/key")
    try:
        listed = parse(text, "the watch list")
    except WatchListError as error:
        raise ValueError(str(error)) from error
    if listed.rejected:
        raise ValueError("; ".join(listed.rejected))
    text = ",".join(_once(items(text)))
    if len(text) > _PARAMETER_LIMIT:
        raise ValueError(
            f"{len(listed.symbols)} tickers have {len(text)} characters; must be {_PARAMETER_LIMIT} at most: "
            "put a longer list into the data bucket and name it, as in s3://bucket/watch-lists/all.csv"
        )
    return text


def _joined(given: list[object]) -> str:
    tickers = [item for item in given if isinstance(item, str) and is_ticker(in_capitals(item))]
    if other := [item for item in given if item not in tickers]:
        raise ValueError(f"{other[0]!r} is no ticker; must be {SYMBOL_RULE}")
    return ",".join(tickers)


def _threshold(given: object) -> str:
    from consumers.stream.thresholds import Threshold, ThresholdError  # noqa: PLC0415  numpy: not for --help

    text = given if isinstance(given, str) else json.dumps(given)
    try:
        text = Threshold.parse(text).text
    except ThresholdError as error:
        raise ValueError(str(error)) from error
    _at_most(_PARAMETER_LIMIT, text, "there are")
    return text


def _email(given: str) -> str:
    if given and not re.fullmatch(EMAIL, given):
        raise ValueError(f"{given!r}; must be {EMAIL_RULE}")
    return given


def _people(given: object) -> object:
    if isinstance(given, str):
        given = _json(given) if given.startswith("[") else re.findall(r"[^\s,]+", given)
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) and one for one in given):
        raise ValueError(f"{given!r}; must be email addresses, as a list")
    _once(map(str.lower, given))
    if len(given) > _MOST_PEOPLE:
        raise ValueError(f"{len(given)} people; must be {_MOST_PEOPLE} at most")
    for one in given:
        _at_most(_USERNAME_CHARACTERS, _email(one), f"{one!r} has")
    return list(given)


def _url(given: str) -> str:
    _at_most(_URL_CHARACTERS, given, "there are")
    try:
        parts = urlsplit(given)
        is_page = (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"[\s?#@]", given)
        )
    except ValueError:
        is_page = False
    if given and not is_page:
        raise ValueError(f"{given!r}; must be a URL, as in https://monitor.example.com/, without ?, # and @")
    return given


def _account(given: str) -> str:
    if not re.fullmatch(r"[0-9]{12}", given):
        raise ValueError(f"{given!r}; must be the 12 digits of an AWS account, in quotes")
    return given


def _prefix(given: str) -> str:
    """Check a prefix by the strictest of the rules for what is named with it.

    S3 guide, "General purpose bucket naming rules": lower case, digits and hyphens, not beginning with xn-- or sthree-.
    Parameter Store, PutParameter: not beginning with ssm. Cognito guide, "Configuring a user pool domain": without aws,
    amazon or cognito. And of a stack's name 24 characters stand in the names of its roles, by one of which the topic of
    alerts knows the notifier: LambdaStack has eleven, the hyphen one.
    """
    if given and (
        not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", given)
        or len(given) > _PREFIX_CHARACTERS
        or given.startswith(("ssm", "xn", "sthree", "amzn"))
        or re.search("aws|amazon|cognito", given)
    ):
        allowed = (
            f"1 to {_PREFIX_CHARACTERS} of a-z 0-9 and single hyphens between them, beginning with a letter, and "
            "without what AWS keeps for itself (aws, amazon, amzn, cognito, ssm, sthree, xn)"
        )
        raise ValueError(f"{given!r}; must be {allowed}")
    return given


def _region(given: str) -> str:
    """Check a region by botocore's list of AWS's endpoints, without those of China, governments and the like.

    CloudFront is not there (AWS GovCloud guide, "Amazon CloudFront"), or Cognito is not (Amazon Web Services in China).
    """
    # No session, which would read the person's profile: one may be gone, or unreadable.
    from botocore.loaders import Loader  # noqa: PLC0415  only where a region is named
    from botocore.regions import EndpointResolver  # noqa: PLC0415

    aws = EndpointResolver(Loader().load_data("endpoints"))
    known = aws.get_available_endpoints("lambda")
    if given not in known:
        suggestion = did_you_mean(given, known)
        raise ValueError(
            f"unknown region {given!r}{suggestion}; must be one of AWS's commercial regions, as us-east-1"
        )
    if lacks := [name for of, name in _SERVICES if given not in aws.get_available_endpoints(of)]:
        raise ValueError(f"{given!r} has no {', '.join(lacks)}; must be a region that has, as us-east-1")
    return given


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{text!r}; must be JSON ({error})") from error


def _once(given: Iterable[str]) -> list[str]:
    counts = Counter(given)
    if twice := [item for item, count in counts.items() if count > 1]:
        raise ValueError(f"{twice[0]} is there twice; must be there once")
    return list(counts)


Whole = Annotated[int, BeforeValidator(_number)]
Number = Annotated[float, BeforeValidator(_number)]
Account = Annotated[str, AfterValidator(_account)]
Region = Annotated[str, AfterValidator(_region)]
Prefix = Annotated[str, AfterValidator(_prefix)]
SourceName = Annotated[str, AfterValidator(_source)]
Options = Annotated[dict[str, str], BeforeValidator(_options)]
Markets = Annotated[str, BeforeValidator(_markets)]
Packages = Annotated[tuple[str, ...], BeforeValidator(_packages)]
Tickers = Annotated[str, BeforeValidator(_tickers)]
Threshold = Annotated[str, BeforeValidator(_threshold)]
Email = Annotated[str, AfterValidator(_email)]
People = Annotated[tuple[str, ...], BeforeValidator(_people)]
Url = Annotated[str, AfterValidator(_url)]
