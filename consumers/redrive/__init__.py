"""What failed and comes back: dead letters, redrive, and the requeue of quarantined records."""
