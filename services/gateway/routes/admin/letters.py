"""Dead letters: listed, looked at, tried again, thrown away."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from services.gateway.operations.letters import Letters, place_of
from services.gateway.operations.others import AllServices
from services.gateway.operators import note
from services.gateway.payloads.operations import (
    DeadLetterDetail,
    DeadLetterPage,
    DeadLetterQuery,
    DeadLetterView,
    Settled,
    SettleDeadLetters,
)
from services.gateway.routes.admin.operation import operation
from shared.bus.dead_letters import DeadLetter, Wanted
from shared.bus.interface import BusError
from shared.clock import Clock
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.http.requests import read_body, read_model, read_query
from shared.http.responses import json_response
from shared.http.routes import Route

PATH: Final = "/admin/dead-letters"
_ID: Final = "{letter_id:dlt_[0-9a-v]{26}}"
_CURSOR: Final = re.compile(r"([0-9]{1,15})\.(dlt_[0-9a-v]{26})")
_NAMED: Final = 100
_SAFE: Final = (
    "As it is: an event that was handled before has its effect once, and a letter leaves only when the bus has what it became."
)


class LetterRoutes:
    """The handlers, with what they need."""

    def __init__(self, services: AllServices, letters: Letters, pool: Pool, clock: Clock) -> None:
        self._services = services
        self._letters = letters
        self._pool = pool
        self._clock = clock

    def routes(self) -> Sequence[Route]:
        return [
            operation(
                "GET",
                PATH,
                self.list,
                "Dead letters",
                DeadLetterPage,
                404,
                query=DeadLetterQuery,
                description="Events that no attempt could handle, newest first, without their contents. Kept for 14 days.",
            ),
            operation(
                "GET",
                f"{PATH}/{_ID}",
                self.get,
                "One dead letter",
                DeadLetterDetail,
                404,
                description="With its events; what is personal in them is left out.",
            ),
            operation("POST", f"{PATH}/{_ID}/replay", self.replay, "Handle it again", Settled, 404, description=_SAFE),
            operation(
                "POST",
                f"{PATH}/{_ID}/discard",
                self.discard,
                "Throw it away",
                Settled,
                404,
                description="What it told is not told to that consumer any more.",
            ),
            operation(
                "POST",
                f"{PATH}/replay",
                self.replay_many,
                "Handle many of a queue again",
                Settled,
                404,
                request=SettleDeadLetters,
                description=f"Up to 2,000 at once. {_SAFE}",
            ),
            operation(
                "POST",
                f"{PATH}/discard",
                self.discard_many,
                "Throw many of a queue away",
                Settled,
                404,
                request=SettleDeadLetters,
                description="Up to 2,000 at once.",
            ),
        ]

    async def list(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, DeadLetterQuery)
        before = None if query.cursor is None else _place(query.cursor)
        try:
            queues, unreachable = ([query.queue], ()) if query.queue else await self._queues()
            letters, total = await self._letters.newest_first(queues)
        except BusError:
            raise _away() from None
        found = [
            letter
            for letter in letters
            if (query.code is None or letter.code == query.code) and (before is None or place_of(letter) < before)
        ]
        page = found[: query.limit]
        more = ".".join(str(part) for part in place_of(page[-1])) if len(found) > query.limit else None
        now = self._clock.now()
        # Not here: hundreds of batches take a second to decode.
        data = await asyncio.to_thread(lambda: [DeadLetterView(**_facts(letter, now)) for letter in page])
        return json_response(DeadLetterPage(data=data, next_cursor=more, total=total, unreachable=list(unreachable)))

    async def get(self, request: web.Request) -> web.StreamResponse:
        try:
            queues, unreachable = await self._queues()
            letter = await self._letters.find(queues, request.match_info["letter_id"])
        except BusError:
            raise _away() from None
        if letter is None:
            raise _unknown(unreachable)
        return json_response(DeadLetterDetail(**_facts(letter, self._clock.now()), contents=letter.redacted()))

    async def replay(self, request: web.Request) -> web.StreamResponse:
        return await self._settle_one(request, replay=True)

    async def discard(self, request: web.Request) -> web.StreamResponse:
        return await self._settle_one(request, replay=False)

    async def replay_many(self, request: web.Request) -> web.StreamResponse:
        return await self._settle_many(request, replay=True)

    async def discard_many(self, request: web.Request) -> web.StreamResponse:
        return await self._settle_many(request, replay=False)

    async def _settle_one(self, request: web.Request, *, replay: bool) -> web.StreamResponse:
        await read_body(request, ())
        letter_id = request.match_info["letter_id"]
        action = f"dead_letter.{'replay' if replay else 'discard'}"
        await note(self._pool, request, action, letter_id)
        queues, unreachable = await self._queues()
        settled = await self._settle(queues, lambda letter: letter.letter_id == letter_id, replay=replay)
        if not settled:
            raise _unknown(unreachable)
        await self._note_done(request, action, letter_id, settled)
        return json_response(Settled(settled=len(settled)))

    async def _settle_many(self, request: web.Request, *, replay: bool) -> web.StreamResponse:
        body = await read_model(request, SettleDeadLetters)
        action = f"dead_letters.{'replay' if replay else 'discard'}"
        await note(self._pool, request, action, body.queue, code=body.code)
        settled = await self._settle([body.queue], lambda letter: body.code in {None, letter.code}, replay=replay)
        if settled:
            await self._note_done(request, action, body.queue, settled)
        return json_response(Settled(settled=len(settled)))

    async def _settle(self, queues: Sequence[str], wanted: Wanted, *, replay: bool) -> Sequence[DeadLetter]:
        settled: dict[str, DeadLetter] = {}

        def seen(letter: DeadLetter) -> bool:
            is_wanted = wanted(letter)
            if is_wanted:
                settled[letter.letter_id] = letter
            return is_wanted

        try:
            await self._letters.settle(queues, seen, replay=replay)
        except BusError:
            raise _away() from None
        return list(settled.values())

    async def _note_done(self, request: web.Request, action: str, subject: str, settled: Sequence[DeadLetter]) -> None:
        """Nobody can look at them any more: what they told is found by these."""
        events = [letter.envelope.get("event_id") for letter in settled[:_NAMED]]
        await note(self._pool, request, f"{action}.done", subject, settled=len(settled), first_events=events)

    async def _queues(self) -> tuple[Sequence[str], Sequence[str]]:
        """All that the services have, and the services that did not answer: theirs can be asked for by name. How many letters stand
        in each is asked later, while nobody else has them in hand. Raises `Rejected` 503 where nobody answered."""
        answers = await self._services.queues()
        if not answers.by_service:
            raise _away()
        return [state.queue for states in answers.by_service.values() for state in states[0].data], answers.unreachable


def _facts(letter: DeadLetter, now: datetime) -> dict[str, Any]:
    return {
        "id": letter.letter_id,
        "queue": letter.queue,
        "subject": letter.shown_subject,
        "code": letter.code,
        "attempts": letter.attempts,
        "events": len(letter.events),
        "size_bytes": len(letter.body),
        **letter.envelope,
        "died_at": letter.died_at,
        "age_seconds": None
        if letter.died_at is None
        else round(max(0.0, (now - letter.died_at.astimezone(UTC)).total_seconds()), 1),
    }


def _place(cursor: str) -> tuple[int, str]:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise Rejected("cursor.invalid", "The cursor is not one that this list has given.", 400)
    return int(match[1]), match[2]


def _unknown(unreachable: Sequence[str]) -> Rejected:
    """It may be in a queue of a service that did not say which queues it has."""
    if unreachable:
        return Rejected(
            "dead_letter.unreachable",
            f"It is in no queue of those that answered; {', '.join(unreachable)} did not.",
            503,
            retry_after_seconds=2,
        )
    return Rejected("dead_letter.unknown", "There is no such dead letter.", 404)


def _away() -> Rejected:
    return Rejected(
        "bus.unavailable",
        "The broker does not answer now, and some may have been settled; again is safe.",
        503,
        retry_after_seconds=2,
    )
