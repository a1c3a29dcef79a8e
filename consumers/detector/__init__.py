"""The function stock-detector: handler, wiring, invocation, commit and effects."""
