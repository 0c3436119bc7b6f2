"""How old a message is, by its id."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.sender.domain.reference import is_young
from shared.ids import new_id


def test_an_id_tells_when_it_was_made() -> None:
    now, minute = datetime.now(UTC), timedelta(minutes=1)
    message_id = new_id("msg")
    assert is_young(message_id, now, minute)
    assert not is_young(message_id, now + 2 * minute, minute)
    assert not is_young("msg_" + "0" * 26, now, minute)
    assert is_young("msg_" + "v" * 26, now, minute), "of a time to come: nobody made it, and nothing breaks"
