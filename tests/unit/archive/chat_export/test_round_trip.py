"""Parsing what was rendered gives the conversation back, for every locale and platform."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.archive.chat_export.characters import folded
from services.archive.chat_export.markers import MARKERS
from services.archive.chat_export.reader import Reader
from services.archive.chat_export.survey import survey
from services.archive.domain.imported import Kind, Record
from tests.support.exports import LOCALES, Locale, Message, render
from tests.unit.archive.chat_export.reading import LATEST, read

START = datetime(2024, 5, 13, 9, 30)  # noqa: DTZ001  # wall time
NAMES = (
    "Anna",
    "Bj\u00f6rn K.",
    "Maria - home",
    "\u0641\u0627\u0637\u0645\u0629",
    "Gita \U0001f33b",
    "+44 20 7946 0000",
    "a]b",
)
LINES = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Cf", "Zl", "Zp"), exclude_characters="<>()\uff08\uff09\u00a0\u202f"),
    max_size=60,
)
# What people write: nothing that stands for something of the application's, no lines that look like headers.
BODIES = (
    st.lists(LINES.map(str.strip), min_size=1, max_size=3)
    .map("\n".join)
    .filter(
        lambda body: (
            body.strip() == body and len(body) > 1 and not body[0].isdigit() and "\n\n" not in body and "://" not in body
        )
    )
    .filter(
        lambda body: (
            folded(body) not in MARKERS.whole
            and not body.lower().endswith("null")
            and not any(line[:1].isdigit() for line in body.split("\n"))
        )
    )
)
POINTS = st.builds("https://maps.google.com/?q={:.5f},{:.5f}".format, st.floats(-85, 85), st.floats(-180, 180))


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Some days long, so that the order of day and month shows."""
    messages, at = [Message(START, None, Kind.NOTICE)], START
    for number in range(draw(st.integers(4, 12))):
        at += timedelta(hours=draw(st.integers(20, 60)), minutes=draw(st.integers(0, 59)), seconds=draw(st.integers(0, 59)))
        author = draw(st.sampled_from(NAMES))
        kind = draw(
            st.sampled_from([Kind.TEXT] * 5 + [Kind.IMAGE, Kind.REVOKED, Kind.CALL, Kind.LOCATION, Kind.POLL, Kind.EMPTY])
        )
        body = "" if kind in {Kind.REVOKED, Kind.CALL, Kind.EMPTY} else draw(POINTS if kind is Kind.LOCATION else BODIES)
        name = None
        if kind is Kind.IMAGE:
            body = draw(st.sampled_from(["", body]))
            name = draw(st.sampled_from([None, f"{number:08}-PHOTO-{at:%Y-%m-%d-%H-%M-%S}.jpg"]))
        options = (("Yes", 1), ("Not (yet)", number)) if kind is Kind.POLL else ()
        is_edited = kind is Kind.TEXT and draw(st.booleans())
        messages.append(Message(at, author, kind, body, name, is_edited=is_edited, options=options))
    return messages


def expected(message: Message, locale: Locale) -> tuple[object, ...]:
    at = message.at if locale.has_seconds else message.at.replace(second=0)
    kind = message.kind
    is_bracketed = locale.header(message.at).startswith("[")
    if kind is Kind.IMAGE and message.file_name is None and not is_bracketed:
        kind = Kind.MEDIA
    body = message.body if kind in {Kind.TEXT, Kind.IMAGE, Kind.MEDIA} else None
    return at, message.author, kind, body, message.file_name, message.is_edited


def told(record: Record) -> tuple[object, ...]:
    body = record.body if record.kind in {Kind.TEXT, Kind.IMAGE, Kind.MEDIA} else None
    return record.at, record.author, record.kind, body, record.file_name, record.is_edited


@pytest.mark.parametrize("locale", LOCALES, ids=str)
@settings(max_examples=8, deadline=None)
@given(messages=conversations())
def test_what_was_rendered_is_read(locale: Locale, messages: list[Message]) -> None:
    data = render(messages, locale)
    found, records, doubts = read(data)

    assert [told(record) for record in records] == [expected(message, locale) for message in messages]
    assert found.records == len(messages)
    assert found.confidence > 0.8
    assert doubts == []
    for record, message in zip(records, messages, strict=True):
        if message.kind is Kind.POLL:
            assert record.details is not None
            assert [(option["name"], option["votes"]) for option in record.details["options"]] == list(message.options)
        if message.kind is Kind.LOCATION:
            assert record.details is not None
            assert record.details["url"] == message.body


@settings(max_examples=30, deadline=None)
@given(locale=st.sampled_from(LOCALES), messages=conversations(), block=st.integers(1, 400))
def test_how_the_file_is_cut_into_blocks_changes_nothing(locale: Locale, messages: list[Message], block: int) -> None:
    data = render(messages, locale)

    assert read(data, block=block)[1:] == read(data)[1:]


@settings(max_examples=30, deadline=None)
@given(locale=st.sampled_from(LOCALES), messages=conversations(), block=st.integers(1, 300), crash=st.integers(0, 30))
def test_a_reader_goes_on_where_another_one_stopped(locale: Locale, messages: list[Message], block: int, crash: int) -> None:
    data = render(messages, locale)
    found = survey([data])
    first = Reader(found)
    records: list[Record] = []
    for start in range(0, min(len(data), block * crash), block):
        records += first.feed(data[start : start + block])
    second = Reader(found, state=first.state())
    records += second.feed(data[first.offset :])
    records += second.finish()

    assert records == read(data)[1]


@settings(max_examples=30, deadline=None)
@given(messages=conversations())
def test_exports_of_both_platforms_have_the_same_fingerprints(messages: list[Message]) -> None:
    by_name = {locale.name: locale for locale in LOCALES}
    whole = [replace(message, at=message.at.replace(second=0)) for message in messages]
    _, android, _ = read(render(whole, by_name["android en-GB"]))
    _, ios, _ = read(render(whole, by_name["ios de"]))

    pairs = [(one, other) for one, other in zip(android, ios, strict=True) if one.kind is not Kind.NOTICE]
    assert [one.fingerprint for one, _ in pairs] == [other.fingerprint for _, other in pairs]
    assert len({record.fingerprint for record in android}) == len(android)


def test_the_latest_time_of_the_tests_is_after_what_they_write() -> None:
    assert START + timedelta(days=100) < LATEST
