"""What a question asks for, what meets it, and what is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.archive.domain.query import parse
from services.archive.domain.snippet import ELLIPSIS, SNIPPET_CHARS, WORD_SLACK_CHARS, excerpt


@pytest.mark.parametrize(
    ("question", "tsquery"),
    [
        ("Hello  World", "'hello' & 'world'"),
        ("hello HELLO", "'hello'"),
        ("tha*", "'tha':*"),
        ("* tha *", "'tha'"),
        ('"tha*"', "'tha'"),
        ("foo-bar*", "'foo' & 'bar':*"),
        ('say "don\u2019t panic" now', "'say' & 'dont' & 'panic' & 'now'"),
        ('"not closed', "'not' & 'closed'"),
        ("\u6771\u4eac\u90fd", "'\u6771\u4eac' & '\u4eac\u90fd'"),
        ("\u4eac", "'\u4eac':*"),
        ("!? ''", ""),
        ("a' & !b | \\", "'a' & 'b'"),
    ],
)
def test_questions_become_tsqueries(question: str, tsquery: str) -> None:
    query = parse(question)
    assert query.tsquery() == tsquery
    assert query.is_empty == (tsquery == "")


@pytest.mark.parametrize(
    ("question", "text", "met"),
    [
        ('"big red"', "a BIG, red dog", True),
        ('"big red"', "red and big", False),
        ('"big red" "red dog"', "big red, red dog", True),
        ('"big red" "red dog"', "big red cat, dog", False),
        ("big red", "red and big", True),
        ("\u6771\u4eac\u90fd", "\u6771\u4eac\u90fd\u5e81", True),
        ("\u6771\u4eac\u90fd", "\u6771\u4eac \u4eac\u90fd", False),
        ('"\u6771\u4eac \u4eac\u90fd"', "\u6771\u4eac\u90fd", False),
        ('"i am"', "I, am", True),
    ],
)
def test_phrases_hold_together(question: str, text: str, met: bool) -> None:
    assert parse(question).is_met_by(text) is met


@pytest.mark.parametrize(
    ("question", "text", "marked"),
    [
        ("cafe", "Le Caf\u00e9, caf\u00e9!", ["Caf\u00e9", "caf\u00e9"]),
        ("mess*", "a message, messy", ["message", "messy"]),
        ("\u6771\u4eac\u90fd", "\u5927\u6771\u4eac\u90fd\u5e81", ["\u6771\u4eac\u90fd"]),
        ("dont", "I don't", ["don't"]),
        ("absent", "nothing", []),
    ],
)
def test_highlights_are_what_was_asked_for(question: str, text: str, marked: list[str]) -> None:
    assert [text[start:end] for start, end in parse(question).highlights(text)] == marked


def test_a_long_text_is_cut_around_the_first_highlight() -> None:
    body = "word " * 100 + "needle " + "word " * 100
    snippet = excerpt(body, parse("needle"))
    assert snippet.text.startswith(ELLIPSIS)
    assert snippet.text.endswith(ELLIPSIS)
    assert SNIPPET_CHARS - WORD_SLACK_CHARS <= len(snippet.text) <= SNIPPET_CHARS + 2
    assert [snippet.text[start:end] for start, end in snippet.highlights] == ["needle"]


@given(st.text(max_size=400), st.text(max_size=60))
def test_snippets_of_any_text_keep_their_highlights_inside(body: str, question: str) -> None:
    snippet = excerpt(body, parse(question))
    assert len(snippet.text) <= SNIPPET_CHARS + 2
    last = 0
    for start, end in snippet.highlights:
        assert last <= start < end <= len(snippet.text)
        last = end


@given(st.text("ab\u00e9\u6771\u4eac* \"'", max_size=30))
def test_a_quoted_text_meets_itself(text: str) -> None:
    plain = text.replace('"', " ")
    query = parse(f'"{plain}"')
    assert query.is_met_by(plain)
