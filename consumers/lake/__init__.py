"""The lake: what the monitor has seen and found, as Parquet that Athena and DuckDB read (docs/lake.md)."""
