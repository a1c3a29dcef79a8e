"""What Athena is told of the lake is what the function writes."""

from __future__ import annotations

import json

import pytest

from consumers.lake.queries import QUERIES
from consumers.lake.tables import DAY, TABLES, TableName, object_key
from stream_infra import names
from stream_infra.cdk.bundling import CONTENTS
from tests.stream_infra.cdk.assembly import Properties, Templates, properties
from tests.stream_infra.cdk.test_templates import named


def text(value: object) -> str:
    """A value of a template with the account's number in it."""
    if isinstance(value, str):
        return value
    assert isinstance(value, dict)
    return "".join(part if isinstance(part, str) else "111122223333" for part in value["Fn::Join"][1])


def tables(templates: Templates) -> dict[str, Properties]:
    return {
        item["TableInput"]["Name"]: item["TableInput"] for item in properties(templates, "AWS::Glue::Table")
    }


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_the_columns_of_the_files_and_finds_each_day(
    aws_templates: Templates, name: TableName
) -> None:
    """Athena guide, "Use partition projection": no day is registered, its path follows from a template."""
    table = tables(aws_templates)[name]
    storage = table["StorageDescriptor"]
    assert {column["Name"]: column["Type"] for column in storage["Columns"]} == TABLES[name].columns
    assert [(key["Name"], key["Type"]) for key in table["PartitionKeys"]] == [(DAY, "string")]
    assert table["Parameters"][f"projection.{DAY}.type"] == "date"
    template = text(table["Parameters"]["storage.location.template"])
    folder = f"s3://{names.data_bucket('111122223333')}/{object_key(name, '2026-11-24').rpartition('/')[0]}/"
    assert template.replace(f"${{{DAY}}}", "2026-11-24") == folder
    assert folder.startswith(text(storage["Location"]))


def test_athena_has_the_named_queries_and_a_work_group_of_bounded_cost(aws_templates: Templates) -> None:
    queries = named(aws_templates, "AWS::Athena::NamedQuery", "Name")
    assert {name: item["QueryString"] for name, item in queries.items()} == {
        name: query.sql for name, query in QUERIES.items()
    }
    assert {item["Database"] for item in queries.values()} == {names.LAKE_DATABASE}
    (group,) = properties(aws_templates, "AWS::Athena::WorkGroup")
    settings = group["WorkGroupConfiguration"]
    assert settings["EnforceWorkGroupConfiguration"] is True
    assert settings["BytesScannedCutoffPerQuery"] == 100 * 2**30
    assert text(settings["ResultConfiguration"]["OutputLocation"]).endswith("/athena-results/")


def test_replaced_days_and_answers_do_not_pile_up(aws_templates: Templates) -> None:
    (data,) = [
        bucket
        for bucket in properties(aws_templates, "AWS::S3::Bucket")
        if "stock-scan-data" in json.dumps(bucket.get("BucketName"))
    ]
    rules = {rule["Id"]: rule for rule in data["LifecycleConfiguration"]["Rules"]}
    replaced = rules["replaced-days-of-the-lake-go"]
    assert (replaced["Prefix"], replaced["NoncurrentVersionExpiration"]) == ("lake/", {"NoncurrentDays": 1})
    assert rules["answers-of-athena-go"]["ExpirationInDays"] == 7


def test_the_lake_is_written_every_hour(aws_templates: Templates, local_templates: Templates) -> None:
    for templates in (aws_templates, local_templates):
        rule = named(templates, "AWS::Events::Rule", "Name")[names.LAKE_RULE]
        assert (rule["ScheduleExpression"], rule["State"]) == ("rate(1 hour)", "ENABLED")


def test_no_other_bundle_grows_by_what_writes_parquet() -> None:
    assert [name for name, of in CONTENTS.items() if "duckdb" in of.distributions] == [names.LAKE]
