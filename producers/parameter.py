"""Settings that people change while the monitor runs, in parameters of AWS Systems Manager."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from producers.errors import MonitorError

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

PARAMETER_CHARACTERS = 4_096
"""Characters in a value of the standard tier, 4 KB: https://docs.aws.amazon.com/general/latest/gr/ssm.html."""
NOTE_CHARACTERS = 1_024
"""Of a parameter's description."""
T = TypeVar("T")


class UnusableParameterError(MonitorError):
    """A parameter holds what cannot be used, put there by hand: it must be mended before a part of it is changed."""


class TypedParameter(Generic[T]):
    """A parameter and what its value means. Errors of the store are raised as they come.

    Parameters
    ----------
    parse
        Returns what a value means; raises a `MonitorError` for one that is not allowed.
    default
        What is in force where there is no parameter.
    """

    def __init__(self, ssm: SSMClient, name: str, parse: Callable[[str], T], default: T) -> None:
        self._ssm, self._name, self._parse, self._default = ssm, name, parse, default

    def read(self) -> T:
        """Return what the parameter means.

        Raises
        ------
        UnusableParameterError
            It holds what is not allowed.
        """
        try:
            text = self._ssm.get_parameter(Name=self._name)["Parameter"]["Value"]
        except self._ssm.exceptions.ParameterNotFound:
            return self._default
        try:
            return self._parse(text)
        except MonitorError as error:
            raise UnusableParameterError(error.what, where=self._name, allowed=error.allowed) from error

    def write(self, text: str, note: str) -> None:
        """Write a value, in force within a minute; see `put_parameter` for `note`."""
        put_parameter(self._ssm, self._name, text, note)


def put_parameter(ssm: SSMClient, name: str, value: str, note: str) -> None:
    """Write a parameter; `note`, who changed what, is the description of this version in its history."""
    ssm.put_parameter(
        Name=name, Value=value, Type="String", Overwrite=True, Description=note[:NOTE_CHARACTERS]
    )
