"""Entries: pages of a conversation in both directions, one of them, what it said before, and files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

import orjson
from aiohttp import web
from yarl import URL

from services.archive.domain.reading import NEWEST, OLDEST, ArchivedEntry, Conversation, Place
from services.archive.operations import reading
from services.archive.payloads.page import PageQuery
from services.archive.payloads.reading import (
    ConversationPayload,
    EntriesQuery,
    EntryPage,
    MediaMonths,
    MediaPage,
    MediaQuery,
    VersionPage,
    ZoneQuery,
)
from services.archive.reading import Stretch, Way, around, stretch
from services.archive.routes.conversations import known, zone_known_to_database
from services.archive.routes.cursor import Cursors
from services.archive.routes.kept import Answers
from services.archive.routes.shown import conversation_shown, entry_shown, months_shown, version_shown
from services.archive.store import read
from services.archive.warm import PAGES
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.http.internal import tenant_of
from shared.http.requests import read_query
from shared.http.responses import json_response
from shared.http.routes import Access, Route
from shared.ids import TenantId

_CONVERSATIONS: Final = "/api/conversations"
_BEGINNINGS: Final = frozenset({"limit", "order"})
"""What asks for a first page asks for no more than this."""


class EntryRoutes:
    """What is kept is read from `pool`; what is not, from `replica`, which may be a moment behind: what it does not have yet is
    looked for in `pool`, so that everything that a list shows can be opened."""

    def __init__(self, pool: Pool, replica: Pool, cursors: Cursors, answers: Answers) -> None:
        self._pool = pool
        self._replica = replica
        self._cursors = cursors
        self._answers = answers

    def routes(self) -> Sequence[Route]:
        return (
            reading.LIST_ENTRIES.served_by(self.list_entries, Access.INTERNAL),
            reading.GET_ENTRY.served_by(self.get_entry, Access.INTERNAL),
            reading.LIST_VERSIONS.served_by(self.list_versions, Access.INTERNAL),
            reading.LIST_MEDIA.served_by(self.list_media, Access.INTERNAL),
            reading.LIST_MEDIA_MONTHS.served_by(self.list_media_months, Access.INTERNAL),
        )

    async def list_entries(self, request: web.Request) -> web.StreamResponse:
        tenant, conversation_id = tenant_of(request), request.match_info["conversation_id"]

        async def load() -> EntryPage:
            return await self.page(tenant, conversation_id, read_query(request, EntriesQuery))

        answer = await self._answers.about_conversation(request, load)
        if _BEGINNINGS.issuperset(request.query):
            self._answers.reads.popular[f"{tenant} {request.rel_url.raw_path_qs}"] += 1
        return answer

    async def page(self, tenant: TenantId, conversation_id: str, query: EntriesQuery) -> EntryPage:
        """A page of a conversation. Raises `Rejected` where there is no such conversation, entry or place."""
        question = f"{_CONVERSATIONS}/{conversation_id}"  # who asks for a page mostly asks for this too
        await self._answers.beside(conversation_id, tenant, question, partial(self._shown, tenant, conversation_id))
        scope = "entries", tenant, conversation_id, query.order

        async def shown(messages: Sequence[str]) -> None:
            await self._answers.reads.show(conversation_id, messages, self._answers.conversation_seconds)

        if query.around is not None:
            middle = await self._entry_of(tenant, conversation_id, query.around)
            found = await around(self._pool, tenant, conversation_id, middle.place, query.limit, shown)
        else:
            way, place = await self._start(tenant, conversation_id, query, scope)
            found = await stretch(self._pool, tenant, conversation_id, way, place, query.limit, shown)
        return self._rendered(found, query, scope)

    async def make_ready(self, tenant: TenantId, question: str) -> None:
        """Have a conversation kept, with the page that a question (path and query) asks for and the ones after it. Raises
        `Rejected`."""
        url = URL(question, encoded=True)
        conversation_id = url.path.removeprefix(f"{_CONVERSATIONS}/").partition("/")[0]
        shown = partial(self._shown, tenant, conversation_id)
        await self._answers.ready(conversation_id, tenant, f"{_CONVERSATIONS}/{conversation_id}", shown)
        for _ in range(PAGES):
            query = EntriesQuery.model_validate(dict(url.query))
            kept = await self._answers.ready(
                conversation_id, tenant, url.raw_path_qs, partial(self.page, tenant, conversation_id, query)
            )
            cursor = orjson.loads(kept.body).get("next_cursor")
            if cursor is None:
                return
            url = url.update_query(cursor=cursor)

    async def _shown(self, tenant: TenantId, conversation_id: str) -> ConversationPayload:
        return conversation_shown(known(await read.conversation(self._pool, tenant, conversation_id)))

    def _rendered(self, found: Stretch, query: EntriesQuery, scope: tuple[str, ...]) -> EntryPage:
        older, newer = (
            None if place is None else self._cursors.encode(Place(place.at, f"{way}{place.id}"), *scope)
            for way, place in ((Way.OLDER, found.older), (Way.NEWER, found.newer))
        )
        entries = [entry_shown(entry) for entry in found.entries]
        if query.order == "newest":
            return EntryPage(data=entries, next_cursor=older, previous_cursor=newer)
        return EntryPage(data=entries[::-1], next_cursor=newer, previous_cursor=older)

    async def _start(
        self, tenant: TenantId, conversation_id: str, query: EntriesQuery, scope: tuple[str, ...]
    ) -> tuple[Way, Place]:
        if query.cursor is not None:
            place = self._cursors.decode(query.cursor, *scope)
            return Way(place.id[:1]), Place(place.at, place.id[1:])
        if query.before is not None:
            return Way.OLDER, (await self._entry_of(tenant, conversation_id, query.before)).place
        if query.after is not None:
            return Way.NEWER, (await self._entry_of(tenant, conversation_id, query.after)).place
        if query.order == "newest":
            return Way.OLDER, NEWEST if query.at is None else Place(query.at, NEWEST.id)
        return Way.NEWER, OLDEST if query.at is None else Place(query.at, OLDEST.id)

    async def _entry_of(self, tenant: TenantId, conversation_id: str, entry_id: str) -> ArchivedEntry:
        entry = await read.entry(self._pool, tenant, entry_id)
        if entry is None or entry.conversation_id != conversation_id:
            raise _no_entry()
        return entry

    async def get_entry(self, request: web.Request) -> web.StreamResponse:
        return json_response(entry_shown(await self._entry(request)))

    async def list_versions(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, PageQuery)
        entry = await self._entry(request)
        scope = "versions", entry.id
        after = self._cursors.decode(query.cursor, *scope)
        if entry.revoked_at is not None:
            return json_response(VersionPage(data=[]))
        rows = await read.versions(self._replica, entry.id, after, query.limit + 1)
        page = rows[: query.limit]
        more = page[-1].place if len(rows) > query.limit else None
        return json_response(
            VersionPage(data=[version_shown(row, entry) for row in page], next_cursor=self._cursors.encode(more, *scope))
        )

    async def list_media(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, MediaQuery)
        conversation = await self._conversation(request)
        kinds = sorted(set(query.kind)) or None
        scope = "media", conversation.id, ",".join(kinds or ()), query.month or ""
        after = self._cursors.decode(query.cursor, *scope)
        from_at = OLDEST.at
        if query.month is not None:
            from_at, end = _month(query.month)
            after = min(after, Place(end, ""))
        rows = await read.files(self._replica, conversation.no, kinds, from_at, after, query.limit + 1)
        page = rows[: query.limit]
        more = page[-1].place if len(rows) > query.limit else None
        shown = await read.with_progress(self._replica, tenant_of(request), [row for row in page if row.revoked_at is None])
        return json_response(
            MediaPage(data=[entry_shown(row) for row in shown], next_cursor=self._cursors.encode(more, *scope))
        )

    async def list_media_months(self, request: web.Request) -> web.StreamResponse:
        async def load() -> MediaMonths:
            query = read_query(request, ZoneQuery)
            conversation = known(await read.conversation(self._pool, tenant_of(request), request.match_info["conversation_id"]))
            with zone_known_to_database():
                rows = await read.months_of_files(self._pool, conversation.no, query.time_zone)
            return MediaMonths(time_zone=query.time_zone, data=months_shown(rows))

        return await self._answers.about_conversation(request, load)

    async def _conversation(self, request: web.Request) -> Conversation:
        tenant, conversation_id = tenant_of(request), request.match_info["conversation_id"]
        found = await read.conversation(self._replica, tenant, conversation_id)
        return found or known(await read.conversation(self._pool, tenant, conversation_id))

    async def _entry(self, request: web.Request) -> ArchivedEntry:
        tenant, entry_id = tenant_of(request), request.match_info["entry_id"]
        entry = await read.entry(self._replica, tenant, entry_id) or await read.entry(self._pool, tenant, entry_id)
        if entry is None:
            raise _no_entry()
        return entry


def _no_entry() -> Rejected:
    return Rejected("entry.unknown", "No such entry.", status=404)


def _month(name: str) -> tuple[datetime, datetime]:
    """Its first moment, and the one of the month after."""
    year, month = int(name[:4]), int(name[5:])
    return datetime(year, month, 1, tzinfo=UTC), datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
