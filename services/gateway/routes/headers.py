"""Headers of the front door, which do nothing at our own paths: whoever sends one there means a field of the message."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from services.gateway.accept import Acceptance
from services.gateway.routes.graph.sending import PRIORITY, SCHEDULE
from shared.errors import FieldError, Rejected

_FIELDS: Final = {SCHEDULE: "scheduled_time", PRIORITY: "priority"}


def check_headers(request: web.Request, acceptance: Acceptance) -> None:
    """Raises `Rejected` 400 where there is one, with the field to use."""
    for header, field in _FIELDS.items():
        if header in request.headers:
            detail = f"{header} is for requests of the Cloud API's form; here it is the field {field} of the message."
            acceptance.count_rejected([FieldError("", "header.misplaced", detail)])
            raise Rejected("header.misplaced", detail, 400)
