"""What the archive is asked for when it is scraped: its imports and exports, how far its followers are, how its caches do.

What it does is counted where it is done: entries in `consumers.py` and `imports/work.py`, searches in `search/answer.py`.
"""

from __future__ import annotations

from typing import Final

from services.archive.annotations.annotator import follower_name
from services.archive.cache import Reads
from services.archive.statistics import counting
from services.archive.statistics.counting import Delays
from services.archive.store import lexicon
from services.archive.store import metrics as store
from shared.clock import Clock
from shared.db.pool import Pool
from shared.ids import made_at
from shared.telemetry.catalogue import (
    EXPORT_OLDEST_AGE_SECONDS,
    EXPORTS,
    FOLLOWER_LAG_SECONDS,
    IMPORT_IDLE_SECONDS,
    IMPORTS,
)
from shared.telemetry.metrics import Metrics, Reading

IMPORT_STATES: Final = ("uploading", "surveying", "ready", "importing", "undoing")
EXPORT_STATES: Final = ("queued", "running")


def add_sources(metrics: Metrics, pool: Pool, reads: Reads, delays: Delays, clock: Clock, *, is_annotating: bool) -> None:
    """Have `metrics` ask all of it. Rows of followers that do not run stand still, and are not looked at."""
    followers: dict[str, str] = {lexicon.FOLLOWER: "lexicon", counting.FOLLOWER: "statistics"}
    if is_annotating:
        followers[follower_name()] = "annotations"

    async def imports() -> list[Reading]:
        found = await store.open_imports(pool)
        return [
            *(Reading(IMPORTS, found.by_state.get(state, 0), (state,)) for state in IMPORT_STATES),
            Reading(IMPORT_IDLE_SECONDS, max(0.0, found.oldest_seconds)),
        ]

    async def exports() -> list[Reading]:
        found = await store.open_exports(pool)
        return [
            *(Reading(EXPORTS, found.by_state.get(state, 0), (state,)) for state in EXPORT_STATES),
            Reading(EXPORT_OLDEST_AGE_SECONDS, max(0.0, found.oldest_seconds)),
        ]

    async def lags() -> list[Reading]:
        now = clock.now()
        behind = {
            followers[name]: 0.0 if entry_id is None else (now - made_at(entry_id)).total_seconds()
            for name, entry_id in (await store.followed_until(pool, followers)).items()
        }
        stale = await store.stale_since(pool)
        behind["statistics.days"] = (stale.days or 0.0) - delays.days
        behind["statistics.words"] = (stale.words or 0.0) - delays.words
        return [Reading(FOLLOWER_LAG_SECONDS, max(0.0, lag), (name,)) for name, lag in behind.items()]

    async def caches() -> list[Reading]:
        """`answers` is what readers meet; of its two levels each is asked for what the one before it does not have."""
        names = ("answers", "answers.process", "answers.redis")
        return [reading for name, counts in zip(names, reads.levels, strict=True) for reading in counts.readings(name)]

    for read in (imports, exports, lags, caches):
        metrics.source(read.__name__, read)
