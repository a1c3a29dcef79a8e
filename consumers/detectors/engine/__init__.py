"""Runs detectors over ticks: columns, rounds, signals, state and episodes. Importing this package imports nothing."""
