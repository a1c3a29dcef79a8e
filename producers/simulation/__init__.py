"""The market behind the source `simulated`: paths, listings and injected anomalies."""
