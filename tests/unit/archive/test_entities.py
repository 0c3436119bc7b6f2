"""What is found in a text by rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.archive.domain.entities import LOOKED_AT_CHARS, MAX_ENTITIES, MAX_ENTITY_CHARS, entities_of


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see https://example.com/a?b=1. Bye", [("link", "https://example.com/a?b=1")]),
        ("(www.example.org)", [("link", "www.example.org")]),
        ("write to ana.b+x@mail.example.com", [("email", "ana.b+x@mail.example.com")]),
        ("call +34 612 345 678 please", [("phone", "+34612345678")]),
        ("+1 000 000 is no number", []),
        ("son 25,50 € o $30", [("money", "25,50 €"), ("money", "$30")]),
        ("USD 1,200.00 or 50 soles", [("money", "USD 1,200.00"), ("money", "50 soles")]),
        ("12/11/2026, 2026-11-12, 3.4.26", [("date", "12/11/2026"), ("date", "2026-11-12"), ("date", "3.4.26")]),
        ("at 10:30 or 5:07 pm", [("time", "10:30"), ("time", "5:07 pm")]),
        ("@maria and #oferta2", [("mention", "@maria"), ("tag", "#oferta2")]),
        ("AT&T #1 c# a@b 1.2.3.4 25:00", []),
        ("$5 $5 $5", [("money", "$5")]),
        ("", []),
    ],
)
def test_each_kind_is_found_and_nothing_that_looks_like_it(text: str, found: list[tuple[str, str]]) -> None:
    assert [tuple(entity) for entity in entities_of(text)] == found


@given(st.text(max_size=300))
def test_any_text_will_do(text: str) -> None:
    found = entities_of(text)
    assert len(found) <= MAX_ENTITIES
    assert all(0 < len(entity.text) <= MAX_ENTITY_CHARS for entity in found)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("piece", ["1.", "1,", "a.", "@a", "$1 ", "http://", "+1 ", "1/", "#a", "a@a.", "1:0", "+1(2)", "S/"])
def test_no_text_keeps_it_busy(piece: str) -> None:
    assert len(entities_of(piece * LOOKED_AT_CHARS)) <= MAX_ENTITIES
