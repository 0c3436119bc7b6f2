"""How long entries are kept."""

from __future__ import annotations

from typing import Final

from services.archive.payloads.retention import RetentionPayload, RetentionRule
from shared.http.problem import Problem
from shared.http.routes import Route, unserved

TAG: Final = "Archive"
PATH: Final = "/api/retention"

GET_RETENTION: Final = Route("GET", PATH, unserved, "How long entries are kept", TAG, responses={200: RetentionPayload})
PUT_RETENTION: Final = Route(
    "PUT",
    PATH,
    unserved,
    "Keep entries for so many days",
    TAG,
    request=RetentionRule,
    responses={200: RetentionPayload, 422: Problem},
    request_examples={"a year": {"days": 365}, "for ever": {"days": None}},
    description="What is older by now goes within the hour and does not come back.",
)
ALL: Final = (GET_RETENTION, PUT_RETENTION)
