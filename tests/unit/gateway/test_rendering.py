from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.rendering import (
    MAX_FILLED,
    Fault,
    Named,
    closest_language,
    filled,
    is_well_formed,
    lookup_for,
    missing_fault,
    names_in,
    rendered_fault,
    share_of,
)


def text(body: str) -> dict[str, Any]:
    return {"type": "text", "text": {"body": body}}


def body_of(content: dict[str, Any]) -> str:
    return str(content["text"]["body"])


def test_values_come_from_the_closest_place_that_has_them() -> None:
    content = text("{{a}} {{b}} {{name}} {{phone}} {{language}} {{city}} {{d}}")
    reader = Named("+15551234567", "Ana", "pt", {"city": "Lima", "b": "attribute", "a": "attribute"}, {"a": "own"})
    rendered, missing = filled(content, lookup_for(reader, {"a": "variant", "b": "variant"}, {"d": "default", "city": "?"}))
    assert not missing
    assert body_of(rendered) == "own variant Ana +15551234567 pt Lima default"


def test_what_is_given_goes_before_what_the_contact_is() -> None:
    rendered, _ = filled(text("{{name}}"), lookup_for(Named(name="Ana"), {"name": "friend"}, {}))
    assert body_of(rendered) == "friend"


def test_an_empty_value_that_is_given_is_a_value_and_a_name_nobody_knows_is_none() -> None:
    rendered, missing = filled(text("<{{a}}>{{name}}"), lookup_for(Named(variables={"a": ""}), {}, {}))
    assert missing == ["name"]
    assert body_of(rendered).startswith("<>")


def test_attributes_that_are_no_text_are_shown_and_lists_are_missing() -> None:
    attributes = {"n": 7, "f": 1.5, "t": True, "l": ["x"], "o": {"x": 1}, "nil": None}
    rendered, missing = filled(text("{{n}} {{f}} {{t}} {{l}} {{o}} {{nil}}"), lookup_for(Named(attributes=attributes), {}, {}))
    assert missing == ["l", "o", "nil"]
    assert body_of(rendered).startswith("7 1.5 true")


def test_each_missing_variable_is_named_once_and_by_a_pointer() -> None:
    _, missing = filled(text("{{b}} {{a}} {{b}}"), lookup_for(Named(), {}, {}))
    assert missing == ["b", "a"]
    fault = missing_fault(missing)
    assert (fault.code, fault.pointer) == ("variable.missing", "/variables/b")
    assert "{{b}}, {{a}}" in fault.detail


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.text(alphabet="{}ab x", max_size=20), min_size=2))
def test_values_are_never_looked_through_again(values: dict[str, str]) -> None:
    rendered, missing = filled(text("1{{a}}2{{ b }}3"), lookup_for(Named(variables=values), {}, {}))
    assert not missing
    assert body_of(rendered) == f"1{values['a']}2{values['b']}3"


def test_only_what_people_read_holds_variables() -> None:
    content = {
        "type": "template",
        "template": {
            "name": "{{a}}",
            "language": {"code": "{{a}}"},
            "components": [
                {"type": "header", "parameters": [{"type": "image", "image": {"link": "https://x/{{a}}"}}]},
                {"type": "body", "parameters": [{"type": "text", "parameter_name": "{{a}}", "text": "{{a}}"}]},
                {"type": "button", "sub_type": "url", "index": "0", "parameters": [{"type": "text", "text": "{{a}}"}]},
            ],
        },
    }
    assert list(names_in(content)) == ["a", "a", "a"]
    rendered, _ = filled(content, lookup_for(Named(variables={"a": "v"}), {}, {}))
    template = rendered["template"]
    assert (template["name"], template["language"]["code"]) == ("{{a}}", "{{a}}")
    assert template["components"][0]["parameters"][0]["image"]["link"] == "https://x/v"
    assert template["components"][1]["parameters"][0] == {"type": "text", "parameter_name": "{{a}}", "text": "v"}
    assert template["components"][2]["parameters"][0]["text"] == "v"
    assert content["template"]["components"][1]["parameters"][0]["text"] == "{{a}}"  # type: ignore[index]  # free JSON


def test_captions_headers_and_buttons_of_other_types_hold_variables_too() -> None:
    interactive = {
        "header": {"type": "text", "text": "{{a}}"},
        "body": {"text": "{{a}}"},
        "action": {"buttons": [{"type": "reply", "reply": {"id": "{{a}}", "title": "{{a}}"}}]},
    }
    content = {"type": "interactive", "interactive": interactive, "image": {"id": "{{a}}", "caption": "{{a}}"}}
    assert list(names_in(content)) == ["a"] * 4


def test_limits_hold_for_what_was_filled_in() -> None:
    assert rendered_fault(text("x" * 4096)) is None
    assert rendered_fault(text("x" * 4097)) == Fault(
        "text.too_long", "the text has more than 4096 characters once filled in", "/text/body"
    )
    empty = rendered_fault(text("  "))
    assert empty is not None
    assert empty.code == "text.empty"
    template = {"components": [{"type": "body", "parameters": [{"type": "text", "text": "x"}, {"type": "text", "text": ""}]}]}
    fault = rendered_fault({"type": "template", "template": template})
    assert fault is not None
    assert (fault.code, fault.pointer) == ("parameter.empty", "/template/components/0/parameters/1/text")


def test_what_is_filled_in_cannot_grow_without_end() -> None:
    parameter = {"type": "text", "text": "{{a}}" * 5_000}
    content = {"type": "template", "template": {"components": [{"type": "body", "parameters": [parameter]}]}}
    rendered, _ = filled(content, lookup_for(Named(variables={"a": "x" * 4_096}), {}, {}))
    assert len(rendered["template"]["components"][0]["parameters"][0]["text"]) < MAX_FILLED + 5_000
    fault = rendered_fault(rendered)
    assert fault is not None
    assert fault.code == "content.too_large"
    rendered, _ = filled(text("{{a}}" * 800), lookup_for(Named(variables={"a": "x" * 4_096}), {}, {}))
    fault = rendered_fault(rendered)
    assert fault is not None
    assert fault.code == "text.too_long"


@pytest.mark.parametrize(
    ("wanted", "there", "chosen"),
    [
        ("pt-BR", ["en", "pt", "pt_BR"], "pt_BR"),
        ("pt-PT", ["en", "pt", "pt_BR"], "pt"),
        ("zh-Hant-TW", ["zh_HANT", "zh"], "zh_HANT"),
        ("PT", ["pt_BR"], None),
        ("", ["en"], None),
        (None, ["en"], None),
        ("de", [], None),
    ],
)
def test_a_language_is_chosen_by_itself_or_without_its_region(wanted: str | None, there: list[str], chosen: str | None) -> None:
    assert closest_language(wanted, there) == chosen


def test_braces_around_no_name_are_malformed() -> None:
    assert is_well_formed("{{a}} {{ b.c }} } }} {")
    assert not any(map(is_well_formed, ("{{}}", "{{a b}}", "{{a", "{{-}}")))


def test_a_share_is_stable_and_follows_the_weights() -> None:
    phones = [f"+1555{number:07}" for number in range(4000)]
    shares = [share_of("run_1", phone, [3, 1, 0]) for phone in phones]
    assert shares == [share_of("run_1", phone, [3, 1, 0]) for phone in phones]
    counts = Counter(shares)
    assert counts[2] == 0
    assert 800 < counts[1] < 1200
    assert shares != [share_of("run_2", phone, [3, 1, 0]) for phone in phones]


def test_without_weights_or_choice_everybody_gets_the_first() -> None:
    assert share_of("run", "+1", [0, 0]) == share_of("run", "+1", [5]) == 0


@pytest.mark.parametrize(
    ("content", "values", "expected"),
    [
        ({"type": "image", "image": {"link": "{{photo}}"}}, {"photo": "https://x.example/a.png"}, None),
        (
            {"type": "image", "image": {"link": "{{photo}}"}},
            {"photo": "file:///x.example/a.png"},
            ("link.invalid", "/image/link"),
        ),
        ({"type": "image", "image": {"link": "{{photo}}"}}, {"photo": "{{photo}}"}, ("link.invalid", "/image/link")),
        (
            {"type": "document", "document": {"id": "1", "caption": "{{text}}"}},
            {"text": "x" * 1025},
            ("field.too_long", "/document/caption"),
        ),
        (
            {"type": "location", "location": {"latitude": "{{lat}}", "longitude": "1"}},
            {"lat": "north"},
            ("location.out_of_range", "/location/latitude"),
        ),
        (
            {
                "type": "template",
                "template": {
                    "name": "a",
                    "language": {"code": "en"},
                    "components": [{"type": "header", "parameters": [{"type": "image", "image": {"link": "{{header_link}}"}}]}],
                },
            },
            {"header_link": "ftp://x"},
            ("link.invalid", "/template/components/0/parameters/0/image/link"),
        ),
    ],
)
def test_a_content_is_held_to_the_providers_limits_once_filled_in(
    content: dict[str, Any], values: dict[str, str], expected: tuple[str, str] | None
) -> None:
    rendered, missing = filled(content, values.get)
    assert missing == []
    fault = rendered_fault(rendered)
    assert (None if fault is None else (fault.code, fault.pointer)) == expected
