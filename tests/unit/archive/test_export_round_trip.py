"""What is exported in WhatsApp's own form is what our own reader of exports reads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.archive.chat_export.reader import Reader
from services.archive.chat_export.survey import survey
from services.archive.domain.exported import ExportedEntry
from services.archive.domain.imported import Kind, Record, content_of
from services.archive.exports.chat_text import ChatForm
from tests.support.exported import NOON, entry

TALK = [
    entry(text, author=author, seconds=at)
    for at, (author, text) in enumerate([("Ana", "hi"), ("Bo", "two\nlines"), ("Ana", "ok")])
]
"""Before what a test is about, so that the file's shape can be seen."""


def read_back(entries: list[ExportedEntry], *, block: int = 1 << 20) -> list[Record]:
    form = ChatForm()
    data = b"".join(form.entry(one) for one in entries)
    reader = Reader(survey([data]))
    records: list[Record] = []
    for start in range(0, len(data), block):
        records += reader.feed(data[start : start + block])
    return [*records, *reader.finish()]


CONTENTS: tuple[dict[str, Any], ...] = (
    {"type": "text", "text": {"body": "[2026-11-20, 12:00:00] Eve: pasted\n[2026-11-20, 12:00:01] Eve: and more"}},
    {"type": "text", "text": {"body": "  spaces: and : colons  "}},
    {"type": "text", "text": {"body": "👩\u200d👧\u200d👦 שלום \u202eabc\u202c \u2028 e\u0301"}},
    {"type": "image", "image": {}},
    {"type": "image", "image": {"caption": "two\nlines"}},
    {"type": "video", "video": {"caption": "c"}},
    {"type": "video", "video": {"is_animation": True}},
    {"type": "audio", "audio": {}},
    {"type": "sticker", "sticker": {}},
    {"type": "media", "media": {"caption": "of what kind?"}},
    {"type": "document", "document": {"filename": "a (b).pdf"}},
    {"type": "document", "document": {"filename": "a.pdf", "caption": "read\nthis"}},
    {"type": "contacts", "contacts": [{"name": {"formatted_name": "Bo Li"}}]},
    {"type": "poll", "poll": {"question": "When?", "options": [{"name": "Now", "votes": 1}, {"name": "Never", "votes": 0}]}},
    {"type": "call", "call": {"text": "Missed voice call. Tap to call back"}},
    {"type": "notice", "notice": {"text": "Messages and calls are end-to-end encrypted."}},
    {"type": "notice", "notice": {"text": 'Ana changed the subject to "Plan: B"'}},
    {"type": "event", "event": {"text": "Party"}},
)


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: str(content)[:60])
def test_a_content_comes_back(content: dict[str, Any]) -> None:
    *_, record = read_back([*TALK, entry(content, seconds=90)])
    assert content_of(record) == content
    assert record.at == NOON.replace(tzinfo=None, minute=1, second=30)
    assert record.author == (None if content["type"] == "notice" else "Ana")


def test_a_place_comes_back() -> None:
    place = {"latitude": 1.5, "longitude": -2.25, "name": "Bar", "address": "Street 1, Town"}
    *_, record = read_back([*TALK, entry({"type": "location", "location": place})])
    assert record.kind is Kind.LOCATION
    assert record.details is not None
    assert {name: record.details[name] for name in place} == place


def test_what_was_taken_back_or_edited_is_so_still() -> None:
    *_, revoked, edited = read_back([*TALK, entry({"type": "revoked"}), entry("new", edited_at=NOON)])
    assert revoked.kind is Kind.REVOKED
    assert (edited.kind, edited.body, edited.is_edited) == (Kind.TEXT, "new", True)


def test_a_file_is_named() -> None:
    name = "00000003-PHOTO-2026-11-21-12-00-00.jpg"
    *_, record = read_back([*TALK, entry({"type": "image", "image": {"caption": "sun"}}, file=f"x/{name}")])
    assert (record.kind, record.body, record.file_name) == (Kind.IMAGE, "sun", name)


BODIES = st.text(
    st.characters(exclude_categories=["Cs", "Cf", "Cc"], include_characters="\n\u200d", exclude_characters="<>\u2028\u2029"),
    min_size=1,
    max_size=80,
).filter(lambda text: text.strip() and text.strip() != "null")


@given(
    st.lists(st.tuples(st.sampled_from(["Ana", "Bo Li", "+1 555", "مريم"]), BODIES), min_size=1, max_size=12),
    st.integers(1, 64),
)
def test_texts_come_back(said: list[tuple[str, str]], block: int) -> None:
    entries = [entry(text, author=author, seconds=at) for at, (author, text) in enumerate(said, start=10)]
    records = read_back([*TALK, *entries], block=block)[len(TALK) :]
    assert [(record.author, record.body) for record in records] == said
