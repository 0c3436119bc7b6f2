"""What is told of an entry later, as a fact."""

from __future__ import annotations

from typing import Any

import pytest

from services.archive.domain.amendment import Kind, amendment_of, reaction_of
from tests.support.archive_events import (
    NUMBER,
    PHONE,
    TENANT,
    at,
    echoed,
    edited,
    lost,
    reaction,
    received,
    revoked,
    stored,
    text,
)


def test_an_edit_carries_what_the_entry_says_from_then_on() -> None:
    event = edited("w\x00", "a  b\nc", seconds=60)
    fact = amendment_of(event)
    assert fact is not None
    assert (fact.event_id, fact.tenant_id, fact.number_id, fact.wamid) == (event.event_id, TENANT, NUMBER, "w")
    assert (fact.kind, fact.at, fact.content) == (Kind.EDIT, at(60), text("a  b\nc"))
    assert (fact.type, fact.body, fact.preview) == ("text", "a  b\nc", "a b c")


def test_a_revocation_carries_its_time_only() -> None:
    fact = amendment_of(revoked("w", seconds=9))
    assert fact is not None
    assert fact[4:] == (Kind.REVOCATION, at(9), None, None, None, None, None)


def test_a_file_carries_what_is_shown_of_it() -> None:
    named, unnamed, gone = (
        amendment_of(stored("w", "med_1", file_name="a.jpg")),
        amendment_of(stored("w", "med_1")),
        amendment_of(lost("w")),
    )
    assert named is not None
    assert unnamed is not None
    assert gone is not None
    assert unnamed.content == {"media_id": "med_1", "mime_type": "image/jpeg", "size_bytes": 1234}
    assert named.content == {**unnamed.content, "file_name": "a.jpg"}
    assert gone.content == {"lost": "media.too_large"}
    assert {fact.kind for fact in (named, unnamed, gone)} == {Kind.MEDIA}


def test_a_file_that_came_with_no_message_amends_nothing() -> None:
    assert amendment_of(stored(None, "med_1", number=None)) is None


def test_a_reaction_says_who_how_to_what_and_where() -> None:
    heard = received("r", seconds=3, content=reaction("w\x00", "\U0001f44d"), sender="+1\x00", group_id="7")
    fact = reaction_of(heard)
    assert fact is not None
    assert fact == (
        heard.event_id,
        TENANT,
        NUMBER,
        "w",
        Kind.REACTION,
        at(3),
        {"by": "+1", "emoji": "\U0001f44d"},
        None,
        None,
        None,
        "group:7",
    )
    ours = reaction_of(echoed("r", content=reaction("w", None)))
    assert ours is not None
    assert (ours.content, ours.contact_phone) == ({"by": "business", "emoji": ""}, PHONE)


@pytest.mark.parametrize(
    "content",
    [
        text("hi"),
        {"type": "reaction"},
        {"type": "reaction", "reaction": []},
        {"type": "reaction", "reaction": {"message_id": ""}},
        {"type": "reaction", "reaction": {"message_id": None, "emoji": "x"}},
        {"reaction": {"message_id": "w", "emoji": "x"}},
    ],
)
def test_what_is_no_reaction_to_anything_is_none(content: dict[str, Any]) -> None:
    assert reaction_of(received("r", content=content)) is None
