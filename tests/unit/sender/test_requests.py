"""What goes out: our content in each provider's own form."""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import parse_qsl

import pytest

from services.sender.domain.attempt import AttemptId
from services.sender.domain.outcome import PauseNumber, Rejected
from services.sender.provider.interface import Address, Request
from services.sender.provider.routes import open_route
from shared.events.values import Provider
from shared.ids import MessageId

ATTEMPT: Final = AttemptId(MessageId("msg_06b9q1k8g5t0v2c4d6e8f0g2h4"), 2)
SID: Final = "HX0123456789abcdef0123456789abcdef"
TWILIO: Final = Address(
    Provider.TWILIO,
    "https://api.twilio.com/",
    "15550783881",
    "AC" + "0a" * 16,
    "+15550783881",
    "https://chasqui.example/api/webhooks/twilio/num_1",
)


def twilio_form(content: dict[str, Any]) -> dict[str, str]:
    """The fields that stand for the content."""
    request = open_route(TWILIO, "token").request(ATTEMPT, "+15551234567", content)
    assert isinstance(request, Request)
    form = dict(parse_qsl(request.body.decode(), strict_parsing=True))
    assert form.pop("From") == "whatsapp:+15550783881"
    assert form.pop("To") == "whatsapp:+15551234567"
    assert form.pop("StatusCallback") == f"https://chasqui.example/api/webhooks/twilio/num_1?attempt={ATTEMPT}"
    return form


def test_the_cloud_api_gets_the_content_as_it_was_given() -> None:
    content = {"type": "text", "text": {"body": "Grüße"}, "biz_opaque_callback_data": "not mine to set"}
    request = open_route(Address(Provider.CLOUD_API, "https://graph.facebook.com", "1064"), "token").request(
        ATTEMPT, "+15551234567", content
    )
    assert isinstance(request, Request)
    assert str(request.url) == "https://graph.facebook.com/v23.0/1064/messages"
    assert json.loads(request.body) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+15551234567",
        "type": "text",
        "text": {"body": "Grüße"},
        "biz_opaque_callback_data": str(ATTEMPT),
    }


@pytest.mark.parametrize(
    ("content", "form"),
    [
        ({"type": "text", "text": {"body": "a & b=ü\n", "preview_url": True}}, {"Body": "a & b=ü\n"}),
        (
            {"type": "image", "image": {"link": "https://x.example/a.png?b=1&c", "caption": "Look"}},
            {"MediaUrl": "https://x.example/a.png?b=1&c", "Body": "Look"},
        ),
        (
            {"type": "document", "document": {"link": "https://x.example/a.pdf", "filename": "b.pdf"}},
            {"MediaUrl": "https://x.example/a.pdf"},
        ),
        (
            {"type": "location", "location": {"latitude": 37.78789, "longitude": -122.391664, "name": "Office"}},
            {"PersistentAction": "geo:37.78789,-122.391664|Office", "Body": "Office"},
        ),
        ({"type": "template", "template": {"name": SID, "language": {"code": "en"}}}, {"ContentSid": SID}),
        ({"type": "template", "template": {"name": SID.lower()}}, {"ContentSid": SID}),
    ],
)
def test_twilio_gets_the_content_as_fields(content: dict[str, Any], form: dict[str, str]) -> None:
    assert twilio_form(content) == form


def test_a_templates_parameters_become_variables_in_their_order_or_by_their_name() -> None:
    components = [
        {"type": "header", "parameters": [{"type": "image", "image": {"link": "https://x.example/a.png"}}]},
        {
            "type": "body",
            "parameters": [
                {"type": "text", "text": "Ana"},
                {"type": "text", "parameter_name": "order", "text": "A-7"},
                {"type": "currency", "currency": {"fallback_value": "9 €", "code": "EUR", "amount_1000": 9000}},
            ],
        },
        {"type": "button", "sub_type": "quick_reply", "index": "0", "parameters": [{"type": "payload", "payload": "yes"}]},
    ]
    form = twilio_form({"type": "template", "template": {"name": SID, "components": components}})
    assert json.loads(form["ContentVariables"]) == {
        "1": "https://x.example/a.png",
        "2": "Ana",
        "order": "A-7",
        "4": "9 €",
        "5": "yes",
    }


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"type": "text"},
        {"type": "text", "text": {"body": ""}},
        {"type": "text", "text": {"body": "Hi"}, "context": {"message_id": "wamid.x"}},
        {"type": "image", "image": {"id": "123"}},
        {"type": "sticker", "sticker": {"link": "https://x.example/a.webp"}},
        {"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": "👍"}},
        {"type": "template", "template": {"name": "order_update", "language": {"code": "en"}}},
        {
            "type": "template",
            "template": {"name": SID, "components": [{"parameters": [{"type": "image", "image": {"id": "1"}}]}]},
        },
        {"type": "template", "template": {"name": SID, "components": [{"parameters": ["x"]}]}},
        {"type": "template", "template": {"name": SID, "components": [{"parameters": [{"type": "text", "text": "x"}] * 101}]}},
        {"type": ["text"]},
    ],
)
def test_what_twilio_cannot_carry_is_rejected_before_any_call(content: dict[str, Any]) -> None:
    outcome = open_route(TWILIO, "token").request(ATTEMPT, "+15551234567", content)
    assert isinstance(outcome, Rejected)
    assert outcome.code == "content.unsupported_by_provider"


@pytest.mark.parametrize("missing", ["account_id", "display_number", "callback_url"])
def test_a_number_whose_record_is_not_complete_is_paused_and_not_called(missing: str) -> None:
    kept = {field: getattr(TWILIO, field) for field in Address.__slots__ if field != missing}
    outcome = open_route(Address(**kept), "token").request(ATTEMPT, "+15551234567", {"type": "text", "text": {"body": "Hi"}})
    assert isinstance(outcome, PauseNumber)
    assert outcome.code == "number.incomplete"


def test_a_callback_url_keeps_its_own_query() -> None:
    address = Address(TWILIO.provider, TWILIO.provider_url, "1", "AC1", "+15550783881", "https://chasqui.example/x?a=b")
    request = open_route(address, "token").request(ATTEMPT, "+15551234567", {"type": "text", "text": {"body": "Hi"}})
    assert isinstance(request, Request)
    assert dict(parse_qsl(request.body.decode()))["StatusCallback"] == f"https://chasqui.example/x?a=b&attempt={ATTEMPT}"


@pytest.mark.parametrize(
    ("to", "address"),
    [
        ("+15551234567", {"recipient_type": "individual", "to": "+15551234567"}),
        ("US.13491208655302741918", {"recipient_type": "individual", "recipient": "US.13491208655302741918"}),
        ("group:Y2FwaV9ncm91cDo", {"recipient_type": "group", "to": "Y2FwaV9ncm91cDo"}),
    ],
)
def test_an_address_is_written_as_each_kind_is(to: str, address: dict[str, str]) -> None:
    meta = open_route(Address(Provider.CLOUD_API, "https://graph.facebook.com", "1064"), "token")
    request = meta.request(ATTEMPT, to, {"type": "text", "text": {"body": "x"}})
    assert isinstance(request, Request)
    body = json.loads(request.body)
    assert {name: body[name] for name in ("recipient_type", "to", "recipient") if name in body} == address
    if not to.startswith("+"):
        refused = open_route(TWILIO, "token").request(ATTEMPT, to, {"type": "text", "text": {"body": "x"}})
        assert isinstance(refused, Rejected)
        assert refused.code == "recipient.unsupported_by_provider"
