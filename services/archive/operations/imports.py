"""Importing chat exports."""

from __future__ import annotations

from typing import Final

from services.archive.operations.reading import CONVERSATION
from services.archive.payloads.imports import (
    ImportFile,
    ImportPage,
    ImportQuery,
    ImportUpdate,
    ImportView,
    NewImport,
    ReportPage,
    StartImport,
    UploadPlace,
)
from services.archive.payloads.page import PageQuery
from shared.http.problem import Problem
from shared.http.routes import FORM, JSON, MIB, Route, unserved
from shared.http.uploads import FORM_BYTES

TAG: Final = "Imports"
IMPORT: Final = "/api/imports/{import_id:imp_[0-9a-v]{26}}"
PART_BYTES: Final = 8 * MIB
LARGEST_BYTES: Final = 16 * 1024 * MIB
"""No file may have more, whatever the settings say."""
ANY: Final = "*/*"
EVENT_STREAM: Final = "text/event-stream"

CREATE: Final = Route(
    "POST",
    "/api/imports",
    unserved,
    "Import an exported chat",
    TAG,
    request=NewImport,
    query=ImportQuery,
    responses={201: ImportView, 408: Problem, 409: Problem, 413: Problem, 415: Problem, 429: Problem},
    body_limit_bytes=LARGEST_BYTES + FORM_BYTES,
    accepts=(JSON, ANY, FORM),
    idempotent=True,
    description="What WhatsApp's “Export chat” gives, from Android or an iPhone, in any language: the `.txt`, or the `.zip` with "
    "its media. As JSON it announces a file, which is then sent in parts to `upload_url`: a broken upload goes on where it was. "
    "With any other media type the body is the file itself, or a form with a part `file`, and what is wanted stands in the query: "
    "`curl -X POST -T chat.zip '…/api/imports?title=Family'`. The same chat, or one that overlaps, adds nothing twice, nor does "
    "what was recorded when it was sent; so an import that failed is simply sent again. A record is known by its minute, author "
    "and words: an export made here after a participant was renamed, or in another time zone than the chat was imported with, "
    "counts as another chat and adds its records once more. Nothing is remembered of what was erased: it comes back when a file "
    "that has it is imported again. Follow it with GET /api/imports/{import_id}, or its events.",
    request_examples={"chat": {"file_name": "WhatsApp Chat with Ana.zip", "size_bytes": 48213, "preview": True}},
)
LIST: Final = Route(
    "GET",
    "/api/imports",
    unserved,
    "List imports, newest first",
    TAG,
    query=PageQuery,
    responses={200: ImportPage, 400: Problem},
)
GET: Final = Route(
    "GET", IMPORT, unserved, "How far an import is, and what its file says", TAG, responses={200: ImportView, 404: Problem}
)
PLACE: Final = Route(
    "GET",
    f"{IMPORT}/file",
    unserved,
    "How much of an import's file is here",
    TAG,
    responses={200: UploadPlace, 404: Problem},
    description="The header `Upload-Offset` says it too, so that HEAD will do.",
)
SEND: Final = Route(
    "PATCH",
    f"{IMPORT}/file",
    unserved,
    "Send a part of an import's file",
    TAG,
    request=ImportFile,
    responses={200: UploadPlace, 404: Problem, 408: Problem, 409: Problem, 413: Problem},
    body_limit_bytes=PART_BYTES,
    accepts=(ANY,),
    is_body_optional=True,
    idempotent=True,
    description="At most 8 MiB, beginning with the byte that the header `Upload-Offset` names: 409 where the file goes on with "
    "another one, which the answer's header names. A part is durable once it is answered, and is taken whole or not at all. The "
    "file is complete at the size that was announced, or with the part that has the header `Upload-Complete: ?1`.",
    curl_options=("-H 'Upload-Offset: 0'", "-H 'Content-Type: application/octet-stream'", "--data-binary @part"),
)
START: Final = Route(
    "POST",
    f"{IMPORT}/start",
    unserved,
    "Store what a preview has shown",
    TAG,
    request=StartImport,
    responses={200: ImportView, 404: Problem, 409: Problem},
    is_body_optional=True,
    idempotent=True,
    request_examples={"day first": {"day_order": "day_first", "me": ["Ana"]}},
)
CANCEL: Final = Route(
    "POST",
    f"{IMPORT}/cancel",
    unserved,
    "Go no further with an import",
    TAG,
    responses={200: ImportView, 404: Problem, 409: Problem},
    idempotent=True,
    description="What was stored stays; undo takes it away.",
)
UNDO: Final = Route(
    "POST",
    f"{IMPORT}/undo",
    unserved,
    "Take away what an import stored",
    TAG,
    responses={200: ImportView, 404: Problem, 409: Problem},
    idempotent=True,
    description="What another import brought too stays, and is that one's from then on.",
)
REPORT: Final = Route(
    "GET",
    f"{IMPORT}/report",
    unserved,
    "Lines of an import's file that were not understood",
    TAG,
    query=PageQuery,
    responses={200: ReportPage, 400: Problem, 404: Problem},
)
EVENTS: Final = Route(
    "GET",
    f"{IMPORT}/events",
    unserved,
    "Follow an import as server-sent events",
    TAG,
    responses={200: ImportUpdate, 404: Problem},
    produces=EVENT_STREAM,
    description="`progress` with the import, at most twice a second, and `end` when nothing more happens by itself.",
    curl_options=("-N",),
)
FILE: Final = Route(
    "GET",
    f"{CONVERSATION}/files/{{file_id:fil_[0-9a-v]{{26}}}}",
    unserved,
    "Download the file of an imported entry",
    TAG,
    responses={200: None, 206: None, 304: None, 404: Problem, 416: Problem},
    produces="*/*",
    description="The `media.file_id` of an entry. `Range` and `If-None-Match` are honoured.",
)
STREAMED: Final = (CREATE, SEND)
"""Whose bodies are passed through as they come."""
ALL: Final = (CREATE, LIST, GET, PLACE, SEND, START, CANCEL, UNDO, REPORT, EVENTS, FILE)
