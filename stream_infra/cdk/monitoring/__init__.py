"""The metrics that alarms and the CloudWatch dashboard read."""
