"""What AWS charges in US East (N. Virginia), in US dollars, and what every account gets for nothing, month after month.

From the price page of each service as of `AS_OF`; a tier or two beyond a small deployment's use is left out. One that
was confirmed later has the month of that, and docs/cost.md says by what. Renew them from those pages, with the date.
"""

from __future__ import annotations

from typing import NamedTuple

AS_OF = "2025-06"
"""When the oldest of the prices was looked up."""
REGION = "us-east-1"
HOURS = 730
"""Hours of a month, as AWS counts them."""
_PAGES = "https://aws.amazon.com/"


class Price(NamedTuple):
    """The price of `per` units of something.

    Attributes
    ----------
    free
        Units a month that no account pays for ("Always Free").
    page
        Where the price is from, below https://aws.amazon.com/.
    as_of
        The month in which it was last confirmed.
    """

    service: str
    dollars: float
    per: float
    unit: str
    page: str
    free: float = 0
    as_of: str = AS_OF

    @property
    def source(self) -> str:
        """URL of the page that the price is from."""
        return _PAGES + self.page


_CLOUDWATCH = "cloudwatch/pricing/"
_KINESIS = "kinesis/data-streams/pricing/"
_DYNAMODB = "dynamodb/pricing/on-demand/"
_S3 = "s3/pricing/"

SHARD_HOUR = Price("Kinesis", 0.015, 1, "shard hours", _KINESIS, as_of="2026-09")
PUT_UNIT = Price("Kinesis", 0.014, 1e6, "PUT payload units of 25 KB", _KINESIS, as_of="2026-09")
LAMBDA_REQUEST = Price("Lambda", 0.20, 1e6, "requests", "lambda/pricing/", free=1e6, as_of="2025-10")
LAMBDA_GB_SECOND = Price(
    "Lambda", 0.0000133334, 1, "GB-seconds (arm64)", "lambda/pricing/", free=400_000, as_of="2025-10"
)
WRITE_UNIT = Price("DynamoDB", 0.625, 1e6, "write request units", _DYNAMODB, as_of="2026-05")
READ_UNIT = Price("DynamoDB", 0.125, 1e6, "read request units", _DYNAMODB, as_of="2026-05")
TABLE_GB = Price("DynamoDB", 0.25, 1, "GB stored", _DYNAMODB, free=25, as_of="2026-05")
RECOVERY_GB = Price("DynamoDB", 0.20, 1, "GB under point-in-time recovery", _DYNAMODB)
S3_PUT = Price("S3", 0.005, 1000, "PUT requests", _S3, as_of="2025-10")
S3_GB = Price("S3", 0.023, 1, "GB stored", _S3, as_of="2026-09")
BUS_EVENT = Price("EventBridge", 1.00, 1e6, "events", "eventbridge/pricing/", as_of="2025-10")
SQS_REQUEST = Price("SQS", 0.40, 1e6, "requests", "sqs/pricing/", free=1e6, as_of="2026-03")
SNS_EMAIL = Price("SNS", 2.00, 100_000, "emails", "sns/pricing/", free=1000, as_of="2026-06")
API_REQUEST = Price("API Gateway", 3.50, 1e6, "requests", "api-gateway/pricing/")
CDN_REQUEST = Price(
    "CloudFront", 0.0100, 10_000, "HTTPS requests", "cloudfront/pricing/", free=10e6, as_of="2026-03"
)
METRIC = Price(
    "CloudWatch",
    0.30,
    1,
    "own metrics, by the hours that they are sent",
    _CLOUDWATCH,
    free=10,
    as_of="2025-10",
)
ALARM = Price("CloudWatch", 0.10, 1, "metrics watched by alarms", _CLOUDWATCH, free=10, as_of="2025-10")
DASHBOARD = Price("CloudWatch", 3.00, 1, "dashboard", _CLOUDWATCH, free=3)
LOG_GB = Price("CloudWatch", 0.50, 1, "GB of logs", _CLOUDWATCH, free=5, as_of="2025-10")
KEY = Price("KMS", 1.00, 1, "keys", "kms/pricing/", as_of="2026-03")
KEY_REQUEST = Price("KMS", 0.03, 10_000, "requests", "kms/pricing/", free=20_000, as_of="2026-03")
SECRET = Price("Secrets Manager", 0.40, 1, "secrets", "secrets-manager/pricing/")
SECRET_CALL = Price("Secrets Manager", 0.05, 10_000, "calls", "secrets-manager/pricing/")
