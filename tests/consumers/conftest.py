"""How many histories the properties of the consumers take."""

from __future__ import annotations

from hypothesis import settings

# pytest tests/consumers/detector/test_exactly_once.py --hypothesis-profile=long
settings.register_profile("long", max_examples=10_000)
