"""The loop that annotates."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Final

from services.archive.annotations.annotator import Annotator
from services.archive.cache import Changes
from services.archive.settings import AnnotationSettings
from shared.db.pool import Pool
from shared.every import Every

ANNOTATE_SECONDS: Final = 5.0


def jobs(stack: AsyncExitStack, pool: Pool, changes: Changes, settings: AnnotationSettings) -> list[Every]:
    """Nothing where annotations are switched off. The processes end with `stack`."""
    if not settings.enabled:
        return []
    annotator = Annotator(pool, changes, processes=settings.processes, batch=settings.batch)
    stack.callback(annotator.close)
    return [Every("archive.annotate", ANNOTATE_SECONDS, annotator.step)]
