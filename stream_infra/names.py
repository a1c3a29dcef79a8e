"""Physical names that the runbook, the functions and the command line share."""

from __future__ import annotations

STREAM = "stock-quotes"
ANOMALIES_TABLE = "stock-anomalies"
WINDOWS_TABLE = "stock-windows"
CHARTS_TABLE = "stock-charts"
ALERTS_TABLE = "stock-alerts"
DEAD_LETTER_QUEUE = "stock-scanner-dlq"
NOTIFIER_QUEUE = "stock-notifier-queue"
NOTIFIER_DEAD_LETTER_QUEUE = "stock-notifier-dlq"
ALERTS_TOPIC = "stock-tracker-alerts"
OPERATIONS_TOPIC = "stock-tracker-operations"
BUS = "stock-market"
ARCHIVE = "stock-market"
ARCHIVE_DAYS = 14
"""Less than the 15 days for which the notifier knows what it took: a replay of all makes no message twice."""
EVENT_SOURCE = "stock-monitor"
SCHEDULE_RULE = "StockScannerSchedule"
DIGEST_RULE = "StockNotifierDigest"
ANOMALY_RULE = "StockAnomalies"
FAILED_BATCH_RULE = "StockFailedBatches"
CANARY_RULE = "StockCanary"
LAKE_RULE = "StockLake"
CANARY_KEY = "aws.events"
"""Partition key of the canary's records on the stream: the source of a scheduled event."""
TICKER_PARAMETER = "/stock-tracker/ticker"
RULES_PARAMETER = "/stock-tracker/rules"
THRESHOLD_PARAMETER = "/stock-tracker/threshold"
ALERTS_PARAMETER = "/stock-tracker/alerts"
SOURCE_SECRET = "stock-tracker/source-keys"  # noqa: S105  its name
CHANNEL_SECRETS = "stock-tracker/channels/"
"""Start of the names of channels' secrets; the name of the channel follows."""
SCANNER = "stock-scanner"
DETECTOR = "stock-detector"
NOTIFIER = "stock-notifier"
API_HANDLER = "stock-api-handler"
LAKE = "stock-lake"
FUNCTIONS = (SCANNER, DETECTOR, NOTIFIER, API_HANDLER, LAKE)
HANDLERS = {
    SCANNER: "producers.handler.handler",
    DETECTOR: "consumers.detector.handler.handler",
    NOTIFIER: "consumers.alerts.handler.handler",
    API_HANDLER: "api.handler.handler",
    LAKE: "consumers.lake.handler.handler",
}
"""What Lambda calls in each function."""
LIVE = "live"
"""The alias of every function that its triggers call."""
REST_API = "stock-api"
LAKE_DATABASE = "stock_monitor"
"""Of the Glue catalog: names of its tables are those of the lake."""
WORKGROUP = "stock-monitor"
"""Of Athena."""
ATHENA_RESULTS = "athena-results/"
"""Start of the keys of Athena's answers in the data bucket."""
API_CONCURRENCY = 20
"""Requests at once: at 30 ms each, six times as many a second as the stage lets through. A flood of them takes
neither the detector's concurrency nor the rest of the account's."""
NOTIFIER_CONCURRENCY = 5
"""Two functions take 10,000 events a minute (docs/performance.md); many more would only wait for one another, and
take their places of the account's concurrency from the detector."""
NOTIFIER_CONCURRENCY_UNRESERVED = 2
"""The same where nothing is reserved, as in a new account with ten places for all: the least that Lambda takes (API
reference, ScalingConfig). A throttled message would be late by the queue's visibility timeout."""
STAGE = "prod"
STACKS = ("StorageStack", "StreamStack", "LambdaStack", "ApiStack", "DashboardStack", "ObservabilityStack")


def data_bucket(account: str) -> str:
    """Return the bucket of raw quotes, snapshots, quarantine and failed batches."""
    return f"stock-scan-data-{account}"


def log_bucket(of: str) -> str:
    """Return the bucket of the access logs of another one."""
    return of.replace("-data-", "-logs-").replace("-dashboard-", "-dashboard-logs-")


def dashboard_bucket(account: str) -> str:
    """Return the bucket that CloudFront (locally the front door) serves."""
    return f"stock-dashboard-{account}"
