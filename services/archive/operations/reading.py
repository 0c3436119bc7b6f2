"""Reading conversations."""

from __future__ import annotations

from typing import Final

from services.archive.payloads.page import PageQuery
from services.archive.payloads.reading import (
    Calendar,
    CalendarQuery,
    ConversationChange,
    ConversationPage,
    ConversationPayload,
    ConversationsQuery,
    EntriesQuery,
    EntryPage,
    EntryPayload,
    MediaMonths,
    MediaPage,
    MediaQuery,
    ParticipantChange,
    ParticipantList,
    ParticipantPayload,
    VersionPage,
    ZoneQuery,
)
from shared.http.problem import Problem
from shared.http.routes import Route, unserved

TAG: Final = "Archive"
CONVERSATION: Final = "/api/conversations/{conversation_id:cnv_[0-9a-v]{26}}"
ENTRY: Final = "/api/entries/{entry_id:ent_[0-9a-v]{26}}"
KEPT: Final = "Carries an `ETag`: shown again as `If-None-Match`, it is answered 304 as long as nothing has changed."

LIST_CONVERSATIONS: Final = Route(
    "GET",
    "/api/conversations",
    unserved,
    "List conversations, the latest first",
    TAG,
    query=ConversationsQuery,
    responses={200: ConversationPage, 400: Problem},
    description=KEPT,
)
GET_CONVERSATION: Final = Route(
    "GET",
    CONVERSATION,
    unserved,
    "One conversation",
    TAG,
    responses={200: ConversationPayload, 404: Problem},
    description=KEPT,
)
PATCH_CONVERSATION: Final = Route(
    "PATCH",
    CONVERSATION,
    unserved,
    "Give a conversation a title",
    TAG,
    request=ConversationChange,
    responses={200: ConversationPayload, 404: Problem},
    request_examples={"named": {"title": "The house in Cusco"}},
    idempotent=True,
)
LIST_ENTRIES: Final = Route(
    "GET",
    f"{CONVERSATION}/entries",
    unserved,
    "Entries of a conversation, from any place in both directions",
    TAG,
    query=EntriesQuery,
    responses={200: EntryPage, 400: Problem, 404: Problem},
    description=f"Entries stand in the order of their times, those of one time in the order of their ids. {KEPT}",
)
GET_ENTRY: Final = Route("GET", ENTRY, unserved, "One entry", TAG, responses={200: EntryPayload, 404: Problem})
LIST_VERSIONS: Final = Route(
    "GET",
    f"{ENTRY}/versions",
    unserved,
    "What an entry said before it was edited",
    TAG,
    query=PageQuery,
    responses={200: VersionPage, 400: Problem, 404: Problem},
    description="The latest first; none of an entry that was taken back.",
)
LIST_MEDIA: Final = Route(
    "GET",
    f"{CONVERSATION}/media",
    unserved,
    "Files of a conversation, newest first",
    TAG,
    query=MediaQuery,
    responses={200: MediaPage, 400: Problem, 404: Problem},
    description="Entries that a file came with, whether it was kept or not; a page can be short where some were taken back.",
)
LIST_MEDIA_MONTHS: Final = Route(
    "GET",
    f"{CONVERSATION}/media/months",
    unserved,
    "How many files came in each month",
    TAG,
    query=ZoneQuery,
    responses={200: MediaMonths, 404: Problem},
    description=KEPT,
)
LIST_PARTICIPANTS: Final = Route(
    "GET",
    f"{CONVERSATION}/participants",
    unserved,
    "Who speaks in a conversation",
    TAG,
    responses={200: ParticipantList, 404: Problem},
    description=f"All of them, who said most first. {KEPT}",
)
PATCH_PARTICIPANT: Final = Route(
    "PATCH",
    f"{CONVERSATION}/participants/{{participant_id:prt_[0-9a-v]{{26}}}}",
    unserved,
    "Name a participant, or say that it is us",
    TAG,
    request=ParticipantChange,
    responses={200: ParticipantPayload, 404: Problem},
    request_examples={"us": {"is_business": True}},
    idempotent=True,
)
GET_CALENDAR: Final = Route(
    "GET",
    f"{CONVERSATION}/calendar",
    unserved,
    "The days that have entries",
    TAG,
    query=CalendarQuery,
    responses={200: Calendar, 404: Problem},
    description=f"With the number of entries of each, in a time zone. {KEPT}",
)
ALL: Final = (
    LIST_CONVERSATIONS,
    GET_CONVERSATION,
    PATCH_CONVERSATION,
    LIST_ENTRIES,
    GET_ENTRY,
    LIST_VERSIONS,
    LIST_MEDIA,
    LIST_MEDIA_MONTHS,
    LIST_PARTICIPANTS,
    PATCH_PARTICIPANT,
    GET_CALENDAR,
)

CACHE_COUNTS: Final = Route(
    "GET", "/api/archive/cache", unserved, "What the caches saved", "Operations", description="Since the process started."
)
"""The archive's own; not passed on to tenants."""
