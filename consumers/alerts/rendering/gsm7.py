"""SMS text: the GSM 7-bit alphabet, its lengths, and cutting to one segment.

Source: 3GPP TS 23.038, section 6.2.1 (basic character set and its extension table).
"""

from __future__ import annotations

SEGMENT_SEPTETS = 160
"""Septets in a message of one segment; one more, or one character outside the alphabet, costs a second."""

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")
"""Characters that need an escape, so two septets each."""

_SPELLED = str.maketrans(
    {"×": "x", "−": "-", "–": "-", "—": "-", "±": "+/-", "’": "'", "‘": "'", "“": '"', "”": '"', "…": "...",
     "→": "->", "≥": ">=", "≤": "<=", "≈": "~", "σ": "sd", "\t": " ", "\u00a0": " ", "\u202f": " "}
)  # fmt: skip


def septets(text: str) -> int:
    """Return the length of `text` in septets.

    Raises
    ------
    ValueError
        A character is not in the alphabet; the message names it.
    """
    strange = next((char for char in text if char not in BASIC and char not in EXTENSION), None)
    if strange is not None:
        raise ValueError(f"{strange!r} is not in the GSM 7-bit alphabet")
    return len(text) + sum(char in EXTENSION for char in text)


def spell(text: str) -> str:
    """Spell `text` in the alphabet: common signs are spelled out, what is left of the unknown becomes ``?``."""
    spelled = text.translate(_SPELLED)
    return "".join(char if char in BASIC or char in EXTENSION else "?" for char in spelled)


def cut(text: str, limit: int = SEGMENT_SEPTETS) -> str:
    """Return the longest start of `text` (in the alphabet) of at most `limit` septets; ``...`` shows a cut."""
    if septets(text) <= limit:
        return text
    kept = ""
    room = limit - 3
    for char in text:
        room -= 2 if char in EXTENSION else 1
        if room < 0:
            break
        kept += char
    return kept.rstrip() + "..."
