"""Analytics."""

from __future__ import annotations

from typing import Final

from services.archive.operations.reading import CONVERSATION, KEPT
from services.archive.payloads.analytics import AnalyticsQuery, ConversationAnalytics, TenantAnalytics
from shared.http.problem import Problem
from shared.http.routes import Route, unserved

TAG: Final = "Archive"
_RULE: Final = (
    "Read from counters that are kept beside the entries: a message counts about a minute after it was stored, on days with "
    "hundreds in one conversation up to ten minutes; whether it was delivered or read some minutes after that was reported, words "
    f"ten minutes later. {KEPT}"
)
_EXAMPLE: Final = {"from": "2026-11-01", "to": "2026-11-30", "time_zone": "Europe/Madrid"}

GET_ANALYTICS: Final = Route(
    "GET",
    "/api/analytics",
    unserved,
    "What all conversations come to",
    TAG,
    query=AnalyticsQuery,
    query_example=_EXAMPLE,
    responses={200: TenantAnalytics, 400: Problem},
    description=_RULE,
)
GET_CONVERSATION_ANALYTICS: Final = Route(
    "GET",
    f"{CONVERSATION}/analytics",
    unserved,
    "What a conversation comes to",
    TAG,
    query=AnalyticsQuery,
    query_example=_EXAMPLE,
    responses={200: ConversationAnalytics, 400: Problem, 404: Problem},
    description=_RULE,
)
ALL: Final = (GET_ANALYTICS, GET_CONVERSATION_ANALYTICS)
