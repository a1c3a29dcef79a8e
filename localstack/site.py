"""Upload the dashboard to its bucket, as the DashboardStack's deployment does on AWS."""

from __future__ import annotations

import hashlib

from localstack.clients import client
from localstack.settings import ACCOUNT, ROOT, LocalSettings
from stream_infra import names
from stream_infra.cdk.web import site_files


def upload(settings: LocalSettings) -> int:
    """Put every changed file and delete what is gone; the number of files that were touched."""
    s3, bucket = client(settings, "s3"), names.dashboard_bucket(ACCOUNT)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    stored = {item["Key"]: item["ETag"].strip('"') for page in pages for item in page.get("Contents", [])}
    touched = 0
    for key, path, content_type in site_files(ROOT / "dashboard"):
        body = path.read_bytes()
        if (
            stored.pop(key, None) != hashlib.md5(body, usedforsecurity=False).hexdigest()
        ):  # what an ETag is in S3
            s3.put_object(
                Bucket=bucket, Key=key, Body=body, ContentType=content_type, CacheControl="no-cache"
            )
            touched += 1
    for key in stored:
        s3.delete_object(Bucket=bucket, Key=key)
    return touched + len(stored)
