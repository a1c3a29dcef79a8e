"""From the bytes of the stream to rows: KPL, decoding, quarantine, and the thresholds in force."""
