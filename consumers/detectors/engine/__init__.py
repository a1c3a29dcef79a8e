"""Runs detectors over ticks: signals, state, episodes and the loop. Importing this package imports nothing."""
