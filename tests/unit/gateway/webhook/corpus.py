"""Payloads of every shape that the webhooks reference knows, to be read and to be broken.

Source: WhatsApp Cloud API, webhooks reference, read 2026-11; invented people.
"""

from __future__ import annotations

from typing import Any, Final

NUMBER: Final = "106540352242922"
ACCOUNT: Final = "102290129340398"
BUSINESS: Final = "15550783881"
USER: Final = "16505551234"
USER_ID: Final = "US.13491208655302741918"
STAMP: Final = "1750263773"

METADATA: Final = {"display_phone_number": BUSINESS, "phone_number_id": NUMBER}
CONTACT: Final[dict[str, Any]] = {
    "profile": {"name": "Ana", "username": "@Ana.P"},
    "wa_id": USER,
    "user_id": USER_ID,
    "parent_user_id": "US.ENT.11815799212886844830",
}
MEDIA: Final = {"id": "1013859600285441", "mime_type": "image/jpeg", "sha256": "fNnF7LQ4pbpXWSSvNTIjHg+8dQIuSMJ5dX7KY9CmGCE="}

CONTENTS: Final[dict[str, Any]] = {
    "text": {"body": "Grüße 👋"},
    "image": {**MEDIA, "caption": "look"},
    "video": {**MEDIA, "mime_type": "video/mp4", "url": "https://lookaside.fbsbx.com/x"},
    "audio": {**MEDIA, "mime_type": "audio/ogg; codecs=opus", "voice": True},
    "document": {**MEDIA, "mime_type": "application/pdf", "filename": "bill.pdf"},
    "sticker": {**MEDIA, "mime_type": "image/webp", "animated": False},
    "location": {"latitude": 0, "longitude": -122.148, "name": "HQ", "address": "1 Way", "url": "https://example.com"},
    "contacts": [{"name": {"formatted_name": "Bo B"}, "phones": [{"phone": "+1 650", "wa_id": "1650"}], "origin": "other"}],
    "button": {"payload": "p", "text": "Yes"},
    "interactive": {"type": "button_reply", "button_reply": {"id": "a", "title": "A"}},
    "reaction": {"message_id": "wamid.target", "emoji": "👍"},
    "order": {
        "catalog_id": "1",
        "text": "pls",
        "product_items": [{"product_retailer_id": "r", "quantity": 1, "item_price": 9.9, "currency": "USD"}],
    },
    "unsupported": {"type": "poll"},
}
INTERACTIVE: Final = [
    {"type": "list_reply", "list_reply": {"id": "r", "title": "R", "description": "d"}},
    {"type": "nfm_reply", "nfm_reply": {"name": "flow", "body": "Sent", "response_json": '{"flow_token":"x"}'}},
    {"type": "nfm_reply", "nfm_reply": {"name": "address_message", "response_json": "not json"}},
    {"type": "call_permission_reply", "call_permission_reply": {"response": "accept", "expiration_timestamp": 1750263773}},
    {"type": "payment_method", "payment_method": {"payment_method": "upi"}},
]
REFERRAL: Final = {
    "source_url": "https://fb.me/x",
    "source_id": "1",
    "source_type": "ad",
    "headline": "h",
    "media_type": "image",
    "image_url": "https://example.com/i",
    "ctwa_clid": "c",
    "welcome_message": {"text": "hi"},
}


def message(kind: str = "text", wamid: str = "wamid.in", **more: Any) -> dict[str, Any]:
    """Somebody's message of that type."""
    head = {"id": wamid, "from": USER, "from_user_id": USER_ID, "timestamp": STAMP, "type": kind}
    return head | ({kind: CONTENTS[kind]} if kind in CONTENTS else {}) | more


def status(kind: str = "delivered", **more: Any) -> dict[str, Any]:
    """A report on a message that is ours."""
    return {
        "id": "wamid.out",
        "status": kind,
        "timestamp": STAMP,
        "recipient_id": USER,
        "recipient_user_id": USER_ID,
        "biz_opaque_callback_data": "msg_06b9q1k8g5t0v2c4d6e8f0g2h4.1",
        "conversation": {"id": "c1", "expiration_timestamp": "1750350173", "origin": {"type": "marketing"}},
        "pricing": {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "marketing"},
        **more,
    }


def change(field: str, value: dict[str, Any], **entry: Any) -> dict[str, Any]:
    """A payload of one change."""
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": ACCOUNT, **entry, "changes": [{"field": field, "value": value}]}],
    }


def said(*messages: Any, field: str = "messages", key: str = "messages", **more: Any) -> dict[str, Any]:
    """A payload of messages."""
    value = {"messaging_product": "whatsapp", "metadata": METADATA, "contacts": [CONTACT], key: list(messages)}
    return change(field, value | more)


def system(**told: Any) -> dict[str, Any]:
    return message("system", "wamid.system", system={"body": "changed", **told})


def news(field: str, value: dict[str, Any]) -> dict[str, Any]:
    """A payload about an account."""
    return change(field, value, time=1_739_321_024)


ERROR: Final = {"code": 131051, "title": "Unsupported", "message": "m", "error_data": {"details": "d"}, "href": "https://e.x"}
TEMPLATE: Final = {"message_template_id": 594425479261596, "message_template_name": "t", "message_template_language": "en_US"}
GROUP: Final = {"group_id": "120363", "timestamp": STAMP, "type": "group_create", "request_id": "r", "subject": "s"}
ECHO: Final = {"from": BUSINESS, "to": USER, "to_user_id": USER_ID, "id": "wamid.echo", "timestamp": STAMP, "type": "text"}
OLD: Final = [
    {"from": USER, "id": "wamid.h1", "timestamp": STAMP, "type": "text", "text": {"body": "old"}},
    {"from": BUSINESS, "to": USER, "id": "wamid.h2", "timestamp": STAMP, "type": "text", "text": {"body": "older"}},
    {
        "from": BUSINESS,
        "id": "wamid.h3",
        "timestamp": STAMP,
        "type": "media_placeholder",
        "history_context": {"status": "READ"},
    },
]
HISTORY: Final = {"metadata": {"phase": 0, "chunk_order": 1, "progress": 55}, "threads": [{"id": USER, "messages": OLD}]}

UNDERSTOOD: Final[dict[str, dict[str, Any]]] = {
    **{f"message {kind}": said(message(kind)) for kind in CONTENTS},
    **{f"interactive {n}": said(message("interactive", interactive=shape)) for n, shape in enumerate(INTERACTIVE)},
    **{f"status {kind}": said(status(kind), key="statuses") for kind in ("sent", "delivered", "read", "played", "failed")},
    "message in reply to an ad": said(
        message(referral=REFERRAL, context={"from": BUSINESS, "id": "wamid.q", "forwarded": True})
    ),
    "message with context null": said(message(context=None)),
    "message of a group": said(message(group_id="120363")),
    "message without phone": said(message(**{"from": ""}), contacts=[{**CONTACT, "wa_id": ""}]),
    "request_welcome": said(message("request_welcome")),
    "ephemeral": said(message("ephemeral")),
    "interactive without its object": said({**message(), "type": "interactive", "text": None}, errors=[ERROR]),
    "voice of old": said({**message(), "type": "voice", "voice": MEDIA}),
    "edit": said(message("edit", edit={"original_message_id": "wamid.in", "message": {"type": "text", "text": {"body": "b"}}})),
    "revoke": said(message("revoke", revoke={"original_message_id": "wamid.in"})),
    "changed number": said(system(type="user_changed_number", wa_id="16505550000")),
    "changed number of old": said(system(type="customer_changed_number", new_wa_id="16505550000")),
    "changed user id": said(system(type="user_changed_user_id", previous_user_id=USER_ID, user_id="US.2")),
    "changed identity": said(system(type="customer_identity_changed", identity={"hash": "h", "acknowledged": True})),
    "system of tomorrow": said(system(type="user_did_something")),
    "status failed": said(status("failed", errors=[ERROR]), key="statuses"),
    "status of a group": said(
        status(recipient_type="group", recipient_id="120363", recipient_participant_id=USER), key="statuses"
    ),
    "status of tomorrow": said(status("teleported"), key="statuses"),
    "status of a payment": said(status("captured", type="payment"), key="statuses"),
    "errors of the number": change("messages", {"metadata": METADATA, "errors": [{"code": 130429, "title": "Rate limit hit"}]}),
    "echo": said({**ECHO, "text": {"body": "from the phone"}}, field="smb_message_echoes", key="message_echoes"),
    "history": said(HISTORY, field="history", key="history"),
    "history refused": said({"errors": [{"code": 2593109}]}, field="history", key="history"),
    "history media": said({**message("image", "wamid.h3"), "from": BUSINESS}, field="history"),
    "address book": said(
        {
            "type": "contact",
            "action": "add",
            "contact": {"full_name": "Bo B", "phone_number": USER},
            "metadata": {"timestamp": 1},
        },
        field="smb_app_state_sync",
        key="state_sync",
    ),
    "preferences": said(
        {"wa_id": USER, "detail": "d", "category": "marketing_messages", "value": "stop", "timestamp": 1750263773},
        field="user_preferences",
        key="user_preferences",
    ),
    "user id update": said(
        {"wa_id": USER, "user_id": {"previous": USER_ID, "current": "US.2"}, "timestamp": 1750263773},
        field="user_id_update",
        key="user_id_update",
    ),
    "calls": change("calls", {"metadata": METADATA, "calls": [{"id": "wacid.1", "event": "connect", "timestamp": STAMP}]}),
    "groups": change("group_lifecycle_update", {"metadata": METADATA, "groups": [GROUP]}),
    "template status": news("message_template_status_update", {**TEMPLATE, "event": "APPROVED", "reason": None}),
    "template quality": news("message_template_quality_update", {**TEMPLATE, "new_quality_score": "RED"}),
    "template category": news("template_category_update", {**TEMPLATE, "new_category": "MARKETING"}),
    "template components": news("message_template_components_update", {**TEMPLATE, "message_template_element": "b"}),
    "number quality": news(
        "phone_number_quality_update", {"display_phone_number": BUSINESS, "event": "ONBOARDING", "current_limit": "TIER_2K"}
    ),
    "number name": news(
        "phone_number_name_update",
        {
            "display_phone_number": BUSINESS,
            "decision": "APPROVED",
            "requested_verified_name": "Lucky",
            "rejection_reason": None,
        },
    ),
    "account disabled": news(
        "account_update", {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE", "waba_ban_date": "x"}}
    ),
    "account review": news("account_review_update", {"decision": "APPROVED"}),
    "account alert": news("account_alerts", {"entity_type": "BUSINESS", "entity_id": 1, "alert_info": {"alert_type": "x"}}),
    "capability": news("business_capability_update", {"max_daily_conversations_per_business": 2000}),
    "security": news("security", {"display_phone_number": BUSINESS, "event": "PIN_CHANGED", "requester": "1"}),
    "flows": news("flows", {"event": "FLOW_STATUS_CHANGE", "flow_id": "1"}),
    "field of tomorrow": news("something_new", {"anything": [1, {"x": None}]}),
}
"""Each read whole."""
