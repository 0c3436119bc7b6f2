"""Every outbound type, its limits, and what the Cloud API itself puts up with."""

from __future__ import annotations

import copy
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.content import media_places, message_place, parse, unfilled_faults
from tests.unit.content.samples import CONTENTS, MESSAGE, OWN, button, interactive, template


def faults(document: dict[str, Any], **how: Any) -> list[tuple[str, str]]:
    found = parse(document, **how)
    return [(fault.pointer, str(fault.code)) for fault in found] if isinstance(found, list) else []


@pytest.mark.parametrize("name", CONTENTS)
def test_every_type_comes_back_as_it_was_said(name: str) -> None:
    document = CONTENTS[name]
    assert parse(document) == document
    assert parse({**document, "messaging_product": "whatsapp", "to": "1", "context2": None}, tolerant=True) == document


@pytest.mark.parametrize("name", CONTENTS)
def test_a_member_that_nobody_knows_is_refused_or_left_out(name: str) -> None:
    document = copy.deepcopy(CONTENTS[name])
    kind = document["type"]
    part = document[kind][0] if kind == "contacts" else document[kind]
    part["unheard_of"] = 1
    pointer = "/contacts/0/unheard_of" if kind == "contacts" else f"/{kind}/unheard_of"
    assert (pointer, "field.unknown") in faults(document)
    assert parse(document, tolerant=True) == CONTENTS[name]


def buttons(*replies: tuple[str, str]) -> dict[str, Any]:
    return interactive("button", {"buttons": [{"type": "reply", "reply": {"id": i, "title": t}} for i, t in replies]})


def rows(*counts: int, title: str | None = "T") -> dict[str, Any]:
    numbers = iter(range(100))
    sections = [
        {"rows": [{"id": str(next(numbers)), "title": "x"} for _ in range(count)], **({"title": title} if title else {})}
        for count in counts
    ]
    return interactive("list", {"button": "Menu", "sections": sections})


def cards(*kinds: str, text: str = "x") -> dict[str, Any]:
    card = CONTENTS["carousel"]["interactive"]["action"]["cards"][0]
    return interactive(
        "carousel",
        {
            "cards": [
                {**card, "card_index": place, "body": {"text": text}, "header": {"type": kind, kind: {"id": "1"}}}
                for place, kind in enumerate(kinds)
            ]
        },
    )


HEADER = {"type": "text", "text": "x"}
REPLY: dict[str, Any] = {"type": "quick_reply", "quick_reply": {"id": "a", "title": "A"}}


@pytest.mark.parametrize(
    ("document", "pointer", "code"),
    [
        ({}, "/text", "field.missing"),
        ({"type": "text", "text": {"body": ""}}, "/text/body", "field.too_short"),
        ({"type": "text", "text": {"body": "x" * 4097}}, "/text/body", "field.too_long"),
        ({"type": "text", "text": {"body": "a\x00"}}, "/text/body", "field.bad_text"),
        ({"type": "text", "text": {"body": "a\ud800"}}, "/text/body", "field.invalid"),
        ({"type": "text", "text": {"body": "x"}, "image": {"id": "1"}}, "/image", "field.surplus"),
        ({"type": "voice"}, "/type", "field.choice"),
        ({"type": "image", "image": {}}, "/image", "media.one_of"),
        ({"type": "image", "image": {"id": "1", "link": "https://x.example"}}, "/image", "media.one_of"),
        ({"type": "image", "image": {"id": "img_1"}}, "/image/id", "field.format"),
        ({"type": "image", "image": {"link": "ftp://x.example/a"}}, "/image/link", "link.invalid"),
        ({"type": "image", "image": {"link": "https://x.example/a b"}}, "/image/link", "link.invalid"),
        ({"type": "image", "image": {"link": "https://[::1"}}, "/image/link", "link.invalid"),
        ({"type": "image", "image": {"link": "{{photo}}"}}, "/image/link", "link.invalid"),
        ({"type": "image", "image": {"id": "1", "caption": "x" * 1025}}, "/image/caption", "field.too_long"),
        ({"type": "audio", "audio": {"id": "1", "caption": "x"}}, "/audio/caption", "field.unknown"),
        ({"type": "sticker", "sticker": {"id": "1", "caption": "x"}}, "/sticker/caption", "field.unknown"),
        ({"type": "document", "document": {"id": "1", "filename": "x" * 241}}, "/document/filename", "field.too_long"),
        ({"type": "location", "location": {"latitude": 91, "longitude": 0}}, "/location/latitude", "location.out_of_range"),
        ({"type": "location", "location": {"latitude": "x", "longitude": 0}}, "/location/latitude", "location.out_of_range"),
        ({"type": "location", "location": {"latitude": "nan", "longitude": 0}}, "/location/latitude", "location.out_of_range"),
        ({"type": "location", "location": {"latitude": "4_1", "longitude": 0}}, "/location/latitude", "location.out_of_range"),
        ({"type": "location", "location": {"latitude": "٤١", "longitude": 0}}, "/location/latitude", "location.out_of_range"),
        ({"type": "contacts", "contacts": []}, "/contacts", "field.too_short"),
        ({"type": "contacts", "contacts": [{"name": {"formatted_name": "A"}}]}, "/contacts/0/name", "contacts.name"),
        ({"type": "contacts", "contacts": [CONTENTS["contacts"]["contacts"][0]] * 258}, "/contacts", "field.too_long"),
        ({"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": "ok"}}, "/reaction/emoji", "reaction.emoji"),
        ({"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": "👍👍"}}, "/reaction/emoji", "reaction.emoji"),
        ({"type": "reaction", "reaction": {"message_id": "a b", "emoji": "👍"}}, "/reaction/message_id", "field.format"),
        ({**CONTENTS["reaction"], "context": {"message_id": "wamid.y"}}, "/context", "field.surplus"),
        ({"type": "text", "text": {"body": "x"}, "context": {}}, "/context/message_id", "field.missing"),
        (interactive("buttons", {}), "/interactive", "field.choice"),
        (interactive("button", {"buttons": []}), "/interactive/action/buttons", "field.too_short"),
        (buttons(("a", "A"), ("b", "B"), ("c", "C"), ("d", "D")), "/interactive/action/buttons", "field.too_long"),
        (buttons(("a", "A"), ("a", "B")), "/interactive/action/buttons", "interactive.repeated"),
        (buttons(("a", "A"), ("b", "A")), "/interactive/action/buttons", "interactive.repeated"),
        (buttons(("a", "A" * 21)), "/interactive/action/buttons/0/reply/title", "field.too_long"),
        (buttons(("a" * 257, "A")), "/interactive/action/buttons/0/reply/id", "field.too_long"),
        (rows(5, 6), "/interactive/action", "interactive.too_many_rows"),
        (rows(1, 1, title=None), "/interactive/action", "interactive.section_title"),
        (rows(0), "/interactive/action/sections/0/rows", "field.too_short"),
        (interactive("product", {"catalog_id": "1", "product_retailer_id": "a"}, header=HEADER),
         "/interactive/header", "field.unknown"),
        (interactive("list", rows(1)["interactive"]["action"], header={"type": "image", "image": {"id": "1"}}),
         "/interactive/header/type", "field.choice"),
        (interactive("cta_url", {"name": "cta_url", "parameters": {"display_text": "x" * 21, "url": "https://x.example"}}),
         "/interactive/action/parameters/display_text", "field.too_long"),
        (interactive("flow", {"name": "flow", "parameters": {"flow_message_version": "3", "flow_cta": "x"}}),
         "/interactive/action/parameters", "flow.one_of"),
        (cards("image"), "/interactive/action/cards", "field.too_short"),
        (cards("image", "video"), "/interactive/action/cards", "interactive.cards_differ"),
        (cards("image", "image", text="a\n\n\nb"), "/interactive/action/cards/0/body", "interactive.too_many_lines"),
        (interactive("order_details", {"name": "review_and_pay", "parameters": {}}),
         "/interactive/action/parameters", "order.incomplete"),
        (interactive("button", buttons(("a", "A"))["interactive"]["action"], footer={"text": "x" * 61}),
         "/interactive/footer/text", "field.too_long"),
        (template({"type": "heading"}), "/template/components/0", "template.component_unknown"),
        (template({"type": "button", "sub_type": "x", "index": 0}), "/template/components/0", "template.button_type"),
        (template({"type": "button", "sub_type": "url", "index": 10}), "/template/components/0/index", "field.format"),
        (template({"type": "button", "sub_type": "url", "index": "0", "parameters": [{"type": "payload", "payload": "x"}]}),
         "/template/components/0/parameters/0/type", "field.choice"),
        (template({"type": "button", "sub_type": "copy_code", "index": "0",
                   "parameters": [{"type": "coupon_code", "coupon_code": "x" * 16}]}),
         "/template/components/0/parameters/0/coupon_code", "field.too_long"),
        (template({"type": "header", "parameters": [{"type": "text", "text": "x" * 61}]}),
         "/template/components/0/parameters/0/text", "field.too_long"),
        (template({"type": "body", "parameters": [{"type": "text", "text": "x", "parameter_name": "a"},
                                                  {"type": "text", "text": "y"}]}),
         "/template/components/0/parameters", "template.parameter_name"),
        (template({"type": "carousel", "cards": []}), "/template/components/0/cards", "field.too_short"),
    ],
)  # fmt: skip
def test_what_the_provider_would_refuse_is_refused_where_it_stands(document: dict[str, Any], pointer: str, code: str) -> None:
    assert (pointer, code) in faults(document)


def test_free_json_of_a_flow_is_held_to_what_every_hop_can_carry() -> None:
    deep: Any = 1
    for _ in range(200):
        deep = {"a": deep}
    for data, code in ((deep, "json.too_deep"), ({"a": 2**60}, "number.out_of_range")):
        document = copy.deepcopy(CONTENTS["flow"])
        document["interactive"]["action"]["parameters"]["flow_action_payload"]["data"] = data
        assert faults(document) == [("/interactive/action/parameters/flow_action_payload/data", code)]


def test_a_fault_of_free_json_reads_as_a_sentence() -> None:
    document = copy.deepcopy(CONTENTS["flow"])
    document["interactive"]["action"]["parameters"]["flow_action_payload"]["data"] = {"a": 2**60}
    found = parse(document)
    assert isinstance(found, list)
    assert [fault.detail for fault in found] == ["whole numbers lie within ±2^53"]


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ({"buttons": [REPLY, {**REPLY, "quick_reply": {"id": "b", "title": "x" * 21}}]},
         [("buttons/1/quick_reply/title", "field.too_long")]),
        ({"name": "cta_url", "parameters": {"display_text": "x" * 21, "url": "https://x.example"}},
         [("parameters/display_text", "field.too_long")]),
    ],
)  # fmt: skip
def test_only_faults_of_what_was_meant_are_named(action: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    document = cards("image", "image")
    document["interactive"]["action"]["cards"][0]["action"] = action
    assert faults(document) == [(f"/interactive/action/cards/0/action/{pointer}", code) for pointer, code in expected]


def test_of_a_parameter_only_the_faults_of_its_type_are_named() -> None:
    document = template(button("voice_call", {"type": "ttl_minutes", "ttl_minutes": 43_201}))
    assert faults(document) == [("/template/components/0/parameters/0/ttl_minutes", "field.out_of_range")]


def test_the_cards_of_a_carousel_may_have_buttons() -> None:
    document = cards("image", "image")
    for place, card in enumerate(document["interactive"]["action"]["cards"]):
        card["action"] = {"buttons": [{"type": "quick_reply", "quick_reply": {"id": str(place), "title": "Yes"}}]}
    assert parse(document) == document


def test_links_and_places_may_be_left_to_variables_where_somebody_fills_them_in() -> None:
    for document in (
        {"type": "image", "image": {"link": "{{photo}}"}},
        {"type": "location", "location": {"latitude": "{{lat}}", "longitude": "{{long}}"}},
        template({"type": "header", "parameters": [{"type": "video", "video": {"link": "{{header_link}}"}}]}),
    ):
        assert faults(document) != []
        assert parse(document, with_variables=True) == document


@pytest.mark.parametrize(
    ("document", "content"),
    [
        ({"type": "image", "image": {"id": "1", "caption": ""}}, {"type": "image", "image": {"id": "1"}}),
        ({"type": "document", "document": {"id": "1", "filename": "", "caption": ""}},
         {"type": "document", "document": {"id": "1"}}),
    ],
)  # fmt: skip
def test_an_empty_caption_or_name_is_none(document: dict[str, Any], content: dict[str, Any]) -> None:
    """Many clients have these fields always there."""
    assert parse(document) == content


@pytest.mark.parametrize("amount", [10**30, -(10**30)])
def test_a_number_that_cannot_be_written_is_refused_where_it_stands(amount: int) -> None:
    currency = {"fallback_value": "$1", "code": "USD", "amount_1000": amount}
    document = template({"type": "body", "parameters": [{"type": "currency", "currency": currency}]})
    assert faults(document) == [("/template/components/0/parameters/0/currency/amount_1000", "field.out_of_range")]


@pytest.mark.parametrize(
    ("document", "content"),
    [
        ({"text": {"body": "x"}}, {"type": "text", "text": {"body": "x"}}),
        ({"text": {"body": "x", "preview_url": None}, "context": None}, {"type": "text", "text": {"body": "x"}}),
        ({"reaction": {"message_id": "wamid.x", "emoji": "👍"}, "context": {"message_id": "wamid.y"}},
         {"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": "👍"}}),
        ({"type": "contacts", "contacts": json.dumps(CONTENTS["contacts"]["contacts"])}, CONTENTS["contacts"]),
        ({"type": "text", "text": '{"body": "x"}'}, {"type": "text", "text": {"body": "x"}}),
        ({"type": "image", "image": {"id": 1037543291543636, "caption": None}, "text": {"body": ""}},
         {"type": "image", "image": {"id": "1037543291543636"}}),
        ({"type": "document", "document": {"link": "https://x.example/a", "caption": None}},
         {"type": "document", "document": {"link": "https://x.example/a"}}),
        ({"type": "text", "text": {"body": "x"}, "context": {"message_id": "wamid.x", "from": "1"}},
         {"type": "text", "text": {"body": "x"}, "context": {"message_id": "wamid.x"}}),
        (interactive("button", buttons(("a", "A"))["interactive"]["action"], header=None, footer=None), buttons(("a", "A"))),
        (template({"type": "BODY", "parameters": [{"type": "text", "text": 7}]}, {"type": "Button", "sub_type": "URL", "index": 0}),
         template({"type": "body", "parameters": [{"type": "text", "text": "7"}]},
                  {"type": "button", "sub_type": "url", "index": "0"})),
    ],
)  # fmt: skip
def test_the_front_door_puts_up_with_what_the_cloud_api_does(document: dict[str, Any], content: dict[str, Any]) -> None:
    assert parse(document, tolerant=True) == content


def test_what_a_content_refers_to_is_found_wherever_it_stands() -> None:
    assert [(p.kind, p.pointer) for p in media_places(CONTENTS["template carousel"])] == [
        ("image", f"/template/components/1/cards/{place}/components/0/parameters/0/image") for place in range(2)
    ]
    assert [p.part["id"] for p in media_places(CONTENTS["image of ours"])] == [OWN]
    assert [p.pointer for p in media_places(CONTENTS["link"])] == ["/interactive/header/document"]
    assert len(list(media_places(CONTENTS["carousel"]))) == 2
    assert list(media_places(CONTENTS["text"])) == []
    assert message_place(CONTENTS["reaction"]) == (CONTENTS["reaction"]["reaction"], "/reaction")
    assert message_place(CONTENTS["answer"]) == ({"message_id": "wamid.HBgL=="}, "/context")
    assert message_place(CONTENTS["text"]) is None
    assert MESSAGE in str(message_place(CONTENTS["reaction"]))


def test_malformed_components_have_no_files() -> None:
    for components in (7, "x", ["x"], [{"parameters": 7, "cards": 7}], [{"cards": [7, {"components": 7}]}]):
        assert list(media_places({"type": "template", "template": {"components": components}})) == []
    for interactive_part in (None, 7, {"type": "carousel"}, {"type": "carousel", "action": {"cards": [7, {"header": 7}]}}):
        assert list(media_places({"type": "interactive", "interactive": interactive_part})) == []
    assert message_place({"type": "text", "context": {"message_id": 7}}) is None


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["wamid.x", "https://x.y", "1"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["type", "id", "link", "body", "text", "action", "parameters", "components", "name", "header", "index", "x"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("kind", ["image", "interactive", "template", "text"])
@given(data=st.data())
def test_what_a_content_refers_to_is_looked_for_whatever_shape_it_has(kind: str, data: st.DataObject) -> None:
    """One that was kept before it would have been refused must not break who sends it."""
    content: dict[str, Any] = {"type": kind, kind: data.draw(values), "context": data.draw(values)}
    assert all(isinstance(place.part, dict) for place in media_places(content))
    assert message_place(content) is None or isinstance(content["context"]["message_id"], str)


@given(st.dictionaries(st.sampled_from(["type", "context", *{c["type"] for c in CONTENTS.values()}]), values), st.booleans())
def test_whatever_comes_there_is_a_content_that_can_be_written_or_a_fault(document: dict[str, Any], tolerant: bool) -> None:
    found = parse(document, tolerant=tolerant)
    if isinstance(found, dict):
        assert parse(orjson.loads(orjson.dumps(found))) == found
    else:
        assert found


@given(st.sampled_from(sorted(CONTENTS)), st.data())
def test_a_broken_member_anywhere_is_a_fault_or_harmless(name: str, data: st.DataObject) -> None:
    document = copy.deepcopy(CONTENTS[name])
    places: list[tuple[Any, Any]] = []
    waiting: list[Any] = [document]
    while waiting:
        node = waiting.pop()
        items = list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
        places.extend((node, key) for key, _ in items)
        waiting.extend(value for _, value in items)
    node, key = data.draw(st.sampled_from(places))
    node[key] = data.draw(values)
    for tolerant in (False, True):
        found = parse(document, tolerant=tolerant)
        assert found
        if isinstance(found, dict):
            orjson.dumps(found)


LONG = "{{customer_first_name_as_it_is_written}}"


def replies(*replies: dict[str, Any]) -> dict[str, Any]:
    buttons = [{"type": "reply", "reply": reply} for reply in replies]
    return {
        "type": "interactive",
        "interactive": {"type": "button", "body": {"text": "Which?"}, "action": {"buttons": buttons}},
    }


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"type": "text", "text": {"body": f"{LONG} {'a' * 4096}"}}, "/text/body"),
        (replies({"id": "1", "title": LONG}), "/interactive/action/buttons/0/reply/title"),
        ({"type": "image", "image": {"id": "1", "caption": LONG * 30}}, "/image/caption"),
        (template({"type": "header", "parameters": [{"type": "text", "text": LONG * 2}]}),
         "/template/components/0/parameters/0/text"),
    ],
)  # fmt: skip
def test_a_text_that_holds_a_variable_is_measured_once_it_is_filled_in(document: dict[str, Any], pointer: str) -> None:
    assert parse(document, with_variables=True) == document
    assert faults(document) == [(pointer, "field.too_long")]
    assert [(fault.pointer, fault.code) for fault in unfilled_faults(document)] == [(pointer, "field.too_long")]


def test_a_text_without_a_variable_is_measured_at_once() -> None:
    document = replies({"id": "1", "title": "a" * 21})
    found = parse(document, with_variables=True)
    assert isinstance(found, list)
    assert [fault.detail for fault in found] == ["must have at most 20 characters"]
    assert faults(replies({"id": "1", "title": 1}), with_variables=True) == [
        ("/interactive/action/buttons/0/reply/title", "field.type")
    ]
    assert faults(replies({"id": "1", "title": ""})) == [("/interactive/action/buttons/0/reply/title", "field.too_short")]
