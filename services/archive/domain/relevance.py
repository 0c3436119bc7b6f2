"""How well an entry answers a question: BM25 by the lexicon's frequencies, a little more for words that stand together, and a
little more for what is recent (Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from services.archive.domain.query import Query

SATURATION: Final = 1.2
LENGTH: Final = 0.75
"""BM25's k1 and b."""
USUAL_CHARS: Final = 60
TOGETHER: Final = 1.5
"""Of words that stand as they were asked for, one after the other."""
RECENT: Final = 0.5
RECENT_DAYS: Final = 180.0
"""What was said now counts half as much again; half of that is gone after so many days."""
_SCALE: Final = 1_000_000


def weights(query: Query, entries: Mapping[str, int], total: int) -> dict[str, float]:
    """By term, how much it tells that an entry has it; `entries` that have it, of `total`."""
    found = {}
    for want in query.wanted:
        count = min(entries.get(want.term, 1), total)
        found[want.term] = math.log(1 + (total - count + 0.5) / (count + 0.5))
    return found


def score(body: str, sent_at: datetime, weighed: Mapping[str, float], now: datetime) -> int:
    """Whole millionths, so that two readings of the same entry are equal. Terms are counted roughly, as parts of words too: they
    are known to be there."""
    text = body.lower()
    length = SATURATION * (1 - LENGTH + LENGTH * len(text) / USUAL_CHARS)
    total: float = 0.0
    for term, weight in weighed.items():
        times = text.count(term) or 1
        total += weight * times * (SATURATION + 1) / (times + length)
    if len(weighed) > 1 and " ".join(weighed) in text:
        total *= TOGETHER
    age = max(0.0, (now - sent_at).total_seconds() / 86_400)
    recent: float = 0.5 ** (age / RECENT_DAYS)
    return round(_SCALE * total * (1 + RECENT * recent))
