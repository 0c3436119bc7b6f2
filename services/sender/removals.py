"""Copies of deleted files at the provider: it is asked to delete them, a few times, beside the uploads and not among them.

What it does not delete it forgets by itself, thirty days after it was uploaded. Source: WhatsApp Cloud API, media, read 2026-11.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

import aiohttp
import structlog

from services.sender.domain.outcome import Rejected
from services.sender.numbers import Numbers
from services.sender.provider.upload import remove
from services.sender.store import media as store
from services.sender.store.media import Removal
from shared.db.pool import Pool
from shared.every import Every

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 5.0
CALL_SECONDS: Final = 10.0
LEASE: Final = timedelta(minutes=1)
WAITS: Final = tuple(timedelta(seconds=s) for s in (60, 600, 3_600, 21_600))
"""Between tries; then it is left to the provider."""


class Removals:
    """Has the provider delete what is due; `worker` is the component that does so."""

    def __init__(self, pool: Pool, session: aiohttp.ClientSession, numbers: Numbers) -> None:
        self.worker = Every("sender.remove_media", LOOK_SECONDS, self.remove_due)
        self._pool = pool
        self._session = session
        self._numbers = numbers

    async def remove_due(self) -> bool:
        """Have the copy deleted that is due first; True where there may be more."""
        removal = await store.claim_removal(self._pool, lease=LEASE)
        if removal is None:
            return False
        code = None
        # With more tries than there are, whoever had it in hand did not live to say so.
        if not removal.is_in_use and removal.tries <= len(WAITS) + 1:
            code = await self._trouble(removal)
        if code is None:
            await store.end_removal(self._pool, removal)
            return True
        is_final = removal.tries > len(WAITS)
        log.warning("media.not_removed", number_id=removal.number_id, code=code, tries=removal.tries, is_final=is_final)
        if is_final:
            await store.end_removal(self._pool, removal)
        else:
            await store.put_off_removal(self._pool, removal, WAITS[removal.tries - 1])
        return True

    async def _trouble(self, removal: Removal) -> str | None:
        """Why it is to be tried again; None where it is not."""
        number = (await self._numbers.of([removal.number_id])).get(removal.number_id)
        if number is None or self._numbers.paused(number) is not None:
            return "number.paused"
        if number.files is None:
            return None
        try:
            async with asyncio.timeout(CALL_SECONDS):
                outcome = await remove(self._session, number.files, removal.handle)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError too
            return f"connection.{type(error).__name__}"
        if outcome is None:
            log.info("media.removed", number_id=removal.number_id)
            return None
        if isinstance(outcome, Rejected):
            log.warning("media.not_removed", number_id=removal.number_id, code=outcome.code, tries=removal.tries, is_final=True)
            return None
        return outcome.code
