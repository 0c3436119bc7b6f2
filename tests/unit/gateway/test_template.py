from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain import webhook
from services.gateway.domain.rendering import Named, filled, lookup_for, names_in
from services.gateway.domain.template import Shape, held_by, status_of
from services.gateway.domain.template_notice import Notice, is_notice

ORDER = [
    {"type": "HEADER", "format": "TEXT", "text": "Order {{1}}"},
    {"type": "BODY", "text": "Hello {{1}}, order {{2}} of {{1}} is here."},
    {"type": "FOOTER", "text": "Bye"},
    {
        "type": "BUTTONS",
        "buttons": [
            {"type": "QUICK_REPLY", "text": "Stop"},
            {"type": "URL", "text": "See", "url": "https://shop.example/{{1}}"},
            {"type": "URL", "text": "Home", "url": "https://shop.example/"},
        ],
    },
]


def texts(*values: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": value} for value in values]


def url_button(index: object = "1", *values: str) -> dict[str, Any]:
    return {"type": "button", "sub_type": "url", "index": index, "parameters": texts(*(values or ("77",)))}


WHOLE = [{"type": "header", "parameters": texts("77")}, {"type": "body", "parameters": texts("Ana", "77")}, url_button()]


def faults(components: Any, given: Any, parameter_format: str | None = None) -> list[tuple[str, str]]:
    shape = Shape.of(components, parameter_format, "UTILITY")
    return [(fault.pointer, fault.code) for fault in shape.faults(given)]


def test_the_right_parameters_pass() -> None:
    assert faults(ORDER, WHOLE) == []
    assert faults(ORDER, [{**part, "type": part["type"].upper()} for part in WHOLE[:2]] + [url_button(1)]) == []
    assert faults([{"type": "BODY", "text": "Nothing to fill in"}], None) == []


@pytest.mark.parametrize(
    ("given", "pointer", "code"),
    [
        ([WHOLE[0], {"type": "body", "parameters": texts("Ana")}, WHOLE[2]], "/1/parameters", "template.parameter_count"),
        ([WHOLE[0], {"type": "body"}, WHOLE[2]], "/1/parameters", "template.parameter_count"),
        (WHOLE[1:], "", "template.parameter_count"),
        (WHOLE[:2], "", "template.parameter_count"),
        ([*WHOLE, WHOLE[0]], "/3", "template.component_repeated"),
        ([*WHOLE[:2], url_button("3")], "/2/index", "template.button_unknown"),
        ([*WHOLE[:2], url_button("x")], "/2/index", "template.button_unknown"),
        ([*WHOLE, {"type": "button", "sub_type": "copy_code", "index": 0}], "/3/sub_type", "template.button_type"),
        ([*WHOLE, url_button("2", "x")], "/3/parameters", "template.parameter_count"),
        (
            [*WHOLE[:2], {**url_button(), "parameters": [{"type": "payload", "payload": "x"}]}],
            "/2/parameters/0",
            "template.parameter_type",
        ),
        ([*WHOLE, {"type": "footer"}], "/3/type", "template.component_unknown"),
        ([*WHOLE, {"type": "carousel", "cards": []}], "/3", "template.component_unknown"),
        ([WHOLE[0], {"type": "body", "parameters": "no"}, WHOLE[2]], "/1/parameters", "template.parameter_type"),
        (
            [WHOLE[0], {"type": "body", "parameters": [{"type": "image"}, *texts("x")]}, WHOLE[2]],
            "/1/parameters/0/type",
            "template.parameter_type",
        ),
        (
            [WHOLE[0], {"type": "body", "parameters": [{**texts("x")[0], "parameter_name": "a"}, *texts("x")]}, WHOLE[2]],
            "/1/parameters/0/parameter_name",
            "template.parameter_name",
        ),
    ],
)
def test_wrong_parameters_are_named_by_their_place(given: Any, pointer: str, code: str) -> None:
    assert (f"/template/components{pointer}", code) in faults(ORDER, given)


def test_named_parameters_are_matched_by_name_in_any_order() -> None:
    components = [{"type": "BODY", "text": "Hello {{who}}, order {{order_no}}"}]

    def body(*names: str | None) -> list[dict[str, Any]]:
        parameters = [{"type": "text", "text": "x"} | ({} if name is None else {"parameter_name": name}) for name in names]
        return [{"type": "body", "parameters": parameters}]

    assert faults(components, body("order_no", "who"), "NAMED") == []
    for wrong in (body("who", None), body("who", "who"), body("who", "other")):
        assert [code for _, code in faults(components, wrong, "NAMED")] == ["template.parameter_name"]


@pytest.mark.parametrize(
    ("parameter", "code"),
    [
        ({"type": "image", "image": {"id": "1"}}, None),
        ({"type": "image", "image": {"link": "https://x"}}, None),
        ({"type": "image", "image": {"id": "1", "link": "https://x"}}, "template.parameter_type"),
        ({"type": "image", "image": {}}, "template.parameter_type"),
        ({"type": "image", "image": "x"}, "template.parameter_type"),
        ({"type": "text", "text": "x"}, "template.parameter_type"),
    ],
)
def test_a_media_header_takes_its_own_kind_by_id_or_link(parameter: dict[str, Any], code: str | None) -> None:
    given = [{"type": "header", "parameters": [parameter]}]
    assert [found for _, found in faults([{"type": "HEADER", "format": "IMAGE"}], given)] == ([] if code is None else [code])


def test_a_media_header_cannot_be_left_out() -> None:
    assert faults([{"type": "HEADER", "format": "VIDEO"}], []) == [("/template/components", "template.parameter_count")]


KEYS = (
    "type",
    "format",
    "text",
    "buttons",
    "cards",
    "url",
    "parameters",
    "index",
    "sub_type",
    "limited_time_offer",
    "header",
    "body",
)
SCALARS = st.none() | st.booleans() | st.integers() | st.sampled_from([*KEYS, "button", "{{1}}", "BUTTONS"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
)


@given(VALUES)
def test_nothing_that_a_provider_or_a_caller_says_makes_it_raise(value: Any) -> None:
    shape = Shape.of(value, "NAMED", None)
    list(shape.faults(value))
    Shape.of(ORDER, None, None).content("a", "en")
    list(Shape.of(ORDER, None, None).faults(value))
    shape.content("a", "en")
    assert isinstance(is_notice(value) if isinstance(value, dict) else False, bool)
    webhook.read({"entry": [{"id": "1", "changes": [{"value": value}]}]})


def test_a_template_by_its_id_takes_its_parameters_from_variables() -> None:
    shape = Shape.of(ORDER, None, "UTILITY")
    content = shape.content("order", "en_US")
    assert content is not None
    assert list(names_in(content)) == ["header_1", "1", "2", "button_1"]
    values = {"header_1": "H", "1": "Ana", "2": "77", "button_1": "path"}
    rendered, missing = filled(content, lookup_for(Named(variables=values), {}, {}))
    assert not missing
    assert list(shape.faults(rendered["template"]["components"])) == []
    assert rendered["template"]["components"][1]["parameters"] == texts("Ana", "77")


def test_a_named_and_an_authentication_template_by_id() -> None:
    named = Shape.of([{"type": "BODY", "text": "Hello {{who}}"}], "NAMED", None).content("a", "en")
    assert named is not None
    assert named["template"]["components"][0]["parameters"] == [{"type": "text", "parameter_name": "who", "text": "{{who}}"}]
    otp = [{"type": "BODY", "text": "{{1}} is your code"}, {"type": "BUTTONS", "buttons": [{"type": "OTP"}]}]
    content = Shape.of(otp, None, "AUTHENTICATION").content("code", "en")
    assert content is not None
    assert list(names_in(content)) == ["1", "1"]
    plain = Shape.of([{"type": "BODY", "text": "Hi"}], None, None).content("a", "en")
    assert plain == {"type": "template", "template": {"name": "a", "language": {"code": "en"}}}


def test_a_template_that_takes_more_than_texts_needs_its_components() -> None:
    assert Shape.of([{"type": "HEADER", "format": "LOCATION"}], None, None).content("a", "en") is None
    assert Shape.of([{"type": "CAROUSEL", "cards": [{}, {}]}], None, None).content("a", "en") is None
    assert Shape.of([{"type": "BUTTONS", "buttons": [{"type": "MPM"}]}], None, None).content("a", "en") is None


@pytest.mark.parametrize(
    ("word", "held"),
    [
        ("APPROVED", None),
        ("REINSTATED", None),
        ("PAUSED", "template.paused"),
        ("REJECTED", "template.rejected"),
        ("DISABLED", "template.disabled"),
        ("PENDING", "template.pending"),
        ("SOMETHING_NEW", None),
    ],
)
def test_what_a_status_means_for_sending(word: str, held: str | None) -> None:
    status = status_of(word)
    assert status is not None
    assert held_by(status) == held


def test_a_warning_is_no_new_status() -> None:
    assert status_of("FLAGGED") is None


def notice(value: dict[str, Any], **entry: Any) -> Any:
    about = {"message_template_id": 12, "message_template_name": "order", "message_template_language": "en_US"}
    return {"entry": [{"id": "1", "time": 1_739_321_024, **entry, "changes": [{"field": "x", "value": {**about, **value}}]}]}


def notices(payload: Any) -> list[Notice]:
    return webhook.read(payload).templates


def test_notices_are_read_by_their_members() -> None:
    (status,) = notices(notice({"event": "PAUSED", "reason": "NONE", "message_template_category": "MARKETING"}))
    assert (status.account_id, status.name, status.language, status.provider_id) == ("1", "order", "en_US", "12")
    assert (status.status, status.category, status.reason) == ("paused", "marketing", None)
    assert status.at is not None
    (quality,) = notices(notice({"previous_quality_score": "GREEN", "new_quality_score": "RED"}))
    assert (quality.status, quality.quality) == (None, "red")
    (category,) = notices(notice({"previous_category": "UTILITY", "new_category": "MARKETING"}, time="x"))
    assert (category.category, category.at) == ("marketing", None)
    assert not notices(notice({"other": 1}))


CAROUSEL: list[dict[str, Any]] = [
    {"type": "BODY", "text": "Hello {{1}}"},
    {
        "type": "CAROUSEL",
        "cards": [
            {
                "components": [
                    {"type": "HEADER", "format": "IMAGE"},
                    {"type": "BODY", "text": "Only {{1}}"},
                    {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "See", "url": "https://shop.example/{{1}}"}]},
                ]
            }
        ]
        * 2,
    },
]


def card(index: int, *left_out: str, header: str = "image") -> dict[str, Any]:
    components = [
        {"type": "header", "parameters": [{"type": header, header: {"id": "1"}}]},
        {"type": "body", "parameters": texts("9")},
        url_button(0, "a"),
    ]
    return {"card_index": index, "components": [one for one in components if one["type"] not in left_out]}


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ([card(0), card(1)], []),
        ([card(0)], [("", "template.parameter_count")]),
        ([card(0), card(2)], [("/1/card_index", "template.card_unknown")]),
        ([card(0), card(1, "body")], [("/1/components", "template.parameter_count")]),
        ([card(0, header="video"), card(1)], [("/0/components/0/parameters/0/type", "template.parameter_type")]),
    ],
)
def test_the_cards_of_a_carousel_are_the_templates_own(cards: Any, expected: list[tuple[str, str]]) -> None:
    given = [{"type": "body", "parameters": texts("Ana")}, {"type": "carousel", "cards": cards}]
    assert faults(CAROUSEL, given) == [(f"/template/components/1/cards{pointer}", code) for pointer, code in expected]


def test_cards_of_products_are_as_many_as_the_message_says() -> None:
    components = [
        {"type": "CAROUSEL", "cards": [{"components": [{"type": "HEADER", "format": "PRODUCT"}]}] * 2},
    ]
    product = {"type": "product", "product": {"product_retailer_id": "a", "catalog_id": "1"}}
    cards = [{"card_index": n, "components": [{"type": "header", "parameters": [product]}]} for n in range(7)]
    assert faults(components, [{"type": "carousel", "cards": cards}]) == []
    cards[6]["components"] = []
    assert [code for _, code in faults(components, [{"type": "carousel", "cards": cards}])] == ["template.parameter_count"]


@pytest.mark.parametrize(
    ("body", "button", "codes"),
    [
        ("123456", "123456", []),
        ("123456", "654321", ["template.code_differs"]),
        ("1" * 16, "1" * 16, ["template.code_too_long", "template.code_too_long"]),
        ("{{verification_code}}", "{{verification_code}}", []),
    ],
)
def test_the_button_of_an_authentication_template_copies_the_code_of_the_body(body: str, button: str, codes: list[str]) -> None:
    components = [{"type": "BODY", "text": "{{1}} is your code"}, {"type": "BUTTONS", "buttons": [{"type": "OTP"}]}]
    given = [{"type": "body", "parameters": texts(body)}, url_button(0, button)]
    assert [fault.code for fault in Shape.of(components, None, "AUTHENTICATION").faults(given)] == codes


def test_an_offer_that_does_not_expire_takes_nothing() -> None:
    offer = {"type": "limited_time_offer", "parameters": []}
    components = [{"type": "LIMITED_TIME_OFFER", "limited_time_offer": {"text": "Now", "has_expiration": False}}]
    assert faults(components, [offer]) == [("/template/components/0", "template.component_unknown")]
    components[0]["limited_time_offer"] = {"text": "Now", "has_expiration": True}
    assert faults(components, [offer]) == []
    assert [code for _, code in faults(components, [])] == ["template.parameter_count"]
