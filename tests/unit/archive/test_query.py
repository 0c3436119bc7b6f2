"""What a question asks for, what meets it, and what is shown."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.archive.domain.analyzer import tokens
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
        ("car -red", "'car' & !'red'"),
        ("car -re* -", "'car' & !'re':*"),
        ("foo-bar", "'foo' & 'bar'"),
        ('car -"red house"', "'car'"),
        ("car -foo-bar", "'car'"),
    ],
)
def test_questions_become_tsqueries(question: str, tsquery: str) -> None:
    query = parse(question)
    assert query.tsquery(7) == re.sub(r"'(\w+)'", r"'7:\1'", tsquery)
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
        ('car -"red house"', "car house red", True),
        ('car -"red house"', "car, red house", False),
        ("-\u6771\u4eac\u90fd", "\u6771\u4eac\u90fd\u5e81", False),
        ("-\u6771\u4eac\u90fd", "\u6771\u4eac \u4eac\u90fd", True),
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
        ("car -red", "a red car", ["car"]),
        ("car cars", "scar car cars-car \u6771car\u4eac", ["car", "cars", "car", "car"]),
        (
            "\u0437\u0430\u043a\u0430\u0437",
            "\u0417\u0410\u041a\u0410\u0417, \u0437\u0430\u043a\u0430\u0437\u044b",
            ["\u0417\u0410\u041a\u0410\u0417"],
        ),
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


@given(st.text("abC \u00e9\u0416\u00df\u6771'\u0301,-", max_size=30), st.text("abc\u00e9\u0436* ", min_size=1, max_size=6))
def test_highlights_are_the_tokens_that_were_asked_for(text: str, question: str) -> None:
    """However the text is looked through."""
    query = parse(question)
    places = [(token.start, token.end) for token in tokens(text) if any(want.accepts(token.term) for want in query.wanted)]
    merged: list[tuple[int, int]] = []
    for start, end in places:
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    assert list(query.highlights(text)) == merged


def test_near_terms_do_as_well_but_not_within_phrases() -> None:
    query = parse('parcle "red car"').with_near({"parcle": ("parcel", "parcels"), "red": ("rod",)})
    assert query.tsquery(7) == "('7:parcle' | '7:parcel' | '7:parcels') & '7:red' & '7:car'"
    assert [*query.highlights("parcels, red")] == [(0, 7), (9, 12)]


@given(st.text("ab \u0436\u6771,-", max_size=24), st.text("ab \u0436", min_size=1, max_size=6))
def test_phrases_are_the_same_however_they_are_looked_for(text: str, question: str) -> None:
    query = parse(f'"{question}"')
    found = [token.term for token in tokens(text)]
    asked = [want.term for want in query.phrases[0]] if query.phrases else []
    stands = any(found[start : start + len(asked)] == asked for start in range(len(found)))
    assert query.is_met_by(text) == (not asked or stands)


ASCII = st.text("aB'0 .-", max_size=14) | st.builds(
    "{} {}".format, st.sampled_from(["x" * 39, "x" * 40, "x" * 45, "x'" * 24]), st.just("a")
)


@given(ASCII, ASCII)
def test_postgres_lets_no_text_fall_that_holds_a_phrase(text: str, phrase: str) -> None:
    query = parse(f'"{phrase}"')
    pattern = query.ascii_pattern
    assert (pattern is not None) == query.has_phrases
    if pattern is not None and query.is_met_by(text):
        assert re.search(pattern, text.lower())


def test_a_pattern_is_for_phrases_of_ascii_only() -> None:
    pattern = parse('"car is red"').ascii_pattern or ""
    assert re.search(pattern, "the car is... red")
    assert not re.search(pattern, "is the car red")
    assert not re.search(pattern, "the car is redder")
    assert not re.search(pattern, "the scar is red")
    assert re.search(pattern, "car is red")
    assert parse('"\u0442\u0432\u043e\u0439 car"').ascii_pattern is None
    assert parse("car red").ascii_pattern is None
