"""Messages of ours that a content names (`msg_…`: what it answers, what it reacts to): the provider knows them by their wamid."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from services.sender.domain.outcome import Outcome, Rejected, Retry
from services.sender.domain.reference import Found, is_young
from services.sender.domain.retry import longer_each_time
from services.sender.numbers import Number
from services.sender.store import references as store
from shared.batching import Batcher, Full
from shared.clock import Clock
from shared.content import message_place
from shared.db.pool import Pool
from shared.events.catalogue import MessageReleased
from shared.events.values import Content
from shared.ids import is_id
from shared.unavailable import is_unavailable

PATIENCE: Final = timedelta(minutes=1)
"""Since it was due, for the message that it names to be sent first: people answer what they have just written."""
AGAIN_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 10.0
_AWAY: Final = Retry("sender.references_away", after=2.0, counted=False)
_UNKNOWN: Final = Rejected(
    "reference.unknown", "The message that it names was not sent, or longer ago than the outcome of sending is kept."
)


class References:
    """Finds wamids, for all that ask at once in one query. `lookups` is the component that asks."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self.lookups: Batcher[store.Name, Found] = Batcher("sender.references", self._find)

    async def put_in(self, content: Content, event: MessageReleased, _number: Number) -> Content | Outcome:
        """A quotation of what nobody knows is left out: the message goes without it. What is nothing without the other message, a
        reaction or a pin, is rejected."""
        place = message_place(content)
        if place is None or not is_id(place[0]["message_id"], "msg"):
            return content
        name, message_id = place[1].removeprefix("/"), place[0]["message_id"]
        try:
            found = await self.lookups.submit((event.tenant_id, message_id))
        except Full:
            return _AWAY
        except Exception as error:
            if not is_unavailable(error):
                raise
            return _AWAY
        if found.wamid is not None:
            return {**content, name: {**place[0], "message_id": found.wamid}}
        now = self._clock.now()
        waits = found.is_open or (not found.is_known and is_young(message_id, now, PATIENCE))
        if waits and now - (event.first_due_at or event.occurred_at) < PATIENCE:
            return Retry(
                "reference.unsent", after=longer_each_time(AGAIN_SECONDS, event.attempt, LONGEST_SECONDS), counted=False
            )
        if name == "context":
            return {key: value for key, value in content.items() if key != name}
        return _UNKNOWN

    async def _find(self, names: Sequence[store.Name]) -> Sequence[Found]:
        return await store.find(self._pool, names)
