"""Cursors are good for the list they were given for, unchanged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from services.archive.domain.reading import NEWEST, Place
from services.archive.routes.cursor import Cursors
from shared.errors import Rejected

CURSORS = Cursors(SecretStr("a token of the services"))
PLACE = Place(datetime(2026, 11, 20, 12, 0, 0, 123_457, tzinfo=UTC), "ent_" + "0" * 26)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_place_comes_back_to_the_microsecond(moment: datetime) -> None:
    cursor = CURSORS.encode(Place(moment, PLACE.id), "search", "a")
    assert CURSORS.decode(cursor, "search", "a") == Place(moment, PLACE.id)


def test_no_cursor_is_the_beginning_and_no_place_is_no_cursor() -> None:
    assert CURSORS.decode(None, "search") == NEWEST
    assert CURSORS.encode(None, "search") is None
    assert NEWEST.at - timedelta(days=365) > PLACE.at


@pytest.mark.parametrize("scope", [("search", "b"), ("entries", "a"), ("searcha",), ("search", "a", "")])
def test_another_list_refuses_it(scope: tuple[str, ...]) -> None:
    cursor = CURSORS.encode(PLACE, "search", "a")
    with pytest.raises(Rejected) as refused:
        CURSORS.decode(cursor, *scope)
    assert refused.value.status == 400


@given(st.text(max_size=100))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(Rejected):
        CURSORS.decode(text, "search", "a")


def test_while_the_token_is_rotated_cursors_of_either_are_read() -> None:
    old, new = SecretStr("the token before"), SecretStr("the token after")
    former, latter, last = Cursors(old, new), Cursors(new, old), Cursors(new, SecretStr(""))
    for gives, reads in ((former, latter), (latter, former), (latter, last)):
        assert reads.decode(gives.encode(PLACE, "search"), "search") == PLACE
    with pytest.raises(Rejected):
        last.decode(former.encode(PLACE, "search"), "search")


def test_every_changed_character_is_noticed() -> None:
    cursor = CURSORS.encode(PLACE, "search", "a")
    assert cursor is not None
    for index, char in enumerate(cursor):
        changed = cursor[:index] + ("A" if char != "A" else "B") + cursor[index + 1 :]
        with pytest.raises(Rejected):
            CURSORS.decode(changed, "search", "a")
