"""From the stream to anomalies: windows, detection, effects and alerts."""
