"""What Athena knows of the lake: a Glue database, a work group and the named queries.

Only on AWS: locally `stock-monitor sql` reads the same files by DuckDB, which needs no catalog.
"""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk import aws_athena as athena
from aws_cdk import aws_glue as glue
from constructs import Construct

from consumers.lake.queries import QUERIES
from consumers.lake.tables import DAY, PREFIX, TABLES, LakeTable
from stream_infra import names

_BUCKET = f"s3://{names.data_bucket(Aws.ACCOUNT_ID)}"
_PARQUET = "org.apache.hadoop.hive.ql.io.parquet"
SCANNED_BYTES = 100 * 2**30
"""A query that would read more ($0.50) is cancelled: it forgot to say of which days."""


class LakeCatalog(Construct):
    """Tables over the objects of the lake; a day needs no entry of its own, its path follows from its name.

    Athena guide, "Use partition projection with Amazon Athena".
    """

    def __init__(self, scope: Construct, id_: str) -> None:
        super().__init__(scope, id_)
        database = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=Aws.ACCOUNT_ID,
            database_input=glue.CfnDatabase.DatabaseInputProperty(
                name=names.LAKE_DATABASE,
                description="What the stock monitor has seen and found (docs/lake.md)",
            ),
        )
        for table in TABLES.values():
            self._table(table).add_dependency(database)
        group = self._work_group()
        for name, query in QUERIES.items():
            named = athena.CfnNamedQuery(
                self,
                name,
                name=name,
                description=query.says,
                database=names.LAKE_DATABASE,
                query_string=query.sql,
                work_group=names.WORKGROUP,
            )
            named.add_dependency(group)
            named.add_dependency(database)

    def _table(self, table: LakeTable) -> glue.CfnTable:
        place = f"{_BUCKET}/{PREFIX}{table.name}/"
        return glue.CfnTable(
            self,
            f"Table-{table.name}",
            catalog_id=Aws.ACCOUNT_ID,
            database_name=names.LAKE_DATABASE,
            table_input=glue.CfnTable.TableInputProperty(
                name=table.name,
                description=f"A row is {table.says}",
                table_type="EXTERNAL_TABLE",
                parameters={
                    "EXTERNAL": "TRUE",
                    "classification": "parquet",
                    "projection.enabled": "true",
                    f"projection.{DAY}.type": "date",
                    f"projection.{DAY}.format": "yyyy-MM-dd",
                    f"projection.{DAY}.range": "2000-01-01,NOW",  # a replay is of any day
                    "storage.location.template": f"{place}{DAY}=${{{DAY}}}/",
                },
                partition_keys=[glue.CfnTable.ColumnProperty(name=DAY, type="string")],
                storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                    location=place,
                    columns=[
                        glue.CfnTable.ColumnProperty(name=name, type=of) for name, of in table.columns.items()
                    ],
                    input_format=f"{_PARQUET}.MapredParquetInputFormat",
                    output_format=f"{_PARQUET}.MapredParquetOutputFormat",
                    serde_info=glue.CfnTable.SerdeInfoProperty(
                        serialization_library=f"{_PARQUET}.serde.ParquetHiveSerDe"
                    ),
                ),
            ),
        )

    def _work_group(self) -> athena.CfnWorkGroup:
        return athena.CfnWorkGroup(
            self,
            "WorkGroup",
            name=names.WORKGROUP,
            description="SQL over the lake: answers go to the data bucket for a week",
            recursive_delete_option=True,
            work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                bytes_scanned_cutoff_per_query=SCANNED_BYTES,
                engine_version=athena.CfnWorkGroup.EngineVersionProperty(
                    selected_engine_version="Athena engine version 3"
                ),
                result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                    output_location=f"{_BUCKET}/{names.ATHENA_RESULTS}",
                    encryption_configuration=athena.CfnWorkGroup.EncryptionConfigurationProperty(
                        encryption_option="SSE_S3"
                    ),
                ),
            ),
        )
