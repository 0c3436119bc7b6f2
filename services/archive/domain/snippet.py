"""The part of a text that shows why it was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.archive.domain.query import Query

SNIPPET_CHARS: Final = 160
LEAD_CHARS: Final = 40
"""How much is shown before the first highlight."""
WORD_SLACK_CHARS: Final = 12
"""How far a cut may move to fall between words."""
ELLIPSIS: Final = "\u2026"


@dataclass(frozen=True, slots=True)
class Snippet:
    """`highlights` are places of `text`, in code points, end exclusive. Plain text: nothing is marked up or escaped."""

    text: str
    highlights: tuple[tuple[int, int], ...]


def excerpt(body: str, query: Query) -> Snippet:
    """About `SNIPPET_CHARS` of the text around the first highlight; an ellipsis stands where it was cut."""
    places = list(query.highlights(body))
    start = _start(body, places[0][0] if places else 0)
    end = _end(body, start + SNIPPET_CHARS)
    before, after = ELLIPSIS if start else "", ELLIPSIS if end < len(body) else ""
    shift = len(before) - start
    inside = tuple((max(low, start) + shift, min(high, end) + shift) for low, high in places if low < end and high > start)
    return Snippet(before + body[start:end] + after, inside)


def _start(body: str, first: int) -> int:
    if len(body) <= SNIPPET_CHARS or first <= LEAD_CHARS:
        return 0
    start = min(first - LEAD_CHARS, len(body) - SNIPPET_CHARS)
    space = body.find(" ", start, min(start + WORD_SLACK_CHARS, first))
    return space + 1 if space >= 0 else start


def _end(body: str, limit: int) -> int:
    if limit >= len(body):
        return len(body)
    space = body.rfind(" ", limit - WORD_SLACK_CHARS, limit)
    return space if space >= 0 else limit
