"""The analyzer: what becomes a term, and what always holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.archive.domain.analyzer import MAX_TERM_CHARS, _fold, _tokens_of, quote, terms, tokens, tsvector_literal

# Any code point, lone surrogates too, and a second source rich in what is hard: marks, joiners, jamo, kana, emoji, Thai,
# Arabic.
HARD = st.characters(categories=["Mn", "Mc", "Me", "Cf", "Sk", "So", "Lo", "Lm", "Nd", "Nl", "No", "Cs"])
RANGES = (
    (0x300, 0x345), (0x600, 0x6FF), (0x900, 0x97F), (0xE00, 0xEFF), (0x1000, 0x11FF), (0x1780, 0x17FF), (0x1E00, 0x1FFF),
    (0x200B, 0x200F), (0x3040, 0x30FF), (0xAC00, 0xAC40), (0xFE00, 0xFE0F), (0xFF60, 0xFFDC),
    (0x1F1E6, 0x1F1FF), (0x1F3F0, 0x1F469),
)  # fmt: skip
NEAR = st.one_of(*(st.integers(low, high) for low, high in RANGES), st.sampled_from(b"aZ9 '~_\\")).map(chr)
TEXTS = st.one_of(st.text(), st.text(HARD), st.text(NEAR))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't STOP, don\u2019t!", ["dont", "stop"]),
        (
            "Stra\u00dfe \u0130stanbul \u0131\u011fd\u0131r \u0141\u00f3d\u017a \u00c6r\u00f8",
            ["strasse", "istanbul", "igdir", "lodz", "aero"],
        ),
        ("e\u0301te\u0301 \u00e9t\u00e9 ETE", ["ete"]),
        ("order-1234 foo_bar", ["order", "1234", "foo", "bar"]),
        ("\u0661\u0662\u0663 \u0967\u0968 \uff14", ["123", "12", "4"]),
        ("\u0939\u093f\u0928\u094d\u0926\u0940", ["\u0939\u093f\u0928\u094d\u0926\u0940"]),
        ("\u0623\u064e\u062d\u0652\u0645\u0640\u062f \u0627\u062d\u0645\u062f", ["\u0627\u062d\u0645\u062f"]),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", ["\u0645\u064a\u062e\u0648\u0627\u0647\u0645"]),
        ("\u6771\u4eac\u90fd abc", ["\u6771\u4eac", "\u4eac\u90fd", "abc"]),
        ("\u4eac!", ["\u4eac"]),
        ("\uff76\uff9e\uff77", ["\u30ac\u30ad"]),
        ("\ud55c\uad6d\uc5b4", ["\ud55c\uad6d", "\uad6d\uc5b4"]),
        ("\u0e2a\u0e27\u0e31\u0e2a", ["\u0e2a\u0e27", "\u0e27\u0e31", "\u0e31\u0e2a"]),
        ("ok\U0001f44d\U0001f3fd \U0001f44d", ["ok", "\U0001f44d"]),
        ("\U0001f469\u200d\U0001f469\u200d\U0001f467", ["\U0001f469\u200d\U0001f469\u200d\U0001f467"]),
        ("\U0001f1ea\U0001f1f8\U0001f1eb\U0001f1f7", ["\U0001f1ea\U0001f1f8", "\U0001f1eb\U0001f1f7"]),
        ("\u2764\ufe0f", ["\u2764"]),
        ("x" * 50, ["x" * MAX_TERM_CHARS]),
        ("", []),
        ("\x00 \ud800 !?", []),
    ],
)
def test_terms_of_texts(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


@given(TEXTS)
def test_any_text_has_terms_that_are_their_own_terms(text: str) -> None:
    for term in terms(text):
        assert terms(term) == [term]
        assert 0 < len(term) <= MAX_TERM_CHARS


@given(TEXTS)
def test_the_terms_of_a_text_are_those_of_its_tokens(text: str) -> None:
    """However they are found: most texts fold character by character, others do not."""
    folded, places = _fold(text)
    slowly = list(_tokens_of(folded, places)) if not text.isascii() else tokens(text)
    assert tokens(text) == slowly
    assert terms(text) == list(dict.fromkeys(token.term for token in slowly))


@given(TEXTS)
def test_no_term_can_pass_for_one_of_the_archives_marks(text: str) -> None:
    assert not any(term.startswith("~") for term in terms(text))


@given(TEXTS)
def test_tokens_know_their_place(text: str) -> None:
    last = 0
    for token in tokens(text):
        assert 0 <= token.start < token.end <= len(text)
        assert token.start >= last
        last = token.start


@given(st.text("a\u00e9\u6771 '", max_size=20), st.text("a\u00e9\u6771 '", max_size=20))
def test_parts_of_a_text_parted_by_a_space_keep_their_terms(left: str, right: str) -> None:
    assert set(terms(f"{left} {right}")) == set(terms(left)) | set(terms(right))


def test_quotes_and_backslashes_are_doubled() -> None:
    assert quote("a'b\\c") == r"'a''b\\c'"
    assert tsvector_literal(["a", "b"]) == "'a' 'b'"
    assert tsvector_literal([]) == ""
