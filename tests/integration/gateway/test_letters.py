"""Operators have dead letters in hand one at a time, whatever becomes of the one before."""

from __future__ import annotations

import asyncio

import pytest

from services.gateway.consumers import SUBSCRIPTIONS
from services.gateway.operations.letters import Letters
from services.gateway.store import operators as store
from shared.bus.memory import MemoryBus
from shared.db.pool import open_pool
from shared.errors import Rejected
from tests.integration.gateway.serving import Gateway
from tests.support.database import Database


async def test_no_lock_is_left_behind_on_a_connection_that_others_use(
    database: Database, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool clears nothing of a session: whoever got that connection next would have the letters for ever."""

    async def fail(_: object) -> None:
        raise TimeoutError

    async with MemoryBus() as bus, open_pool(database.settings_for("gateway"), "gateway") as pool:
        await bus.declare(SUBSCRIPTIONS)
        with monkeypatch.context() as broken:
            broken.setattr(store, "unlock_letters", fail)
            with pytest.raises(TimeoutError):
                await Letters(bus, pool).find([SUBSCRIPTIONS[0].name], "dlt_0")
        other = Letters(bus, gateway.pool)
        async with asyncio.timeout(60):
            while not await _is_free(other):  # the server has to notice that the connection is gone
                pass


async def _is_free(letters: Letters) -> bool:
    try:
        return await letters.find([SUBSCRIPTIONS[0].name], "dlt_0") is None
    except Rejected:
        return False
