"""Marking as read: how far, never back, and what comes later is unread again."""

from __future__ import annotations

import pytest

from services.archive.domain.reading import NEWEST
from services.archive.record import Recorder
from services.archive.store import read
from services.archive.store.marking import Mark, mark_read
from shared.db.pool import Pool
from tests.support.archive_events import OTHER_TENANT, TENANT, at, message_id, received, released


@pytest.fixture
async def conversation_id(pool: Pool, recorder: Recorder) -> str:
    """Five incoming entries and two outgoing ones, a second apart."""
    await recorder.record([received(f"w{index}", seconds=index) for index in range(5)])
    await recorder.record([released(message_id(), seconds=1.5), released(message_id(), seconds=3.5)])
    (conversation,) = await read.conversations(pool, TENANT, NEWEST, 10)
    assert conversation.unread_count == 5
    return conversation.id


async def mark(pool: Pool, conversation_id: str, seconds: float | None = None) -> Mark | None:
    async with pool.acquire() as connection:
        return await mark_read(connection, TENANT, conversation_id, None if seconds is None else at(seconds))


async def test_a_conversation_is_read_up_to_a_moment(pool: Pool, conversation_id: str) -> None:
    assert await mark(pool, conversation_id, -9) == (at(-9), 5)
    assert await mark(pool, conversation_id, 1) == (at(1), 3)
    assert await mark(pool, conversation_id, 3.2) == (at(3.2), 1)
    assert await mark(pool, conversation_id) == (at(4), 0)


async def test_it_never_goes_back_and_never_beyond_what_is_there(pool: Pool, recorder: Recorder, conversation_id: str) -> None:
    assert await mark(pool, conversation_id, 9_999) == (at(4), 0)
    assert await mark(pool, conversation_id, 1) == (at(4), 0)
    await recorder.record([received("later", seconds=60)])
    (conversation,) = await read.conversations(pool, TENANT, NEWEST, 10)
    assert (conversation.unread_count, conversation.read_until) == (1, at(4))


async def test_what_came_late_is_unread_until_all_is_read(pool: Pool, recorder: Recorder, conversation_id: str) -> None:
    """Nobody has seen it, although it stands before what was read."""
    await mark(pool, conversation_id)
    await recorder.record([received("late", seconds=2)])
    assert await mark(pool, conversation_id, 1) == (at(4), 1)
    assert await mark(pool, conversation_id) == (at(4), 0)


async def test_there_is_nothing_to_mark_of_others(pool: Pool, conversation_id: str) -> None:
    async with pool.acquire() as connection:
        assert await mark_read(connection, OTHER_TENANT, conversation_id, None) is None
        assert await mark_read(connection, TENANT, "cnv_x", None) is None
    (conversation,) = await read.conversations(pool, TENANT, NEWEST, 10)
    assert conversation.unread_count == 5
