"""Marking conversations as read."""

from __future__ import annotations

from typing import Final

from services.archive.payloads.marking import MarkRead, ReadMark
from shared.http.problem import Problem
from shared.http.routes import Route, unserved

TAG: Final = "Archive"

MARK_READ: Final = Route(
    "POST",
    "/api/conversations/{conversation_id:cnv_[0-9a-v]{26}}/read",
    unserved,
    "Mark a conversation as read",
    TAG,
    request=MarkRead,
    responses={200: ReadMark, 404: Problem, 422: Problem},
    request_examples={"until": {"until": "2026-11-20T12:00:00Z"}, "all": {}},
    is_body_optional=True,
    idempotent=True,
    description="In the archive only: the contact is not told.",
)
ALL: Final = (MARK_READ,)
