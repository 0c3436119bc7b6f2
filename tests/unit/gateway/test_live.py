"""Readers within bounds, tickets for a minute."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from services.gateway.live.access import TICKET_LIFE, Tickets
from services.gateway.live.reader import MOST_BYTES, MOST_ENTRIES, End, Reader
from services.gateway.live.streams import Entry, is_later
from shared.auth.seal import Sealer
from shared.clock import SystemClock
from shared.ids import TenantId, new_id

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
TENANT = TenantId(new_id("tnt"))


class Stopped(SystemClock):
    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now


def entry(number: int, body: bytes = b"{}") -> Entry:
    return Entry(f"{number}-0", "message.read", None, body)


async def test_a_reader_takes_what_came_in_order() -> None:
    reader = Reader("0-0", "run", is_reset=False, is_gone=lambda: False)
    reader.offer(entry(1))
    reader.offer(entry(2))
    assert [one.position for one in await reader.next(1)] == ["1-0", "2-0"]
    assert await reader.next(0.01) == []


async def test_one_that_does_not_keep_up_ends_and_holds_nothing() -> None:
    for body, enough in ((b"{}", MOST_ENTRIES + 1), (b"x" * (MOST_BYTES // 4 + 1), 4)):
        reader = Reader("0-0", "run", is_reset=False, is_gone=lambda: False)
        for number in range(enough):
            assert reader.ended is None
            reader.offer(entry(number, body))
        assert reader.ended is End.SLOW
        reader.offer(entry(0))
        assert await reader.next(1) == []


async def test_the_first_reason_counts() -> None:
    reader = Reader("0-0", "run", is_reset=False, is_gone=lambda: False)
    reader.end(End.LEFT)
    reader.end(End.DRAINING)
    assert reader.ended is End.LEFT


@pytest.mark.parametrize(("later", "earlier"), [("10-0", "9-5"), ("9-10", "9-9"), ("9-1", "9-0")])
def test_places_are_numbers(later: str, earlier: str) -> None:
    assert is_later(later, earlier)
    assert not is_later(earlier, later)
    assert not is_later(later, later)


def tickets(now: datetime = NOW, key: bytes = bytes(32)) -> Tickets:
    return Tickets(Sealer(base64.b64encode(key).decode()), Stopped(now))


def test_a_ticket_opens_its_tenants_updates_for_a_minute() -> None:
    ticket = tickets().make(TENANT, "client", NOW + TICKET_LIFE)
    assert tickets().open(ticket) == (TENANT, "client")
    assert tickets(NOW + TICKET_LIFE).open(ticket) == (TENANT, "client")
    assert tickets(NOW + TICKET_LIFE + timedelta(seconds=1)).open(ticket) is None
    assert ticket.replace("-", "").replace("_", "").replace(".", "").isalnum()


def test_a_ticket_opens_nothing_of_anybody_else() -> None:
    ticket = tickets().make(TENANT, "client", NOW + TICKET_LIFE)
    other = TenantId(new_id("tnt"))
    assert tickets().open(ticket.replace(TENANT, other)) is None
    assert tickets(key=b"x" * 32).open(ticket) is None
    assert tickets().open(f"{ticket[:-4]}AAAA") is None
    assert tickets().open(f"{TENANT}.") is None
    assert tickets().open(f"{TENANT}.é") is None
    assert tickets().open("") is None
