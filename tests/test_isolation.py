"""What a test must not do, whatever it tests."""

from __future__ import annotations

import boto3
import pytest


def test_no_request_of_a_test_leaves_for_aws() -> None:
    cloudwatch = boto3.client(
        "cloudwatch", region_name="eu-west-1", aws_access_key_id="any", aws_secret_access_key="any"
    )
    with pytest.raises(AssertionError, match="a test calls monitoring"):
        cloudwatch.list_metrics()
