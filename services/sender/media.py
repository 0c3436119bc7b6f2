"""Files of the tenant's in a content (`med_…`): the provider knows each by an id that is good for one number and for 30 days.

A message whose file is not there yet goes back for a moment, while `uploads` brings it: it holds up nobody. What was uploaded once
is used again by all messages of the number with the same bytes. Source: WhatsApp Cloud API, media, read 2026-11.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Final

import orjson

from services.sender.domain.outcome import Outcome, Rejected, Retry
from services.sender.domain.retry import longer_each_time
from services.sender.numbers import Number
from services.sender.store import media as store
from services.sender.store.media import Coming, Found, Handle, Name, Refused
from shared.batching import Batcher, Full
from shared.clock import Clock
from shared.content import media_places
from shared.db.pool import Pool
from shared.events.catalogue import MessageReleased
from shared.events.values import Content
from shared.ids import is_id
from shared.unavailable import is_unavailable

PATIENCE: Final = timedelta(minutes=1)
"""Since the message was due, for the news of its file to come: both are told at the same time, by different ways."""
LONGEST_SECONDS: Final = 30.0
LONGEST_UNTOLD_SECONDS: Final = 10.0
REMEMBERED: Final = 10_000
"""Ids that a process keeps in memory."""
MARGIN: Final = timedelta(minutes=10)
"""Before its end an id is not used any more."""
KNOWN_SECONDS: Final = 300.0
"""So long an id in memory is used without looking whether its file is still there."""
BELIEVED: Final = timedelta(hours=1)
"""An id that the provider has given so lately is not the reason why it refuses a message."""
DOUBTED: Final = frozenset({"provider.100", "provider.131009", "provider.131052", "provider.131053"})
"""How a message can end whose file the provider has forgotten."""
_AWAY: Final = Retry("sender.media_away", after=2.0, counted=False)
_UNKNOWN: Final = Rejected("media.unknown", "There is no such file; it may have been deleted.")
_FORGOTTEN: Final = Retry("media.expired", after=1.0, counted=False)


class OwnFiles:
    """Puts the provider's ids of files in the place of ours. `lookups` is the component that asks for all at once; `wake` tells who
    uploads that there is work."""

    def __init__(self, pool: Pool, clock: Clock, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._clock = clock
        self._wake = wake
        self._handles: OrderedDict[Name, tuple[Handle, float]] = OrderedDict()
        self.lookups: Batcher[Name, Found] = Batcher("sender.media", self._find)

    async def put_in(self, content: Content, event: MessageReleased, number: Number) -> Content | Outcome:
        """The content with the provider's ids; or how the attempt ends, which for a file on its way is soon again."""
        names = set(_names(content, event, number))
        if not names or number.files is None:
            return content
        handles: dict[str, str] = {}
        for name in names:
            found = self._remembered(name) or await self._look_up(name)
            if not isinstance(found, Handle):
                return self._without(found, event)
            handles[name.media_id] = found.text
        changed: Content = orjson.loads(orjson.dumps(content))
        for place in media_places(changed):
            if (handle := handles.get(str(place.part.get("id")))) is not None:
                place.part["id"] = handle
        return changed

    async def doubt(self, event: MessageReleased, number: Number, outcome: Outcome) -> Outcome:
        """What an attempt ended with. Where it may be that the provider has forgotten a file, that is uploaded again, once, and the
        message comes again."""
        if not isinstance(outcome, Rejected | Retry) or outcome.code not in DOUBTED:
            return outcome
        until = self._clock.now() - BELIEVED
        names = set(_names(event.content, event, number))
        known = {name: self._handles[name][0] for name in names if name in self._handles}
        old = {name: handle.text for name, handle in known.items() if handle.uploaded_at < until}
        if not old:
            return outcome
        for name in old:
            del self._handles[name]
        try:
            await store.forget(self._pool, number.number_id, list(old.values()))
        except Exception as error:
            if not is_unavailable(error):
                raise
            return outcome
        self._wake()
        return _FORGOTTEN

    def _without(self, found: Found | Outcome, event: MessageReleased) -> Outcome:
        match found:
            case Coming(seconds):
                after = longer_each_time(seconds, event.attempt, LONGEST_SECONDS)
                return Retry("media.uploading", after=after, counted=False)
            case Refused(code, detail):
                return Rejected(code, detail)
            case None:
                is_young = self._clock.now() - (event.first_due_at or event.occurred_at) < PATIENCE
                if not is_young:
                    return _UNKNOWN
                after = longer_each_time(1.0, event.attempt, LONGEST_UNTOLD_SECONDS)
                return Retry("media.not_yet_known", after=after, counted=False)
        return _AWAY

    def _remembered(self, name: Name) -> Handle | None:
        if name not in self._handles:
            return None
        handle, found_at = self._handles[name]
        if handle.expires_at - MARGIN <= self._clock.now() or self._clock.monotonic() - found_at > KNOWN_SECONDS:
            del self._handles[name]
            return None
        return handle

    async def _look_up(self, name: Name) -> Found | Outcome:
        try:
            found = await self.lookups.submit(name)
        except Full:
            return _AWAY
        except Exception as error:
            if not is_unavailable(error):
                raise
            return _AWAY
        if isinstance(found, Handle):
            self._handles[name] = found, self._clock.monotonic()
            while len(self._handles) > REMEMBERED:
                self._handles.popitem(last=False)
        return found

    async def _find(self, names: Sequence[Name]) -> Sequence[Found]:
        found = await store.find(self._pool, names)
        if any(isinstance(one, Coming) for one in found):
            self._wake()
        return found


def _names(content: Content, event: MessageReleased, number: Number) -> Iterator[Name]:
    for place in media_places(content):
        media_id = place.part.get("id")
        if isinstance(media_id, str) and is_id(media_id, "med"):
            yield Name(event.tenant_id, number.number_id, media_id)
