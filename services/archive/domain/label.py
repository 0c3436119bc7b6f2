"""A label: a short word or two that a team puts on entries and conversations."""

from __future__ import annotations

import unicodedata
from typing import Final

MAX_LABEL_CHARS: Final = 60


def fold_label(text: str) -> str | None:
    """The label as it is kept and compared: NFC, case folded, blanks joined; None of what cannot be one.

    Control and format characters (NUL, line ends, marks of direction) are refused, because two labels that look the same would
    differ, and so is `/`, because a label stands in a path. The joiners that scripts and emoji need are taken.
    """
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    label = " ".join(folded.split())
    if not 0 < len(label) <= MAX_LABEL_CHARS or "/" in label or label in {".", ".."}:
        return None
    if any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn"} and char not in "\u200c\u200d" for char in label):
        return None
    return label
