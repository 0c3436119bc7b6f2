"""What follows from all that somebody has said, in whatever order it comes to be known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.consent import Standing, Word, without_time
from services.gateway.domain.contact import Change, Contact, changed, name_key, parse_attribute, parse_language
from services.gateway.domain.keywords import START, STOP, Keywords, folded, text_of
from shared.errors import FieldError
from shared.events.values import Consent, ConsentScope

START_OF_TIME = datetime(2026, 11, 1, tzinfo=UTC)
IN, OUT, ALL, MARKETING = Consent.OPTED_IN, Consent.OPTED_OUT, ConsentScope.ALL, ConsentScope.MARKETING

words = st.builds(
    Word,
    st.sampled_from([IN, OUT]),
    st.sampled_from([ALL, MARKETING]),
    st.integers(0, 5).map(lambda minutes: START_OF_TIME + timedelta(minutes=minutes)),
    st.just("api"),
)


def word(consent: Consent, scope: ConsentScope, minute: int) -> Word:
    return Word(consent, scope, START_OF_TIME + timedelta(minutes=minute), "api")


def heard(said: Sequence[Word]) -> Standing:
    return reduce(Standing.heard, said, Standing())


def slowly(said: Sequence[Word]) -> tuple[Consent, ConsentScope]:
    """The same in the order in which it was said, an opt-out after an opt-in of its moment: what each word leaves behind."""
    everything = marketing = Consent.UNKNOWN
    for one in sorted(said, key=lambda w: (w.at, w.consent is OUT)):
        if one.scope is ALL:
            everything = one.consent
            marketing = IN if one.consent is IN else marketing
        else:
            marketing = one.consent
    if everything is OUT:
        return OUT, ALL
    if marketing is OUT:
        return OUT, MARKETING
    return (IN, ALL) if everything is IN else (marketing, MARKETING if marketing is IN else ALL)


@given(st.lists(words, max_size=8).flatmap(lambda said: st.tuples(st.just(said), st.permutations(said))))
def test_the_order_in_which_words_come_does_not_matter(case: tuple[list[Word], list[Word]]) -> None:
    said, shuffled = case
    once = heard(said)
    assert heard(shuffled) == once
    assert heard([*shuffled, *said]) == once
    assert (once.consent, once.scope) == slowly(said)


@given(st.lists(words, max_size=8))
def test_others_who_keep_the_latest_only_end_with_what_holds(said: list[Word]) -> None:
    standing, told, told_at = Standing(), Consent.UNKNOWN, datetime.min.replace(tzinfo=UTC)
    for one in said:
        before, standing = standing, standing.heard(one)
        if standing.word is not None and standing.word != before.word and standing.told_at(before) >= told_at:
            told, told_at = standing.consent, standing.told_at(before)
    assert told == standing.consent


@pytest.mark.parametrize(
    ("said", "holds"),
    [
        ([], (Consent.UNKNOWN, ALL)),
        ([word(OUT, MARKETING, 1)], (OUT, MARKETING)),
        ([word(OUT, ALL, 1), word(IN, MARKETING, 2)], (OUT, ALL)),
        ([word(OUT, MARKETING, 1), word(IN, ALL, 2)], (IN, ALL)),
        ([word(IN, ALL, 1), word(OUT, ALL, 1)], (OUT, ALL)),
        ([word(OUT, ALL, 2), word(IN, ALL, 1)], (OUT, ALL)),
    ],
)
def test_what_holds(said: list[Word], holds: tuple[Consent, ConsentScope]) -> None:
    assert (heard(said).consent, heard(said).scope) == holds


def test_a_word_without_its_time_counts_where_it_says_something_new() -> None:
    out, marketing = heard([word(OUT, ALL, 1)]), heard([word(OUT, MARKETING, 1)])
    assert without_time(Standing(), word(IN, ALL, 9))
    assert not without_time(out, word(IN, ALL, 9))
    assert not without_time(heard([word(IN, ALL, 1)]), word(IN, ALL, 9))
    assert without_time(heard([word(IN, ALL, 1)]), word(OUT, MARKETING, 9))
    assert not without_time(out, word(OUT, ALL, 9))
    assert without_time(marketing, word(OUT, ALL, 9))


changes = st.builds(
    Change,
    identifiers=st.dictionaries(st.sampled_from(["phone", "username"]), st.sampled_from([None, "a", "b"])),
    fields=st.dictionaries(st.sampled_from(["name", "language", "time_zone"]), st.sampled_from([None, "a", "b"])),
    attributes=st.dictionaries(st.sampled_from("abc"), st.sampled_from([None, 1, "x", True])),
    word=st.none() | words,
    is_timed=st.booleans(),
)


@given(st.lists(changes, max_size=5), changes)
def test_a_change_twice_is_a_change_once(before: list[Change], change: Change) -> None:
    contact = Contact("ctc", {"user_id": "US.1"})
    for one in [*before, change]:
        after = changed(contact, one, START_OF_TIME + timedelta(hours=1))
        assert isinstance(after, Contact)
        contact = after
    assert changed(contact, change, START_OF_TIME + timedelta(hours=2)) == contact


def test_a_contact_keeps_a_name_to_be_called_by_and_hears_nothing_from_the_future() -> None:
    faults = changed(Contact("ctc", {"phone": "a"}), Change(identifiers={"phone": None}, word=word(IN, ALL, 9)), START_OF_TIME)
    assert isinstance(faults, list)
    assert [(type(fault), fault.code) for fault in faults] == [
        (FieldError, "contact.no_identifier"),
        (FieldError, "time.in_future"),
    ]


@pytest.mark.parametrize("language", STOP)
def test_the_words_of_every_language_are_known_and_mean_one_thing(language: str) -> None:
    keywords = Keywords.of()
    assert {keywords.consent(text) for text in STOP[language]} == {OUT}
    assert {keywords.consent(text) for text in START[language]} == {IN}


@pytest.mark.parametrize(
    ("text", "consent"),
    [
        ("STOP", OUT),
        (" stop! ", OUT),
        ("Ｓｔｏｐ 🛑", OUT),
        ("«Stop»", OUT),
        ("ARRET", OUT),
        ("No mas mensajes.", OUT),
        ("إيقاف", OUT),
        ("ايقاف", OUT),
        ("बंद करें", OUT),
        ("Start", IN),
        ("UN-STOP", IN),
        ("stop by at nine", None),
        ("please stop", None),
        ("", None),
        ("!!!", None),
        ("\0\ud800", None),
    ],
)
def test_only_a_message_that_says_nothing_else_is_a_keyword(text: str, consent: Consent | None) -> None:
    assert Keywords.of().consent(text) is consent


def test_a_tenants_own_words_take_the_place_of_ours() -> None:
    keywords = Keywords.of({"en": ["Enough!", "..."]}, {"en": ["enough", "again"]})
    assert (keywords.consent("enough"), keywords.consent("again"), keywords.consent("stop")) == (OUT, IN, None)
    assert keywords.consent("...") is None


def test_a_word_in_ornate_letters_is_the_word() -> None:
    assert folded("𝐒𝐓𝐎𝐏") == folded("Ⓢⓣⓞⓟ") == "stop"


@given(st.text(max_size=60))
def test_folding_is_done_once(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"type": "text", "text": {"body": "stop"}}, "stop"),
        ({"type": "button", "button": {"text": "Stop", "payload": "x"}}, "Stop"),
        (
            {"type": "interactive", "interactive": {"type": "button_reply", "button_reply": {"id": "1", "title": "STOP"}}},
            "STOP",
        ),
        ({"type": "text", "text": {"body": "s" * 61}}, None),
        ({"type": "text", "text": {"body": 7}}, None),
        ({"type": "text", "text": ["stop"]}, None),
        ({"type": "image", "image": {"caption": "stop"}}, None),
        ({}, None),
    ],
)
def test_what_a_message_says(content: dict[str, object], text: str | None) -> None:
    assert text_of(content) == text


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("en", "en"),
        ("pt_BR", "pt-BR"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("sl-rozaj-biske", "sl-rozaj-biske"),
        ("fil", "fil"),
        ("english", None),
        ("e", None),
        ("en-", None),
        ("en_US\n", None),
        ("", None),
    ],
)
def test_a_language_is_written_as_usual(text: str, tag: str | None) -> None:
    assert parse_language(text) == tag


@pytest.mark.parametrize("name", ["plan", "_x1", "größe", "नाम", "العمر", "a" * 40])
def test_an_attribute_has_a_name(name: str) -> None:
    assert parse_attribute(name) == name


@pytest.mark.parametrize("name", ["", "1st", "a b", "a-b", "a.b", "{a}", "a\0", "\ud800", "a" * 41, "é" * 41])
def test_no_attribute_is_called_so(name: str) -> None:
    assert parse_attribute(name) is None


def test_names_are_found_without_accents_and_case() -> None:
    assert name_key("  ÁNA \t  Straße ") == "ana strasse"
    assert name_key("") == ""
