from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic_core import PydanticCustomError

from shared.errors import Rejected
from shared.http.faults import MAX_FAULTS, is_suspect, pointer_to, unstorable
from shared.http.requests import Moment, validate


def known(value: str) -> str:
    if value == "SECRET-INPUT":
        raise PydanticCustomError("name.unknown", "is nobody we know")
    if value == "int":
        int("SECRET-INPUT")
    return value


class Text(BaseModel):
    model_config = ConfigDict(extra="allow")

    body: str = Field(min_length=1, max_length=10)


class Contact(BaseModel):
    contact_id: str


class Order(BaseModel):
    name: Annotated[str, AfterValidator(known)] = "x"
    to: Annotated[str, Field(pattern=r"^\+[0-9]+$")] | Contact = "+1"
    text: Text = Text(body="x")
    count: int = Field(1, ge=1, le=10)
    kind: Literal["a", "b"] = "a"
    sure: bool = True
    at: Moment | None = None
    share: float = 0
    tags: list[str] = Field([], max_length=2)
    texts: list[Text] = []
    metadata: dict[str, Any] = {}


class Sized(BaseModel):
    secret: Annotated[SecretStr, Field(min_length=16, max_length=20)] | None = None
    data: Annotated[bytes, Field(min_length=16)] = bytes(16)
    tags: Annotated[list[str], Field(min_length=2)] = ["", ""]
    name: Annotated[str, Field(min_length=1)] = "x"
    all: Literal[True] | None = None


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"secret": "short"}, "must have at least 16 characters"),
        ({"secret": "x" * 21}, "must have at most 20 characters"),
        ({"data": "short"}, "must have at least 16 bytes"),
        ({"tags": []}, "must have at least 2 items"),
        ({"name": ""}, "must have at least 1 character"),
        ({"all": False}, "must be true"),
    ],
)
def test_a_fault_is_told_in_the_words_of_json_and_of_what_it_counts(body: dict[str, Any], detail: str) -> None:
    with pytest.raises(Rejected) as caught:
        validate(Sized, json.dumps(body).encode())
    assert [error.detail for error in caught.value.errors] == [detail]


class Needy(BaseModel):
    name: str
    text: Text


def faults(body: bytes | str | dict[str, Any], model: type[BaseModel] = Order, pointer: str = "") -> list[tuple[str, str]]:
    data = json.dumps(body).encode() if isinstance(body, dict) else body.encode() if isinstance(body, str) else body
    with pytest.raises(Rejected) as caught:
        validate(model, data, pointer)
    rejected = caught.value
    assert 400 <= rejected.status < 500
    shown = rejected.detail + repr(rejected.errors)
    assert "SECRET-INPUT" not in shown
    return [(error.pointer, error.code) for error in rejected.errors] or [("", rejected.code)]


def test_a_good_body_is_a_model() -> None:
    order = validate(Order, b'{"to": {"contact_id": "ctc_1"}, "at": "2026-12-01T10:00:00+01:00", "share": 1}')

    assert isinstance(order.to, Contact)
    assert order.at is not None
    assert order.at.isoformat() == "2026-12-01T09:00:00+00:00"
    assert order.share == 1.0


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"nme": "SECRET-INPUT"}, [("/nme", "field.unknown")]),
        ({"text": {"body": "x", "SECRET": "SECRET-INPUT"}}, [("/text/SECRET", "field.unknown")]),  # though the model allows it
        ({"texts": [{"body": "x"}, {"body": 1}]}, [("/texts/1/body", "field.type")]),
        ({"texts": [{}]}, [("/texts/0/body", "field.missing")]),
        ({"count": "5"}, [("/count", "field.type")]),
        ({"count": 1.5}, [("/count", "field.type")]),
        ({"count": True}, [("/count", "field.type")]),
        ({"count": 0}, [("/count", "field.out_of_range")]),
        ({"count": 10**30}, [("/count", "field.out_of_range")]),
        ({"sure": "true"}, [("/sure", "field.type")]),
        ({"name": None}, [("/name", "field.type")]),
        ({"name": "SECRET-INPUT"}, [("/name", "name.unknown")]),
        ({"name": "int"}, [("/name", "field.invalid")]),
        ({"kind": "SECRET-INPUT"}, [("/kind", "field.choice")]),
        ({"text": {"body": ""}}, [("/text/body", "field.too_short")]),
        ({"text": {"body": "SECRET-INPUT"}}, [("/text/body", "field.too_long")]),
        ({"text": "SECRET-INPUT"}, [("/text", "field.type")]),
        ({"tags": ["a", "b", "c"]}, [("/tags", "field.too_long")]),
        ({"at": "SECRET-INPUT"}, [("/at", "field.format")]),
        ({"at": "2026-12-01T10:00:00"}, [("/at", "field.format")]),
        ({"at": 1_700_000_000}, [("/at", "field.type")]),
        ({"at": "0001-01-01T00:00:00+01:00"}, [("/at", "field.out_of_range")]),
        ({"at": "9999-12-31T23:59:59-01:00"}, [("/at", "field.out_of_range")]),
        ({"to": "SECRET-INPUT"}, [("/to", "field.format")]),
        ({"to": {"contact_id": 1}}, [("/to/contact_id", "field.type")]),
        ({"to": {}}, [("/to/contact_id", "field.missing")]),
        ({"to": 1}, [("/to", "field.type")]),
        ({"metadata": []}, [("/metadata", "field.type")]),
        ({"metadata": {"a/b~c": "x\x00"}}, [("/metadata/a~1b~0c", "field.bad_text")]),
        (
            {"metadata": {"a": ["\ud800", {"b": "\udfff"}]}},
            [("/metadata/a/0", "field.bad_text"), ("/metadata/a/1/b", "field.bad_text")],
        ),
        ({"metadata": {"\x00": 1}}, [("/metadata/\ufffd", "field.bad_text")]),
        ('{"metadata": {"a": 1e999, "b": -1E+400, "c": NaN}}', [(f"/metadata/{n}", "field.out_of_range") for n in "abc"]),
        ('{"metadata": {"a": Infinity}}', [("/metadata/a", "field.out_of_range")]),
        ('{"metadata": {"a": %s}}' % ("9" * 400 + ".5"), [("/metadata/a", "field.out_of_range")]),
        ('{"metadata": {"a": %s}}' % ("9" * 250 + "e99"), [("/metadata/a", "field.out_of_range")]),
        ('{"metadata": {"a": 9223372036854775808, "b": 9223372036854775807}}', [("/metadata/a", "field.out_of_range")]),
        ('{"metadata": {"a": [-9223372036854775809]}}', [("/metadata/a/0", "field.out_of_range")]),
        ('{"share": 1e999}', [("/share", "field.out_of_range")]),
        ("[]", [("", "field.type")]),
        ('"SECRET-INPUT"', [("", "field.type")]),
        ("null", [("", "field.type")]),
        ("{}{}", [("", "body.not_json")]),
        ('{"name": "SECRET-INPUT}', [("", "body.not_json")]),
        ('{"name": "x\x00"}', [("", "body.not_json")]),
        ("{'a': 1}", [("", "body.not_json")]),
        ("\ufeff{}", [("", "body.not_json")]),
        ('{"a":' * 5_000, [("", "body.not_json")]),
        ('{"metadata": {"a": ' + "[" * 100_000 + "]" * 100_000 + "}}", [("", "body.not_json")]),
        ('{"metadata": {"a": %s}}' % ("9" * 5_000), [("", "body.not_json")]),
        ("", [("", "body.empty")]),
        (" \r\n", [("", "body.empty")]),
        (b'{"name": "\xff"}', [("", "body.not_utf8")]),
        (b'{"name": "\xed\xa0\x80"}', [("", "body.not_utf8")]),
        (b"\x80", [("", "body.not_utf8")]),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_bad_body_is_refused_by_pointer_and_code(body: bytes | str | dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert faults(body) == expected


def test_every_fault_is_named_at_once() -> None:
    assert faults({"text": {"bdy": 1}, "nam": 1}, Needy) == [
        ("/name", "field.missing"),
        ("/text/body", "field.missing"),
        ("/text/bdy", "field.unknown"),
        ("/nam", "field.unknown"),
    ]


def test_a_prefix_places_a_line_in_its_document() -> None:
    assert faults({}, Needy, "/3") == [("/3/name", "field.missing"), ("/3/text", "field.missing")]
    assert faults({"metadata": {"a": "\x00"}}, Order, "/7") == [("/7/metadata/a", "field.bad_text")]


def test_broken_json_is_placed() -> None:
    with pytest.raises(Rejected) as caught:
        validate(Order, b'{\n  "name": nope\n}')

    assert caught.value.status == 400
    assert "line 2 column 1" in caught.value.detail


def test_the_last_of_equal_names_counts() -> None:
    assert validate(Order, b'{"count": 2, "count": 3}').count == 3


def test_harmless_look_alikes_pass() -> None:
    body = {
        "metadata": {
            "a": "NaN, Infinity, 1e999",
            "b": "\\u0000",
            "c": "06a8-1e123-9" + "1" * 30,
            "d": "\U0001f600",
            "e": 1e-400,
        }
    }

    assert validate(Order, json.dumps(body).encode()).metadata == body["metadata"]


def test_thousands_of_faults_are_counted_not_listed() -> None:
    body = {f"field{n}": n for n in range(MAX_FAULTS + 1)}

    assert faults(body) == [("", "field.invalid")]


def test_long_and_unprintable_names_are_cut_and_replaced() -> None:
    assert pointer_to(("a" * 100, 3, "~/", "\n\x00")) == f"/{'a' * 64}…/3/~0~1/\ufffd\ufffd"


def refusal(data: bytes) -> int:
    """The status that `data` is refused with; 400 stands for being taken."""
    try:
        validate(Order, data)
    except Rejected as rejected:
        return rejected.status
    return 400


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None, exclude_categories=())),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_whatever_cannot_be_stored_is_suspect(value: Any) -> None:
    data = json.dumps({"value": value}).encode()

    if any(fault.code != "field.bad_text" or "U+0000" in fault.detail for fault in unstorable(data)):
        assert is_suspect(data)


@given(json_values | st.dictionaries(st.sampled_from(sorted(Order.model_fields)), json_values, max_size=4))
def test_any_json_is_taken_or_refused(value: Any) -> None:
    assert 400 <= refusal(json.dumps(value).encode()) < 500


@given(st.binary(max_size=60))
def test_any_bytes_are_taken_or_refused(data: bytes) -> None:
    assert 400 <= refusal(data) < 500
