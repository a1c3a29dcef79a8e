"""Physical names that the runbook, the functions and the command line share: those of one deployment.

A process works for one deployment. Its prefix stands before every name, so that several deployments fit into one
account and region; without one the names are the runbook's. `stream_infra.config.enter` says which one it
is, before anything imports this.
"""

from __future__ import annotations

import os

PREFIX_VARIABLE = "STOCK_MONITOR_PREFIX"
PREFIX = os.environ.get(PREFIX_VARIABLE, "")
"""The setting `prefix` of the deployment."""


def named(plain: str) -> str:
    """Return the physical name of what is called `plain` in the deployment without a prefix.

    A name that is a path keeps its slash at the front, as Parameter Store wants it.
    """
    before = f"{PREFIX}-" if PREFIX else ""
    return f"/{before}{plain[1:]}" if plain.startswith("/") else f"{before}{plain}"


def plain(name: str) -> str:
    """Return what `named` was given."""
    return name.removeprefix(f"{PREFIX}-") if PREFIX else name


STREAM = named("stock-quotes")
ANOMALIES_TABLE = named("stock-anomalies")
WINDOWS_TABLE = named("stock-windows")
CHARTS_TABLE = named("stock-charts")
ALERTS_TABLE = named("stock-alerts")
TABLES = (ANOMALIES_TABLE, WINDOWS_TABLE, CHARTS_TABLE, ALERTS_TABLE)
DEAD_LETTER_QUEUE = named("stock-scanner-dlq")
NOTIFIER_QUEUE = named("stock-notifier-queue")
NOTIFIER_DEAD_LETTER_QUEUE = named("stock-notifier-dlq")
ALERTS_TOPIC = named("stock-tracker-alerts")
OPERATIONS_TOPIC = named("stock-tracker-operations")
BUS = named("stock-market")
ARCHIVE = named("stock-market")
ARCHIVE_DAYS = 14
"""Less than the 15 days for which the notifier knows what it took: a replay of all makes no message twice."""
SCHEMA_REGISTRY = named("stock-market")
EVENT_SOURCE = "stock-monitor"
SCHEDULE_RULE = named("StockScannerSchedule")
DIGEST_RULE = named("StockNotifierDigest")
ANOMALY_RULE = named("StockAnomalies")
FAILED_BATCH_RULE = named("StockFailedBatches")
CANARY_RULE = named("StockCanary")
LAKE_RULE = named("StockLake")
CANARY_KEY = "aws.events"
"""Partition key of the canary's records on the stream: the source of a scheduled event."""
TICKER_PARAMETER = named("/stock-tracker/ticker")
RULES_PARAMETER = named("/stock-tracker/rules")
THRESHOLD_PARAMETER = named("/stock-tracker/threshold")
ALERTS_PARAMETER = named("/stock-tracker/alerts")
SOURCE_SECRET = named("stock-tracker/source-keys")
CHANNEL_SECRETS = named("stock-tracker/channels/")
"""Start of the names of channels' secrets; the name of the channel follows."""
SCANNER = named("stock-scanner")
DETECTOR = named("stock-detector")
NOTIFIER = named("stock-notifier")
API_HANDLER = named("stock-api-handler")
LAKE = named("stock-lake")
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
REST_API = named("stock-api")
LAKE_DATABASE = named("stock_monitor").replace("-", "_")
"""Of the Glue catalog, whose names have no hyphens: names of its tables are those of the lake."""
WORKGROUP = named("stock-monitor")
"""Of Athena."""
FAILED_BATCHES_PREFIX = "aws/lambda/"
"""Where on-failure destinations write (Lambda guide, "Retain discarded batches for a Kinesis source")."""
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
SIGN_IN_PORTS = (8976, 8977, 8978)
"""Of this machine; to one of them a browser comes back when the command line signs in."""
UPLOAD_CONTEXT = "stock-monitor:upload"
"""Key of the CDK's context; another value uploads the page's files again."""
CLOUDWATCH_DASHBOARD = named("stock-monitor")
USER_POOL = named("stock-monitor")
STORAGE_STACK = named("StorageStack")
STREAM_STACK = named("StreamStack")
LAMBDA_STACK = named("LambdaStack")
API_STACK = named("ApiStack")
DASHBOARD_STACK = named("DashboardStack")
OBSERVABILITY_STACK = named("ObservabilityStack")
STACKS = (STORAGE_STACK, STREAM_STACK, LAMBDA_STACK, API_STACK, DASHBOARD_STACK, OBSERVABILITY_STACK)


def data_bucket(account: str) -> str:
    """Return the bucket of raw quotes, snapshots, quarantine and failed batches."""
    return named(f"stock-scan-data-{account}")


def log_bucket(of: str) -> str:
    """Return the bucket of the access logs of another one."""
    return of.replace("stock-scan-data-", "stock-scan-logs-").replace(
        "stock-dashboard-", "stock-dashboard-logs-"
    )


def dashboard_bucket(account: str) -> str:
    """Return the bucket that CloudFront (locally the front door) serves."""
    return named(f"stock-dashboard-{account}")
