"""Conversations: the list, one of them, who speaks in it and on which days."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg
from aiohttp import web

from services.archive.cache import Changes
from services.archive.domain.reading import Conversation
from services.archive.operations import reading
from services.archive.payloads.reading import (
    Calendar,
    CalendarQuery,
    ConversationChange,
    ConversationPage,
    ConversationPayload,
    ConversationsQuery,
    DayPayload,
    ParticipantChange,
    ParticipantList,
)
from services.archive.routes.cursor import Cursors
from services.archive.routes.kept import Answers
from services.archive.routes.shown import conversation_shown, participant_shown
from services.archive.store import read
from shared.bus.outbox import Outbox, Unit
from shared.db.pool import Connection, Pool
from shared.errors import FieldError, Rejected
from shared.http.codes import Code
from shared.http.internal import tenant_of
from shared.http.requests import read_body, read_query, validate
from shared.http.responses import json_bytes
from shared.http.routes import JSON, Access, Route
from shared.idempotency import once

FIRST_YEAR: Final = 2008
LAST_YEAR: Final = 2100
"""Before and after all entries, in any zone."""


class ConversationRoutes:
    """What is kept is read from `pool`, because whoever writes there says so; a replica would be behind."""

    def __init__(
        self,
        pool: Pool,
        cursors: Cursors,
        answers: Answers,
        outbox: Outbox,
        changes: Changes,
        wake_turning: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._cursors = cursors
        self._answers = answers
        self._outbox = outbox
        self._changes = changes
        self._wake_turning = wake_turning

    def routes(self) -> Sequence[Route]:
        return (
            reading.LIST_CONVERSATIONS.served_by(self.list_conversations, Access.INTERNAL),
            reading.GET_CONVERSATION.served_by(self.get_conversation, Access.INTERNAL),
            reading.PATCH_CONVERSATION.served_by(self.change_conversation, Access.INTERNAL),
            reading.LIST_PARTICIPANTS.served_by(self.list_participants, Access.INTERNAL),
            reading.PATCH_PARTICIPANT.served_by(self.change_participant, Access.INTERNAL),
            reading.GET_CALENDAR.served_by(self.get_calendar, Access.INTERNAL),
        )

    async def list_conversations(self, request: web.Request) -> web.StreamResponse:
        async def load() -> ConversationPage:
            tenant, query = tenant_of(request), read_query(request, ConversationsQuery)
            filters = query.number_id or "", str(query.unread), query.kind or "", query.q or ""
            scope = "conversations", tenant, *filters
            after = self._cursors.decode(query.cursor, *scope)
            rows = await read.conversations(
                self._pool,
                tenant,
                after,
                query.limit + 1,
                number_id=query.number_id,
                is_unread=query.unread,
                kind=query.kind,
                part=query.q,
            )
            page = rows[: query.limit]
            more = page[-1].place if len(rows) > query.limit else await read.looked_to(self._pool, tenant, after)
            return ConversationPage(
                data=[conversation_shown(row) for row in page], next_cursor=self._cursors.encode(more, *scope)
            )

        return await self._answers.about_tenant(request, load)

    async def get_conversation(self, request: web.Request) -> web.StreamResponse:
        async def load() -> ConversationPayload:
            return conversation_shown(await self._named(request))

        return await self._answers.about_conversation(request, load)

    async def change_conversation(self, request: web.Request) -> web.StreamResponse:
        tenant, conversation_id = tenant_of(request), request.match_info["conversation_id"]
        body = await read_body(request, (JSON,))
        change = validate(ConversationChange, body)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            row = await read.name_conversation(unit.connection, tenant, conversation_id, change.title)
            return 200, json_bytes(conversation_shown(known(row)))

        answer = await once(self._outbox, request, body, effect)
        await self._changes.changed([conversation_id], [tenant])
        return answer

    async def list_participants(self, request: web.Request) -> web.StreamResponse:
        async def load() -> ParticipantList:
            speakers = await read.speakers(self._pool, await self._named(request))
            return ParticipantList(data=[participant_shown(speaker) for speaker in speakers])

        return await self._answers.about_conversation(request, load)

    async def change_participant(self, request: web.Request) -> web.StreamResponse:
        tenant, participant_id = tenant_of(request), request.match_info["participant_id"]
        body = await read_body(request, (JSON,))
        change = validate(ParticipantChange, body)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            conversation = await self._named(request, unit.connection)
            if not await read.change_participant(
                unit.connection, conversation.no, participant_id, name=change.name, is_business=change.is_business
            ):
                raise Rejected("participant.unknown", "No such participant.", status=404)
            speakers = await read.speakers(unit.connection, conversation)
            return 200, json_bytes(participant_shown(next(one for one in speakers if one.id == participant_id)))

        answer = await once(self._outbox, request, body, effect)
        await self._changes.changed([request.match_info["conversation_id"]], [tenant])
        await self._changes.counted([request.match_info["conversation_id"]])  # analytics name who wrote how much
        self._wake_turning()
        return answer

    async def get_calendar(self, request: web.Request) -> web.StreamResponse:
        async def load() -> Calendar:
            query = read_query(request, CalendarQuery)
            conversation = await self._named(request)
            years = (FIRST_YEAR, LAST_YEAR + 1) if query.year is None else (query.year, query.year + 1)
            ends = [datetime(year, 1, 1, tzinfo=ZoneInfo(query.time_zone)).astimezone(UTC) for year in years]
            with zone_known_to_database():
                days = await read.calendar(self._pool, conversation.no, query.time_zone, ends[0], ends[1])
            return Calendar(time_zone=query.time_zone, data=[DayPayload(date=day.day, entries=day.entries) for day in days])

        return await self._answers.about_conversation(request, load)

    async def _named(self, request: web.Request, connection: Connection | Pool | None = None) -> Conversation:
        return known(
            await read.conversation(connection or self._pool, tenant_of(request), request.match_info["conversation_id"])
        )


def known(conversation: Conversation | None) -> Conversation:
    """Raises `Rejected` 404."""
    if conversation is None:
        raise Rejected("conversation.unknown", "No such conversation.", status=404)
    return conversation


@contextmanager
def zone_known_to_database() -> Iterator[None]:
    """PostgreSQL has a list of zones of its own, which may be older than ours. Raises `Rejected` 422 for one it does not know."""
    try:
        yield
    except asyncpg.InvalidParameterValueError:
        detail = "is a time zone that the database does not know"
        raise Rejected(
            Code.REQUEST_INVALID,
            f"/time_zone {detail}.",
            errors=(FieldError("/time_zone", "time_zone.unknown", detail),),
        ) from None
