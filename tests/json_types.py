"""Types of JSON whose shape the tests that read it assert themselves."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
"""An object."""
