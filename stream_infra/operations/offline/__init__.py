"""Detection without a stream: recordings in, anomalies and alerts out."""
