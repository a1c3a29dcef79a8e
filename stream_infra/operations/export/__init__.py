"""Writes what the monitor has found and seen to a file: CSV, JSON Lines or Parquet."""
