"""Taking the archive out."""

from __future__ import annotations

from typing import Final

from services.archive.operations.reading import CONVERSATION
from services.archive.payloads.exports import ExportPage, ExportPayload, ExportQuery, NewExport
from services.archive.payloads.page import PageQuery
from shared.http.problem import Problem
from shared.http.routes import Route, unserved

TAG: Final = "Archive"
EXPORT: Final = "/api/exports/{export_id:exp_[0-9a-v]{26}}"

STREAM_CONVERSATION: Final = Route(
    "GET",
    f"{CONVERSATION}/export",
    unserved,
    "Write a conversation out at once",
    TAG,
    query=ExportQuery,
    query_example={"format": "html"},
    responses={200: None, 404: Problem, 503: Problem},
    produces="*/*",
    description="Sent as it is read, however long it is, and as it was when you asked. An answer whose connection breaks is not "
    "whole. For something large, or for many readers, make an export with POST /api/exports instead.",
)
CREATE_EXPORT: Final = Route(
    "POST",
    "/api/exports",
    unserved,
    "Make an export",
    TAG,
    request=NewExport,
    responses={202: ExportPayload, 404: Problem, 409: Problem, 429: Problem},
    idempotent=True,
    description="Follow it with GET /api/exports/{export_id}; its file is kept for some days.",
    request_examples={
        "conversation": {
            "format": "html",
            "conversation_id": "cnv_06a8s1v2q0000g1k2m3n4p5q6r",
            "time_zone": "Europe/Madrid",
            "with_media": True,
        },
        "search": {"format": "csv", "search": {"q": "invoice", "direction": "incoming"}, "from": "2026-01-01T00:00:00Z"},
        "everything": {"format": "ndjson", "everything": True},
    },
)
LIST_EXPORTS: Final = Route(
    "GET",
    "/api/exports",
    unserved,
    "List exports, newest first",
    TAG,
    query=PageQuery,
    responses={200: ExportPage, 400: Problem},
)
GET_EXPORT: Final = Route("GET", EXPORT, unserved, "How far an export is", TAG, responses={200: ExportPayload, 404: Problem})
CANCEL_EXPORT: Final = Route(
    "POST",
    f"{EXPORT}/cancel",
    unserved,
    "Stop an export",
    TAG,
    responses={200: ExportPayload, 404: Problem, 409: Problem},
    idempotent=True,
    description="Nothing of it is kept. Twice is safe.",
)
DELETE_EXPORT: Final = Route(
    "DELETE", EXPORT, unserved, "Delete an export and its file", TAG, responses={204: None, 404: Problem}
)
READ_EXPORT: Final = Route(
    "GET",
    f"{EXPORT}/file",
    unserved,
    "Read the file of an export",
    TAG,
    responses={200: None, 206: None, 304: None, 404: Problem, 409: Problem, 410: Problem, 416: Problem},
    produces="*/*",
    description="Ranges and `If-None-Match` are honoured, so a download that broke off can go on.",
)
ALL: Final = (STREAM_CONVERSATION, CREATE_EXPORT, LIST_EXPORTS, GET_EXPORT, CANCEL_EXPORT, DELETE_EXPORT, READ_EXPORT)
