"""The archive's door: tenants are authenticated here, then the archive answers through us."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.archive.payloads import (
    ConversationPage,
    ConversationPayload,
    EntryPage,
    PageQuery,
    SearchPage,
    SearchQuery,
)
from services.gateway.forward import Door
from shared.http.problem import Problem
from shared.http.routes import Route

TAG: Final = "Archive"
_ID: Final = "{conversation_id:cnv_[0-9a-v]{26}}"


def routes(door: Door) -> Sequence[Route]:
    """What the archive answers."""
    return [
        Route(
            "GET",
            "/api/conversations",
            door.forward,
            "List conversations, the latest first",
            TAG,
            query=PageQuery,
            responses={200: ConversationPage, 400: Problem},
        ),
        Route(
            "GET",
            f"/api/conversations/{_ID}",
            door.forward,
            "One conversation",
            TAG,
            responses={200: ConversationPayload, 404: Problem},
        ),
        Route(
            "GET",
            f"/api/conversations/{_ID}/entries",
            door.forward,
            "Entries of a conversation, newest first",
            TAG,
            query=PageQuery,
            responses={200: EntryPage, 400: Problem, 404: Problem},
        ),
        Route(
            "GET",
            "/api/search",
            door.forward,
            "Search everything that was said",
            TAG,
            query=SearchQuery,
            query_example={"q": "parcel"},
            responses={200: SearchPage, 400: Problem},
        ),
    ]
