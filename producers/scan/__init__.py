"""The scan: polls of a watch list under one lease, and what is remembered between them."""
