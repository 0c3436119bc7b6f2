"""Labels on entries and conversations."""

from __future__ import annotations

from typing import Final

from services.archive.operations.reading import CONVERSATION, ENTRY, TAG
from services.archive.payloads.marks import (
    LabelBulk,
    LabelBulkResult,
    LabelChange,
    LabeledConversationPage,
    LabeledEntryPage,
    LabelNames,
    LabelPage,
    LabelPayload,
)
from services.archive.payloads.page import PageQuery
from shared.http.problem import Problem
from shared.http.routes import Route, unserved

LABEL: Final = "/api/labels/{label}"
_FOLDED: Final = "Labels are kept in lower case: `Urgent` and `urgent` are one. Up to 60 characters, without `/`."

LIST_LABELS: Final = Route(
    "GET",
    "/api/labels",
    unserved,
    "List labels by name, with counts",
    TAG,
    query=PageQuery,
    responses={200: LabelPage, 400: Problem},
    description=_FOLDED,
)
RENAME_LABEL: Final = Route(
    "PATCH",
    LABEL,
    unserved,
    "Give a label another name",
    TAG,
    request=LabelChange,
    responses={200: LabelPayload, 404: Problem, 422: Problem},
    idempotent=True,
    request_examples={"rename": {"label": "settled"}},
)
DELETE_LABEL: Final = Route(
    "DELETE", LABEL, unserved, "Take a label off everything", TAG, responses={204: None, 404: Problem, 422: Problem}
)
LIST_LABELED_ENTRIES: Final = Route(
    "GET",
    f"{LABEL}/entries",
    unserved,
    "Entries with a label, newest first",
    TAG,
    query=PageQuery,
    responses={200: LabeledEntryPage, 400: Problem, 422: Problem},
)
LIST_LABELED_CONVERSATIONS: Final = Route(
    "GET",
    f"{LABEL}/conversations",
    unserved,
    "Conversations with a label",
    TAG,
    query=PageQuery,
    responses={200: LabeledConversationPage, 400: Problem, 422: Problem},
)
BULK_LABELS: Final = Route(
    "POST",
    "/api/labels/bulk",
    unserved,
    "Put labels on many entries and conversations, or take them off",
    TAG,
    request=LabelBulk,
    responses={200: LabelBulkResult},
    idempotent=True,
    request_examples={"add": {"add": ["urgent"], "remove": ["new"], "entry_ids": ["ent_06a8s1v2q0000g1k2m3n4p5q6r"]}},
)
ENTRY_LABELS: Final = Route(
    "GET", f"{ENTRY}/labels", unserved, "Labels of an entry", TAG, responses={200: LabelNames, 404: Problem}
)
LABEL_ENTRY: Final = Route(
    "PUT",
    f"{ENTRY}/labels/{{label}}",
    unserved,
    "Put a label on an entry",
    TAG,
    responses={204: None, 404: Problem, 422: Problem},
    description=f"Twice is safe. {_FOLDED}",
)
UNLABEL_ENTRY: Final = Route(
    "DELETE",
    f"{ENTRY}/labels/{{label}}",
    unserved,
    "Take a label off an entry",
    TAG,
    responses={204: None, 404: Problem, 422: Problem},
)
CONVERSATION_LABELS: Final = Route(
    "GET", f"{CONVERSATION}/labels", unserved, "Labels of a conversation", TAG, responses={200: LabelNames, 404: Problem}
)
LABEL_CONVERSATION: Final = Route(
    "PUT",
    f"{CONVERSATION}/labels/{{label}}",
    unserved,
    "Put a label on a conversation",
    TAG,
    responses={204: None, 404: Problem, 422: Problem},
    description=f"Twice is safe. {_FOLDED}",
)
UNLABEL_CONVERSATION: Final = Route(
    "DELETE",
    f"{CONVERSATION}/labels/{{label}}",
    unserved,
    "Take a label off a conversation",
    TAG,
    responses={204: None, 404: Problem, 422: Problem},
)
ALL: Final = (
    LIST_LABELS,
    BULK_LABELS,
    RENAME_LABEL,
    DELETE_LABEL,
    LIST_LABELED_ENTRIES,
    LIST_LABELED_CONVERSATIONS,
    ENTRY_LABELS,
    LABEL_ENTRY,
    UNLABEL_ENTRY,
    CONVERSATION_LABELS,
    LABEL_CONVERSATION,
    UNLABEL_CONVERSATION,
)
