"""One emoji, as people see it: a base, or several joined, with what modifies them.

Source: Unicode Technical Standard 51, "emoji_sequence" and "emoji_zwj_sequence", read loosely: one that no font draws passes.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

LONGEST: Final = 40
_FLAG: Final = "[\U0001f1e6-\U0001f1ff]{2}"
_KEYCAP: Final = "[0-9#*]\ufe0f?\u20e3"
_ELEMENT: Final = "(?P<base>.)[\ufe0e\ufe0f]?[\U0001f3fb-\U0001f3ff]?[\U000e0020-\U000e007f]*"
_SPECIAL: Final = re.compile(f"{_FLAG}|{_KEYCAP}")
_PLAIN: Final = re.compile(_ELEMENT, re.DOTALL)
_JOINER: Final = "\u200d"
_PICTURES: Final = range(0x1F000, 0x1FB00)
"""Also those that this Python's Unicode does not know yet."""
_ODD: Final = frozenset("‼⁉ℹ〰")
"""Emoji whose category is punctuation's or a letter's."""


def is_one_emoji(text: str) -> bool:
    """False for letters, for none and for several."""
    if not 0 < len(text) <= LONGEST:
        return False
    if _SPECIAL.fullmatch(text):
        return True
    matches = [_PLAIN.fullmatch(element) for element in text.split(_JOINER)]
    return all(match is not None and _is_picture(match["base"]) for match in matches)


def _is_picture(character: str) -> bool:
    return ord(character) in _PICTURES or character in _ODD or unicodedata.category(character) in ("So", "Sm", "Sk")
