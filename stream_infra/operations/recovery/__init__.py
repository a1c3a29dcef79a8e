"""Recovery: each step ends with a proof that the data is what it should be, by counts and checksums."""
