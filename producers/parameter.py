"""Settings that people change while the monitor runs, in parameters of AWS Systems Manager."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

PARAMETER_CHARACTERS = 4_096
"""Characters in a value of the standard tier: https://docs.aws.amazon.com/general/latest/gr/ssm.html."""
NOTE_CHARACTERS = 1_024
"""Of a parameter's description."""


def put_parameter(ssm: SSMClient, name: str, value: str, note: str) -> None:
    """Write a parameter; `note`, who changed what, is the description of this version in its history."""
    ssm.put_parameter(
        Name=name, Value=value, Type="String", Overwrite=True, Description=note[:NOTE_CHARACTERS]
    )
