"""What users and Meta say, by kind: an object of each inbound type and a value of each webhook field, for calls that give none.

Source: WhatsApp Cloud API, webhooks, messages field and the other fields' references, read 2026-09.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Scene:
    """Who speaks, and when. `about` is the wamid of a message that edits, reactions and the like can name."""

    user: str
    user_id: str
    name: str
    business: str
    phone_number_id: str
    waba_id: str
    about: str
    timestamp: int


MEDIA: Final = MappingProxyType(
    {
        "image": ("image/png", None),
        "video": ("video/mp4", None),
        "audio": ("audio/ogg; codecs=opus", None),
        "voice": ("audio/ogg; codecs=opus", None),
        "document": ("application/pdf", "order.pdf"),
        "sticker": ("image/webp", None),
    }
)
"""Type and file name of what a user sends where no file is named."""

_CARD: Final = {
    "name": {"formatted_name": "Ana Núñez", "first_name": "Ana", "last_name": "Núñez"},
    "phones": [{"phone": "+1 555-123-4567", "wa_id": "15551234567", "type": "CELL"}],
    "emails": [{"email": "ana@example.com", "type": "WORK"}],
    "org": {"company": "Example"},
}

_OBJECTS: Final[Mapping[str, Callable[[Scene], Any]]] = MappingProxyType(
    {
        "text": lambda _: {"body": "Hello"},
        "location": lambda _: {
            "latitude": 0,
            "longitude": -78.4678,
            "name": "Mitad del Mundo",
            "address": "Quito, Ecuador",
            "url": "https://example.com/mitad",
        },
        "contacts": lambda _: [_CARD],
        "button": lambda _: {"payload": "yes", "text": "Yes"},
        "interactive": lambda _: {"type": "button_reply", "button_reply": {"id": "yes", "title": "Yes"}},
        "reaction": lambda scene: {"message_id": scene.about, "emoji": "👍"},
        "order": lambda _: {
            "catalog_id": "800500400300200",
            "text": "Today, please",
            "product_items": [{"product_retailer_id": "sku-1", "quantity": 2, "item_price": 9.5, "currency": "USD"}],
        },
        "system": lambda scene: {
            "type": "user_changed_number",
            "body": f"User {scene.name} changed from {scene.user} to 15550009999",
            "wa_id": "15550009999",
        },
        "unsupported": lambda _: {"type": "poll"},
        "edit": lambda scene: {
            "original_message_id": scene.about,
            "message": {"type": "text", "text": {"body": "Hello again"}},
        },
        "revoke": lambda scene: {"original_message_id": scene.about},
    }
)

UNSUPPORTED_ERRORS: Final = (
    {
        "code": 131051,
        "title": "Message type unknown",
        "message": "Message type unknown",
        "error_data": {"details": "Message type is currently not supported."},
    },
)


def message_object(type_: str, scene: Scene) -> Any:
    """What stands under the message's type; None for types that have nothing there."""
    make = _OBJECTS.get(type_)
    return None if make is None else make(scene)


def _template(**members: Any) -> dict[str, Any]:
    return {
        **members,
        "message_template_id": 1_000_000_000_000_001,
        "message_template_name": "order_update",
        "message_template_language": "en_US",
    }


def _group(kind: str, **members: Any) -> Callable[[Scene], dict[str, Any]]:
    def value(scene: Scene) -> dict[str, Any]:
        group = {"timestamp": str(scene.timestamp), "group_id": "Y2FwaV9ncm91cDox", "type": kind, "request_id": "request-1"}
        return {"groups": [{**group, **members}]}

    return value


def _history(scene: Scene) -> dict[str, Any]:
    said = {"id": scene.about, "timestamp": str(scene.timestamp - 86_400), "type": "text"}
    messages = [
        {**said, "from": scene.user, "text": {"body": "Hello"}, "history_context": {"status": "READ"}},
        {
            **said,
            "id": f"{scene.about}2",
            "from": scene.business,
            "to": scene.user,
            "text": {"body": "Good day"},
            "history_context": {"status": "DELIVERED"},
        },
    ]
    metadata = {"phase": 0, "chunk_order": 1, "progress": 100}
    return {"history": [{"metadata": metadata, "threads": [{"id": scene.user, "messages": messages}]}]}


def _user_id_update(scene: Scene) -> dict[str, Any]:
    change = {
        "wa_id": scene.user,
        "detail": "The user id has changed.",
        "user_id": {"previous": scene.user_id, "current": f"{scene.user_id}9"},
        "timestamp": str(scene.timestamp),
    }
    return {"contacts": _contacts(scene), "user_id_update": [change]}


def _contacts(scene: Scene) -> list[dict[str, Any]]:
    return [{"profile": {"name": scene.name}, "wa_id": scene.user, "user_id": scene.user_id}]


_VALUES: Final[Mapping[str, Callable[[Scene], dict[str, Any]]]] = MappingProxyType(
    {
        "account_alerts": lambda scene: {
            "entity_type": "WABA",
            "entity_id": scene.waba_id,
            "alert_info": {
                "alert_severity": "WARNING",
                "alert_status": "ACTIVE",
                "alert_type": "INCREASED_CAPABILITIES_ELIGIBILITY_NEED_MORE_INFO",
                "alert_description": "The business must be verified.",
            },
        },
        "account_review_update": lambda _: {"decision": "APPROVED"},
        "account_update": lambda scene: {
            "phone_number": scene.business,
            "event": "ACCOUNT_RESTRICTION",
            "restriction_info": [
                {"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": scene.timestamp + 86_400}
            ],
        },
        "business_capability_update": lambda _: {
            "max_daily_conversations_per_business": 2000,
            "max_phone_numbers_per_business": 2,
            "max_phone_numbers_per_waba": 25,
        },
        "business_username_updates": lambda scene: {
            "display_phone_number": scene.business,
            "username": "sandbox",
            "status": "approved",
        },
        "calls": lambda scene: {
            "contacts": _contacts(scene),
            "calls": [
                {
                    "id": f"wacid.{scene.timestamp}",
                    "from": scene.user,
                    "to": scene.business,
                    "event": "connect",
                    "direction": "USER_INITIATED",
                    "timestamp": str(scene.timestamp),
                    "session": {"sdp_type": "offer", "sdp": "v=0"},
                }
            ],
        },
        "group_lifecycle_update": _group("group_create", subject="Order 77", invite_link="https://chat.whatsapp.com/sandbox"),
        "group_participants_update": _group(
            "group_participants_add", added_participants=[{"input": "15551234567", "wa_id": "15551234567"}]
        ),
        "group_settings_update": _group("group_settings_update", subject="Order 78"),
        "group_status_update": _group("group_suspend"),
        "history": _history,
        "message_template_components_update": lambda _: _template(
            message_template_element="Hello {{1}}", message_template_title="Order", message_template_footer="Example"
        ),
        "message_template_quality_update": lambda _: _template(previous_quality_score="GREEN", new_quality_score="YELLOW"),
        "message_template_status_update": lambda _: _template(
            event="APPROVED", reason="NONE", message_template_category="UTILITY"
        ),
        "phone_number_name_update": lambda scene: {
            "display_phone_number": scene.business,
            "decision": "APPROVED",
            "requested_verified_name": "Sandbox",
            "rejection_reason": None,
        },
        "phone_number_quality_update": lambda scene: {
            "display_phone_number": scene.business,
            "event": "THROUGHPUT_UPGRADE",
            "current_limit": "TIER_UNLIMITED",
            "max_daily_conversations_per_business": "TIER_UNLIMITED",
        },
        "security": lambda scene: {
            "display_phone_number": scene.business,
            "event": "PIN_CHANGED",
            "requester": scene.user,
        },
        "smb_app_state_sync": lambda scene: {
            "state_sync": [
                {
                    "type": "contact",
                    "contact": {"full_name": scene.name, "first_name": scene.name, "phone_number": scene.user},
                    "action": "add",
                    "metadata": {"timestamp": str(scene.timestamp)},
                }
            ]
        },
        "template_category_update": lambda _: _template(previous_category="UTILITY", new_category="MARKETING"),
        "user_id_update": _user_id_update,
        "user_preferences": lambda scene: {
            "contacts": _contacts(scene),
            "user_preferences": [
                {
                    "wa_id": scene.user,
                    "user_id": scene.user_id,
                    "detail": "User requested to stop marketing messages",
                    "category": "marketing_messages",
                    "value": "stop",
                    "timestamp": scene.timestamp,
                }
            ],
        },
    }
)

FIELDS: Final = frozenset(_VALUES)
"""Fields that have a sample."""

OF_A_NUMBER: Final = frozenset(
    {
        "messages",
        "smb_message_echoes",
        "smb_app_state_sync",
        "history",
        "user_preferences",
        "user_id_update",
        "calls",
        "group_lifecycle_update",
        "group_participants_update",
        "group_settings_update",
        "group_status_update",
    }
)
"""Fields whose value names a number in its `metadata`."""


def field_value(field: str, scene: Scene) -> dict[str, Any] | None:
    """A value of that field; None where there is no sample of it."""
    make = _VALUES.get(field)
    return None if make is None else make(scene)
