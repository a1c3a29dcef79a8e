"""The detector's ports on AWS: DynamoDB, S3, EventBridge and SSM."""
