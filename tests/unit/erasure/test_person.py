"""Text is of a person where it names them, and of nobody else."""

from __future__ import annotations

import base64

import pytest

from shared.erasure.person import Person

PERSON = Person(addresses=["+15551234567", "US.13491208655302741918"], contact_ids=["ctc_1"])


def wamid(digits: str) -> str:
    raw = b"\x1c\x18" + bytes([len(digits)]) + digits.encode() + b"\x15\x02\x00\x12\x18\x14" + b"3EB0C767D097B7C7C3BB\x00"
    return "wamid." + base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    "text",
    [
        '"+15551234567"',
        "wa_id=15551234567",
        "15551234567",
        "from US.13491208655302741918.",
        '{"id": "ctc_1"}',
        f'"{wamid("15551234567")}"',
    ],
)
def test_text_that_names_them(text: str) -> None:
    assert PERSON.traces.are_in(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "155512345670",
        "915551234567",
        "US.134912086553027419180",
        "ctc_12",
        wamid("15551234568"),
        "wamid.!",
        "wamid.HBg",
        "\x00\xff",
    ],
)
def test_text_that_does_not(text: str) -> None:
    assert not PERSON.traces.are_in(text.encode())


def test_a_wamid_holds_the_number() -> None:
    assert PERSON.traces.name(wamid("15551234567"))
    assert PERSON.traces.name(wamid("15551234567").rstrip("="))
    assert not PERSON.traces.name(wamid("1555123456"))
    assert not PERSON.traces.name("15551234567")


def test_nobody_is_in_nothing() -> None:
    assert not Person().traces.are_in(b"anything")
    assert not Person(addresses=["+12"]).traces.are_in(b"12"), "too short for a number"


def test_nothing_of_them_shows_in_a_log_line() -> None:
    assert "5551234567" not in repr(PERSON)
