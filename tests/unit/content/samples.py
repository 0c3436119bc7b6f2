"""A content of every type that the provider documents."""

from __future__ import annotations

from typing import Any, Final

BODY: Final = {"text": "Choose"}
IMAGE: Final = {"id": "1037543291543636"}
OWN: Final = "med_06b9q1k8g5t0v2c4d6e8f0g2h4"
MESSAGE: Final = "msg_06b9q1k8g5t0v2c4d6e8f0g2h4"
URL: Final = {"name": "cta_url", "parameters": {"display_text": "See", "url": "https://shop.example/a"}}


def interactive(kind: str, action: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "interactive", "interactive": {"type": kind, "body": BODY, "action": action, **more}}


def template(*components: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {"name": "order_update", "language": {"code": "en_US"}}
    return {"type": "template", "template": {**described, "components": list(components)} if components else described}


def button(sub_type: str, *parameters: dict[str, Any], index: str = "0") -> dict[str, Any]:
    return {"type": "button", "sub_type": sub_type, "index": index, "parameters": list(parameters)}


CONTENTS: Final[dict[str, dict[str, Any]]] = {
    "text": {"type": "text", "text": {"body": "Hello", "preview_url": True}},
    "answer": {"type": "text", "text": {"body": "Yes"}, "context": {"message_id": "wamid.HBgL=="}},
    "image by id": {"type": "image", "image": {**IMAGE, "caption": "Look"}},
    "image of ours": {"type": "image", "image": {"id": OWN}},
    "video": {"type": "video", "video": {"link": "http://x.example/a.mp4", "caption": "Look"}},
    "audio": {"type": "audio", "audio": {"id": "12", "voice": True}},
    "document": {"type": "document", "document": {"link": "https://x.example/a", "filename": "a.pdf", "caption": "Yours"}},
    "sticker": {"type": "sticker", "sticker": {"id": "12"}},
    "location": {"type": "location", "location": {"latitude": 41.3, "longitude": "2.17", "name": "Us", "address": "Here 1"}},
    "contacts": {
        "type": "contacts",
        "contacts": [
            {
                "name": {"formatted_name": "Ana Gil", "first_name": "Ana"},
                "phones": [{"phone": "+15551234567", "type": "WORK", "wa_id": "15551234567"}],
                "emails": [{"email": "ana@example.com", "type": "WORK"}],
                "urls": [{"url": "https://x.example", "type": "WORK"}],
                "addresses": [{"street": "Here 1", "city": "B", "zip": "08001", "country_code": "es", "type": "HOME"}],
                "org": {"company": "X", "department": "Y", "title": "Z"},
                "birthday": "1999-01-23",
            }
        ],
    },
    "reaction": {"type": "reaction", "reaction": {"message_id": MESSAGE, "emoji": "👍🏽"}},
    "reaction taken back": {"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": ""}},
    "pin": {"type": "pin", "pin": {"type": "pin", "message_id": "wamid.x", "expiration_days": 7}},
    "buttons": interactive(
        "button",
        {"buttons": [{"type": "reply", "reply": {"id": "y", "title": "Yes"}}]},
        header={"type": "image", "image": IMAGE},
        footer={"text": "Thanks"},
    ),
    "list": interactive(
        "list",
        {"button": "Menu", "sections": [{"title": "A", "rows": [{"id": "1", "title": "One", "description": "First"}]}]},
        header={"type": "text", "text": "Today"},
    ),
    "link": interactive("cta_url", URL, header={"type": "document", "document": {**IMAGE, "filename": "a.pdf"}}),
    "flow": interactive(
        "flow",
        {
            "name": "flow",
            "parameters": {
                "flow_message_version": "3",
                "flow_id": "77",
                "flow_cta": "Begin",
                "mode": "draft",
                "flow_token": "unused",
                "flow_action": "navigate",
                "flow_action_payload": {"screen": "A", "data": {"x": [None, {"y": 1}]}},
            },
        },
    ),
    "product": interactive("product", {"catalog_id": "1", "product_retailer_id": "a"}),
    "products": interactive(
        "product_list",
        {"catalog_id": "1", "sections": [{"title": "A", "product_items": [{"product_retailer_id": "a"}]}]},
        header={"type": "text", "text": "Ours"},
    ),
    "catalogue": interactive(
        "catalog_message", {"name": "catalog_message", "parameters": {"thumbnail_product_retailer_id": "a"}}
    ),
    "location request": interactive("location_request_message", {"name": "send_location"}),
    "address": interactive(
        "address_message", {"name": "address_message", "parameters": {"country": "IN", "values": {"name": "Ana"}}}
    ),
    "call permission": interactive("call_permission_request", {"name": "call_permission_request"}),
    "call": interactive("voice_call", {"name": "voice_call", "parameters": {"display_text": "Call", "ttl_minutes": 100}}),
    "contact info": interactive("request_contact_info", {"name": "request_contact_info"}),
    "carousel": interactive(
        "carousel",
        {
            "cards": [
                {
                    "card_index": place,
                    "type": "cta_url",
                    "header": {"type": "image", "image": {"link": "http://x.example/a.png"}},
                    "body": {"text": "One\ntwo"},
                    "action": URL,
                }
                for place in range(2)
            ]
        },
    ),
    "products in a carousel": interactive(
        "carousel",
        {
            "cards": [
                {"card_index": place, "type": "product", "action": {"catalog_id": "1", "product_retailer_id": "a"}}
                for place in range(10)
            ]
        },
    ),
    "order": interactive(
        "order_details",
        {
            "name": "review_and_pay",
            "parameters": {
                "reference_id": "r1",
                "type": "digital-goods",
                "payment_type": "br",
                "payment_settings": [{"type": "pix_dynamic_code", "pix_dynamic_code": {"code": "x"}}],
                "currency": "BRL",
                "total_amount": {"value": 5000, "offset": 100},
                "order": {
                    "status": "pending",
                    "items": [{"retailer_id": "1", "name": "A", "amount": {"value": 5000, "offset": 100}, "quantity": 1}],
                    "subtotal": {"value": 5000, "offset": 100},
                },
            },
        },
    ),
    "order status": interactive(
        "order_status",
        {"name": "review_order", "parameters": {"reference_id": "r1", "order": {"status": "shipped", "description": "Soon"}}},
    ),
    "template": template(),
    "template with texts": template(
        {"type": "header", "parameters": [{"type": "document", "document": {**IMAGE, "filename": "a.pdf"}}]},
        {
            "type": "body",
            "parameters": [
                {"type": "text", "parameter_name": "who", "text": "Ana"},
                {
                    "type": "currency",
                    "parameter_name": "sum",
                    "currency": {"fallback_value": "$9.99", "code": "USD", "amount_1000": 9990},
                },
                {"type": "date_time", "parameter_name": "day", "date_time": {"fallback_value": "1 May"}},
            ],
        },
        button("quick_reply", {"type": "payload", "payload": "p"}),
        button("url", {"type": "text", "text": "suffix"}, index="1"),
    ),
    "template with a place": template(
        {
            "type": "header",
            "parameters": [
                {"type": "location", "location": {"latitude": 1.5, "longitude": 2.5, "name": "Us", "address": "Here"}}
            ],
        }
    ),
    "template with a coupon": template(
        {
            "type": "limited_time_offer",
            "parameters": [{"type": "limited_time_offer", "limited_time_offer": {"expiration_time_ms": 1}}],
        },
        button("copy_code", {"type": "coupon_code", "coupon_code": "SAVE10"}),
    ),
    "template with a flow": template(
        button("flow", {"type": "action", "action": {"flow_token": "t", "flow_action_data": {"a": None}}})
    ),
    "template with products": template(
        button(
            "mpm",
            {
                "type": "action",
                "action": {
                    "thumbnail_product_retailer_id": "a",
                    "sections": [{"title": "A", "product_items": [{"product_retailer_id": "a"}]}],
                },
            },
        )
    ),
    "template with an order": template(button("order_details", {"type": "action", "action": {"order_details": {"a": 1}}})),
    "template as a link": template(
        {
            "type": "tap_target_configuration",
            "parameters": [
                {"type": "tap_target_configuration", "tap_target_configuration": [{"url": "https://x.example", "title": "X"}]}
            ],
        }
    ),
    "template carousel": template(
        {"type": "body", "parameters": [{"type": "text", "text": "Ana"}]},
        {
            "type": "carousel",
            "cards": [
                {
                    "card_index": place,
                    "components": [
                        {"type": "header", "parameters": [{"type": "image", "image": {"id": OWN}}]},
                        button("quick_reply", {"type": "payload", "payload": "p"}),
                    ],
                }
                for place in range(2)
            ],
        },
    ),
}
