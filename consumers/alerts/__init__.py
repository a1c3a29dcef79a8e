"""Incidents: what anomalies mean for people, who is notified of them, when, and by which channel."""
