"""Bookmarks."""

from __future__ import annotations

from typing import Final

from services.archive.operations.reading import ENTRY, TAG
from services.archive.payloads.marks import BookmarkNote, BookmarkPage, BookmarkPayload, BookmarkQuery
from shared.http.problem import Problem
from shared.http.routes import Route, unserved

BOOKMARK: Final = f"{ENTRY}/bookmark"

LIST_BOOKMARKS: Final = Route(
    "GET",
    "/api/bookmarks",
    unserved,
    "List bookmarks, the newest first",
    TAG,
    query=BookmarkQuery,
    responses={200: BookmarkPage, 400: Problem},
    description="With each entry in brief. To jump to one, ask for its conversation's entries with `around={entry_id}`.",
)
PUT_BOOKMARK: Final = Route(
    "PUT",
    BOOKMARK,
    unserved,
    "Bookmark an entry, or change the note",
    TAG,
    request=BookmarkNote,
    responses={200: BookmarkPayload, 201: BookmarkPayload, 404: Problem},
    is_body_optional=True,
    description="201 where it is new. Twice is safe.",
    request_examples={"note": {"note": "The price we agreed on"}},
)
GET_BOOKMARK: Final = Route(
    "GET", BOOKMARK, unserved, "The bookmark of an entry", TAG, responses={200: BookmarkPayload, 404: Problem}
)
DELETE_BOOKMARK: Final = Route(
    "DELETE", BOOKMARK, unserved, "Take the bookmark off an entry", TAG, responses={204: None, 404: Problem}
)
ALL: Final = (LIST_BOOKMARKS, PUT_BOOKMARK, GET_BOOKMARK, DELETE_BOOKMARK)
