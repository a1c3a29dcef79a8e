"""Quote sources, the scan and the wire contract of a quote batch."""
