"""`GET /{version}/{phone_number_id}`: the number as a node of the graph."""

from __future__ import annotations

from typing import Any, Final

from services.sandbox.answers import graph_json
from services.sandbox.domain.errors import unknown_field
from services.sandbox.numbers import HIGH_THROUGHPUT, Number
from services.sandbox.request import Request
from services.sandbox.world import World

_DEFAULT_FIELDS: Final = (
    "verified_name",
    "code_verification_status",
    "display_phone_number",
    "quality_rating",
    "platform_type",
    "throughput",
    "webhook_configuration",
)

_STATUSES: Final = {"banned": "BANNED", "flagged": "FLAGGED", "throttled": "RATE_LIMITED", "unregistered": "DISCONNECTED"}


class Nodes:
    """Reads of number nodes."""

    def __init__(self, world: World) -> None:
        self._world = world

    def authorize(self, request: Request, phone_number_id: str) -> Number:
        """The number, if the request may see it. Raises `GraphError`."""
        header = request.header(b"Authorization")
        query_token = request.query.get("access_token")
        return self._world.numbers.authorize(phone_number_id, header, query_token, request.method)

    def get(self, request: Request, phone_number_id: str) -> bytes:
        number = self.authorize(request, phone_number_id)
        asked = [field.strip() for field in request.query.get("fields", "").split(",") if field.strip()]
        values = _fields(number)
        for field in asked:
            if field not in values:
                raise unknown_field(field[:64], "WhatsAppBusinessPhoneNumber")
        shown = {field: values[field] for field in asked or _DEFAULT_FIELDS}
        return graph_json({**shown, "id": phone_number_id})


def _fields(number: Number) -> dict[str, Any]:
    return {
        "id": number.line.phone_number_id,
        "verified_name": number.spec.verified_name,
        "code_verification_status": "VERIFIED",
        "display_phone_number": number.line.display_phone_number,
        "quality_rating": "GREEN",
        "platform_type": "CLOUD_API",
        "throughput": {"level": "HIGH" if number.rate.messages_per_second >= HIGH_THROUGHPUT else "STANDARD"},
        "webhook_configuration": {"phone_number": number.spec.webhook_url},
        "name_status": "APPROVED",
        "status": _STATUSES.get(number.spec.state, "CONNECTED"),
        "messaging_limit_tier": "TIER_UNLIMITED",
        "account_mode": "SANDBOX",
        "is_official_business_account": False,
        "is_pin_enabled": False,
    }
