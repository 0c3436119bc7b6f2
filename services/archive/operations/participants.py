"""Participants, as the gateway asks for them."""

from __future__ import annotations

from typing import Final

from services.archive.payloads.participants import AskedParticipants, UnknownParticipants
from shared.http.routes import Route, unserved

UNKNOWN_PARTICIPANTS: Final = Route(
    "POST",
    "/participants/unknown",
    unserved,
    "Which participants there are not",
    "Erasure",
    request=AskedParticipants,
    responses={200: UnknownParticipants, 422: None},
    documented=False,
)
"""The archive's own; not passed on to tenants."""
